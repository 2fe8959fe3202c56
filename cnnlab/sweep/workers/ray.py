"""Workers as tasks of Ray, on this machine or a cluster."""

import ast
import dataclasses
import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from cnnlab.errors import UserError, first_line
from cnnlab.sweep.study.study import Study
from cnnlab.sweep.workers.command import WorkerCommand
from cnnlab.train.runtime.signals import Interrupted, StopRequests

_PAUSE = 0.3
_MOST_DEATHS = 20  # retries of one worker
_SAVING = 600.0  # seconds in which stopped workers must have saved


def work_on_ray(
    study: Study,
    command: WorkerCommand,
    *,
    options: Sequence[str] = (),
    ended: Callable[[], None] = lambda: None,
) -> None:
    """Works on a study by tasks of Ray until all its trials have ended.

    Starts a cluster of this machine's processors and devices, unless `address` names one. Ray
    starts a worker again whose process died; its trial is resumed from its last checkpoint.

    Args:
      study: a study in a folder that the nodes share.
      command: what each task runs.
      options: `NAME=VALUE`: `address` of a cluster (`auto` for the one that this machine belongs
        to), and options of a Ray task: `num_cpus`, `num_gpus`, ... Where these are unset, each
        worker gets an equal share of the cluster's processors and devices.
      ended: called when trials may have ended.

    Raises:
      UserError: Ray is not installed, the cluster does not answer, an option is invalid, or a
        worker failed.
      Interrupted: a signal arrived; the workers have saved their trials and returned them to the
        queue.
    """
    try:
        import ray
    except ImportError as error:
        raise UserError("launcher=ray needs Ray: pip install 'cnnlab[ray]'.") from error
    chosen = _read(options)
    address = chosen.pop("address", None)
    with StopRequests() as stop:
        try:
            ray.init(
                address=address,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            raise UserError(f"launcher=ray: {first_line(error)}") from error
        (study.folder / "logs").mkdir(exist_ok=True)
        running: list[Any] = []
        started = 0
        try:
            share = _share(ray.cluster_resources(), command.workers) | chosen
            try:
                task = ray.remote(max_retries=_MOST_DEATHS, **share)(_run)
            except (TypeError, ValueError) as error:
                raise UserError(f"launcher=ray: {first_line(error)}") from error
            while not study.is_over():
                if stop.signum is not None:
                    raise Interrupted(stop.signum, 0)
                free = min(command.workers - len(running), study.to_take())
                for _ in range(free):
                    started += 1
                    log = study.folder.resolve() / "logs" / f"ray-{started}.log"
                    own = dataclasses.replace(command, log=log)
                    running.append(task.remote(own, share))
                if not running:  # other machines have the last trials
                    time.sleep(_PAUSE)
                    continue
                done, running = ray.wait(running, timeout=_PAUSE)
                _check(ray, done, study)
                ended()
        finally:
            for reference in running:
                ray.cancel(reference)  # as Ctrl-C does
            if running:
                ray.wait(running, num_returns=len(running), timeout=_SAVING)
            ray.shutdown()
            ended()


def _run(command: WorkerCommand, share: dict[str, Any]) -> int:
    """Runs the command of a worker in a task, for which Ray has chosen the visible devices."""
    os.environ.setdefault("NPROC", str(max(int(share["num_cpus"]), 1)))  # XLA's threads
    if 0 < share["num_gpus"] < 1:
        memory = f"{0.9 * share['num_gpus']:.3f}"
        os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", memory)
    return command()


def _share(resources: dict[str, float], workers: int) -> dict[str, Any]:
    """An equal part of a cluster's processors and devices, rounded down to whole ones above 1."""
    parts = {}
    for name, kind in (("num_cpus", "CPU"), ("num_gpus", "GPU")):
        part = resources.get(kind, 0.0) / workers
        parts[name] = part // 1 if part >= 1 else int(100 * part) / 100
    return parts


def _check(ray: Any, done: list[Any], study: Study) -> None:
    for reference in done:
        try:
            status = ray.get(reference)
        except ray.exceptions.RayError as error:
            raise UserError(f"launcher=ray: a worker failed: {first_line(error)}") from error
        if status == 1:
            raise UserError(
                f"launcher=ray: a worker could not work on the study, see {study.folder}/logs."
            )


def _read(options: Sequence[str]) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise UserError(f"ray={option} must be NAME=VALUE, e.g. num_gpus=0.5.")
        try:
            chosen[name] = value if name == "address" else ast.literal_eval(value)
        except (ValueError, SyntaxError) as error:
            raise UserError(f"ray={option}: '{value}' is not a number.") from error
    return chosen
