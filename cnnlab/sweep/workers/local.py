"""Worker processes on one machine, and the pool that starts and replaces them."""

import contextlib
import dataclasses
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
from typing import Any

from cnnlab.errors import UserError
from cnnlab.sweep.study.study import Study
from cnnlab.sweep.workers.command import WorkerCommand
from cnnlab.sweep.workers.config_objective import ConfigObjective
from cnnlab.sweep.workers.objective import FunctionObjective
from cnnlab.sweep.workers.shares import worker_environment
from cnnlab.sweep.workers.worker import Worker
from cnnlab.train.runtime.signals import Interrupted, StopRequests

_PAUSE = 0.3
# Limits on consecutive workers that end without having changed the study: with an error, and by a
# signal. The second is larger, since a scheduler may kill workers at any moment.
_MOST_CRASHES, _MOST_KILLS = 4, 20


def work_here(
    study: Study,
    function: FunctionObjective | None,
    *,
    population: int,
    ended: Callable[[], None],
) -> None:
    """Works on a study in this process until all trials have ended, including other workers'.

    Raises:
      Interrupted: a signal arrived; the trial is saved and returned to the queue.
      UserError: the disk is full, or the study's storage is gone.
    """
    worker = Worker(study, function or ConfigObjective(study), population=population, ended=ended)
    with StopRequests() as stop:
        while True:
            worker.work()
            ended()
            if study.is_over():
                return
            if stop.signum is not None:
                raise Interrupted(stop.signum, 0)
            time.sleep(_PAUSE)


def work_in_processes(study: Study, command: WorkerCommand, *, ended: Callable[[], None]) -> None:
    """Works on a study in several processes until all its trials have ended.

    A worker that dies is replaced. Waits for the trials of other machines, too, and takes them over
    if those machines die.

    Args:
      study: a study in a folder.
      command: what each process runs.
      ended: called when trials may have ended.

    Raises:
      Interrupted: a signal arrived; the workers have saved their trials and returned them to the
        queue.
      UserError: one worker after the other dies before it has done anything.
    """
    pool = _WorkerPool(study, command)
    with StopRequests() as stop:
        try:
            while not study.is_over():
                if stop.signum is not None:
                    raise Interrupted(stop.signum, 0)
                pool.replace_dead()
                pool.wait(_PAUSE)
                ended()
        finally:
            pool.dismiss()
            ended()


class _WorkerPool:
    """The worker processes, each at a numbered place."""

    def __init__(self, study: Study, command: WorkerCommand):
        self._study, self._command = study, command
        self._processes: dict[int, SpawnProcess] = {}  # by place
        self._crashes = 0
        self._seen: Any = None
        self._log = study.folder / "logs"
        self._log.mkdir(exist_ok=True)

    def replace_dead(self) -> None:
        """Fills the places of workers that have ended while there are trials to take."""
        for place, process in list(self._processes.items()):
            if not process.is_alive():
                del self._processes[place]
                self._judge(process)
        free = [place for place in range(self._command.workers) if place not in self._processes]
        for place in free[: self._study.to_take()]:
            self._processes[place] = self._start(place)

    def _judge(self, process: SpawnProcess) -> None:
        if process.exitcode == 0:
            return
        state = [(t.state, len(t.intermediate_values)) for t in self._study.trials()]
        self._crashes = self._crashes + 1 if state == self._seen else 1
        self._seen = state
        if self._crashes >= (_MOST_CRASHES if process.exitcode > 0 else _MOST_KILLS):
            log = self._log / f"{process.name}.log"
            lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
            last = lines[-1] if lines else f"exit status {process.exitcode}"
            raise UserError(
                f"{self._crashes} workers in a row died before they had done anything. The last "
                f"one printed: {last.removeprefix('error: ')} (complete log: {log})"
            )

    def _start(self, place: int) -> SpawnProcess:
        name = f"worker-{socket.gethostname()}-{place}"
        process = multiprocessing.get_context("spawn").Process(
            target=_worker_process,
            args=(dataclasses.replace(self._command, log=self._log / f"{name}.log"),),
            name=name,
        )
        with _environment(worker_environment(place, self._command.workers)):
            try:
                process.start()
            except (AttributeError, TypeError, ImportError) as error:  # the errors of pickle
                raise UserError(
                    f"Several workers need a function that they can import, at the top level of a "
                    f"module: {error}."
                ) from error
        return process

    def wait(self, seconds: float) -> None:
        """Waits until a worker ends, for `seconds` at most."""
        sentinels = [process.sentinel for process in self._processes.values()]
        if sentinels:
            wait(sentinels, seconds)
        else:
            time.sleep(seconds)

    def dismiss(self) -> None:
        """Stops the workers and waits until they have saved; a second Ctrl-C kills them."""
        try:
            for process in self._processes.values():
                process.terminate()
            for process in self._processes.values():
                process.join()
        except KeyboardInterrupt:
            for process in self._processes.values():
                process.kill()
            raise


def _worker_process(command: WorkerCommand) -> None:
    """Runs the command of a worker; the target of its process."""
    threading.Thread(target=_follow_parent, daemon=True).start()
    status = command()
    sys.exit(0 if status > 128 else status)


def _follow_parent() -> None:
    """Ends the worker as SIGTERM does when the process that started it dies."""
    wait([multiprocessing.parent_process().sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Sets environment variables for the processes that are started inside."""
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
