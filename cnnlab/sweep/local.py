"""Worker processes of one machine, and one who looks after them."""

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from cnnlab.errors import UserError
from cnnlab.sweep.objective import FunctionObjective
from cnnlab.sweep.shares import worker_environment
from cnnlab.sweep.study import Study, open_study
from cnnlab.train.interrupts import Interrupted, StopRequests

_PAUSE = 0.3
# Of workers in a row that end without anything having changed in the study: by an error, and by a
# signal, which may come from somebody who kills them at random.
_MOST_CRASHES, _MOST_KILLS = 4, 20


def work_here(
    study: Study,
    function: FunctionObjective | None,
    *,
    population: int,
    ended: Callable[[], None],
) -> None:
    """Works on a study in this process until all its trials have ended, others' included.

    Raises:
      Interrupted: a signal; the trial is saved and put back.
      UserError: the disk is full, or the study's storage is gone.
    """
    objective = function or study.objective()
    worker = study.worker(objective, population=population, ended=ended)
    with StopRequests() as stop:
        while True:
            worker.work()
            ended()
            if study.ledger.is_over():
                return
            if stop.signum is not None:
                raise Interrupted(stop.signum, 0)
            time.sleep(_PAUSE)


def work_in_processes(
    study: Study,
    function: FunctionObjective | None,
    *,
    workers: int,
    population: int,
    ended: Callable[[], None],
) -> None:
    """Works on a study in several processes until all its trials have ended.

    A worker that dies is replaced. Also waits for trials that are other machines', and has them
    taken up where those die.

    Args:
      study: in a folder.
      function: what its trials compute, which the processes must be able to import; None where it
        has a config.
      workers: how many at a time.
      population: see `Worker`.
      ended: called when trials may have ended.

    Raises:
      Interrupted: a signal; the workers have saved and put back their trials.
      UserError: workers die one after the other before they have done anything.
    """
    crew = _Crew(study, function, workers, population)
    with StopRequests() as stop:
        try:
            while not study.ledger.is_over():
                if stop.signum is not None:
                    raise Interrupted(stop.signum, 0)
                crew.replace_dead()
                crew.wait(_PAUSE)
                ended()
        finally:
            crew.dismiss()
            ended()


class _Crew:
    """The processes."""

    def __init__(
        self, study: Study, function: FunctionObjective | None, workers: int, population: int
    ):
        self._study, self._function = study, function
        self._workers, self._population = workers, population
        self._processes: dict[int, SpawnProcess] = {}  # by place
        self._crashes = 0
        self._seen: Any = None
        self._log = study.folder / "logs"
        self._log.mkdir(exist_ok=True)

    def replace_dead(self) -> None:
        """Sees who has died, and fills free places while there are trials to take."""
        for place, process in list(self._processes.items()):
            if not process.is_alive():
                del self._processes[place]
                self._judge(process)
        free = [place for place in range(self._workers) if place not in self._processes]
        for place in free[: self._study.ledger.to_take()]:
            self._processes[place] = self._start(place)

    def _judge(self, process: SpawnProcess) -> None:
        if process.exitcode == 0:
            return
        state = [(t.state, len(t.intermediate_values)) for t in self._study.ledger.trials()]
        self._crashes = self._crashes + 1 if state == self._seen else 1
        self._seen = state
        if self._crashes >= (_MOST_CRASHES if process.exitcode > 0 else _MOST_KILLS):
            log = self._log / f"{process.name}.log"
            lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
            last = lines[-1] if lines else f"exit status {process.exitcode}"
            raise UserError(
                f"{self._crashes} workers in a row died before they had done anything; the last "
                f"one said: {last.removeprefix('error: ')} (all of it: {log})"
            )

    def _start(self, place: int) -> SpawnProcess:
        study = self._study
        name = f"worker-{socket.gethostname()}-{place}"
        process = multiprocessing.get_context("spawn").Process(
            target=_worker_process,
            args=(study.folder, study.storage_url, self._function, self._log / f"{name}.log"),
            kwargs={"population": self._population, "workers": self._workers},
            name=name,
        )
        with _environment(worker_environment(place, self._workers)):
            try:
                process.start()
            except (AttributeError, TypeError, ImportError) as error:  # pickle's ways to refuse
                raise UserError(
                    f"Several workers need a function that they can import, at the top level of a "
                    f"module: {error}."
                ) from error
        return process

    def wait(self, seconds: float) -> None:
        """Until a worker ends, or for some time."""
        sentinels = [process.sentinel for process in self._processes.values()]
        if sentinels:
            wait(sentinels, seconds)
        else:
            time.sleep(seconds)

    def dismiss(self) -> None:
        """Asks the workers to save and end, and waits for that; a second Ctrl-C kills them."""
        try:
            for process in self._processes.values():
                process.terminate()
            for process in self._processes.values():
                process.join()
        except KeyboardInterrupt:
            for process in self._processes.values():
                process.kill()
            raise


def _worker_process(
    folder: Path,
    storage_url: str | None,
    function: FunctionObjective | None,
    log: Path,
    **options: Any,
) -> None:
    """The life of a worker process; options are those of `Worker`."""
    with log.open("a") as stream:
        os.dup2(stream.fileno(), sys.stdout.fileno())
        os.dup2(stream.fileno(), sys.stderr.fileno())
    threading.Thread(target=_follow_parent, daemon=True).start()
    with StopRequests() as stop:  # from the first moment on, also while the study is opened
        try:
            study = open_study(folder, None, storage_url=storage_url, trials=None)
            if stop.signum is None:
                study.worker(function or study.objective(), **options).work()
        except Interrupted:
            pass
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)


def _follow_parent() -> None:
    """Ends the worker as SIGTERM does when the process that started it dies."""
    wait([multiprocessing.parent_process().sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """While entered, new processes get these variables."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
