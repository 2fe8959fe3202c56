"""Weights & Biases: config, rows and result of a run as one W&B run."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnlab.config import to_json
from cnnlab.errors import UserError
from cnnlab.storage.atomic_write import atomic_write
from cnnlab.train.callbacks.base import Callback, Row, RunView


class WandbCallback(Callback):
    """Logs a run to Weights & Biases; needs the extra `wandb`.

    Rows become `train/loss`, `validation/accuracy` and so on over `step`; the result becomes the
    summary. A resumed run continues the same W&B run: its id is kept in the run's folder.

    Args:
      project: W&B project.
      entity: user or team; None uses the account's default.
      name: displayed name; None uses the name of the run's folder.
      group: name of a group of runs that are shown together, e.g. a sweep.
      tags: labels to filter by.
      mode: `online`, `offline` (files below the run's folder, for `wandb sync`) or `disabled`; None
        uses the environment variable `WANDB_MODE`, else `online`.

    Raises:
      UserError: wandb is not installed, or refuses to start the run.
    """

    def __init__(
        self,
        *,
        project: str,
        entity: str | None = None,
        name: str | None = None,
        group: str | None = None,
        tags: tuple[str, ...] = (),
        mode: str | None = None,
    ):
        try:
            import wandb  # an optional extra
        except ImportError as error:
            raise UserError(
                "callbacks.wandb needs the package wandb, which is not installed: "
                "pip install 'cnnlab[wandb]'."
            ) from error
        self._wandb = wandb
        self._options = dict(
            project=project, entity=entity, name=name, group=group, tags=list(tags), mode=mode
        )
        self._run: Any = None

    def on_start(self, run: RunView) -> None:
        """Starts the W&B run, or continues it."""
        options = self._options | {"name": self._options["name"] or run.workdir.name}
        try:
            self._run = self._wandb.init(
                **options,
                id=run_id(run.workdir / "wandb_id"),
                resume="allow",
                dir=str(run.workdir),
                config=to_json(run.config),
                settings=self._wandb.Settings(silent=True),
            )
        except self._wandb.Error as error:
            raise UserError(f"callbacks.wandb: W&B did not start the run: {error}.") from error
        # W&B's own step must rise; rows of one step (training, validation) come one by one, and a
        # resumed run writes those after its checkpoint again.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def on_log(self, run: RunView, row: Row) -> None:
        """Logs a row of training."""
        self._run.log(named(row) | {"step": row["step"]})

    def on_evaluation(self, run: RunView, row: Row) -> None:
        """Logs a row of evaluation."""
        self._run.log(named(row) | {"step": row["step"]})

    def on_test(self, run: RunView, row: Row) -> None:
        """Writes the row of the test split to the summary."""
        self._run.summary.update(named(row))

    def on_end(self, run: RunView, result: Mapping[str, Any] | None) -> None:
        """Closes the W&B run, as failed if it has no result."""
        if self._run is None:
            return
        self._run.finish(exit_code=0 if result is not None else 1)
        self._run = None


def named(row: Row) -> dict[str, float]:
    """The finite numbers of a row by `SPLIT/NAME`, without step and epoch.

    >>> named({"step": 10, "epoch": 1.0, "split": "train", "loss": 0.5})
    {'train/loss': 0.5}
    """
    return {
        f"{row['split']}/{name}": value
        for name, value in row.items()
        if isinstance(value, (int, float)) and name not in ("step", "epoch")
    }


def run_id(path: Path) -> str:
    """Returns the id stored in a file; creates it the first time."""
    if not path.exists():
        with atomic_write(path) as temporary:
            Path(temporary).write_text(uuid.uuid4().hex[:12])
    return path.read_text().strip()
