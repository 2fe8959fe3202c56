"""The two sides of a benchmark: each in a process of its own, and timed in turns.

So their threads and their memory do not meet, and other work on the machine hits both.
"""

import importlib.util
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Answer = dict[str, Any]


class Side:
    """A child process: a script of this folder with `--side=NAME`, which calls `serve`."""

    def __init__(
        self,
        script: str,
        name: str,
        python: str = sys.executable,
        environment: Mapping[str, str] | None = None,
    ):
        root = pathlib.Path(script).resolve().parent.parent
        paths = [str(root), os.environ.get("PYTHONPATH", "")]  # times the script's own checkout
        self._process = subprocess.Popen(
            [python, os.path.abspath(script), f"--side={name}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                # Both sides are on the device together; JAX would take most of its memory for good.
                "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
                **(environment or {}),
            },
        )

    def ask(self, **request: Any) -> Answer:
        """Sends a request and waits for its answer."""
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"A side ended early, status {self._process.wait()}; see above.")
        return json.loads(line)

    def close(self) -> None:
        """Ends the child process."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def serve(answer: Callable[[Answer], Answer]) -> None:
    """In a child process: answers each JSON request, one a line, with one line."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints goes to stderr, not among the answers
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers)


def limit_cores(count: int | None) -> None:
    """Leaves this process so many of its cores; to be called before libraries start their threads.

    A system that cannot do so, and None, leave all.
    """
    if count is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def interpreters(torch_python: str) -> dict[str, str]:
    """The interpreter of each side; PyTorch's only where it is installed, else it says so."""
    pythons = {"cnnlab": sys.executable}
    if _has_torch(torch_python):
        pythons["torch"] = torch_python
    else:
        print("PyTorch is not installed: timing cnnlab alone. To compare, `pip install torch`.")
    return pythons


def _has_torch(python: str) -> bool:
    if python == sys.executable:
        return importlib.util.find_spec("torch") is not None
    command = [python, "-c", "import torch"]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Ours over theirs, round by round."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def spread(values: Sequence[float]) -> str:
    """Median, least and most of a few ratios."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def peak_memory_mib() -> float | None:
    """The most memory that this process has held, in MiB: on its accelerator, if it uses one.

    None where that is not known: JAX 0.11 counts nothing on a GPU whose memory it does not take in
    advance.
    """
    if "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
        return sys.modules["torch"].cuda.max_memory_allocated() / 2**20
    if "jax" in sys.modules and sys.modules["jax"].default_backend() != "cpu":
        stats = sys.modules["jax"].devices()[0].memory_stats() or {}
        peak = stats.get("peak_bytes_in_use")
        return peak / 2**20 if peak else None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
