"""What is saved beside the arrays of a checkpoint: step, metric, meta and the arrays' digests."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnlab.train.manifest import DamagedError

_FORMAT = 1


def make_record(
    *,
    step: int,
    metric: float | None,
    mode: str,
    meta: Mapping[str, Any],
    leaves: Mapping[str, Any],
) -> dict[str, Any]:
    """The record, to be written as JSON; it holds its own checksum.

    Args:
      step: number of updates the state has seen.
      metric: what "best" is judged by, or None.
      mode: "max" or "min", the direction in which the metric improves.
      meta: JSON of the caller's, as `json.loads` gives it.
      leaves: what `digest.describe` says of the arrays.
    """
    record = {
        "format": _FORMAT,
        "step": step,
        "metric": metric,
        "mode": mode,
        "meta": meta,
        "leaves": leaves,
    }
    return {**record, "checksum": _checksum(record)}


def read_record(path: Path, step: int) -> dict[str, Any]:
    """Reads the record of checkpoint `step` from the JSON file `path`.

    Raises:
      DamagedError: it is missing, was changed, or belongs to another step.
    """
    try:
        record = json.loads(path.read_bytes())
        checksum = record.pop("checksum")
    except FileNotFoundError as error:
        raise DamagedError(
            "it holds no record: half-written, or no checkpoint of cnnlab"
        ) from error
    except OSError as error:
        raise DamagedError(f"its record cannot be read ({error.strerror})") from error
    except (ValueError, AttributeError, LookupError, TypeError) as error:
        raise DamagedError("its record was changed or cut short") from error
    if checksum != _checksum(record):
        raise DamagedError("its record was changed (its SHA-256 differs)")
    if record["format"] != _FORMAT:
        raise DamagedError(f"its format is {record['format']}; this version reads {_FORMAT}")
    if record["step"] != step:
        raise DamagedError(f"it holds step {record['step']}, under the name of {step}")
    return record


def _checksum(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
