"""Gives each worker process of a machine an equal part of its processors and devices."""

import os
from pathlib import Path


def worker_environment(index: int, workers: int) -> dict[str, str]:
    """Returns environment variables for worker `index` of `workers`; those already set are kept.

    Processors are shared by limiting threads, not by pinning, since other programs may run on them.
    NVIDIA devices are assigned by number. With more workers than devices, the workers of one device
    share its memory.
    """
    wanted = {}
    threads = str(max(len(os.sched_getaffinity(0)) // workers, 1))
    for name in ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        wanted[name] = threads  # NPROC is XLA's, the others are NumPy's and scikit-learn's
    shared = {name: value for name, value in wanted.items() if name not in os.environ}
    devices = visible_devices()
    if not devices or os.environ.get("JAX_PLATFORMS", "") == "cpu":
        return shared
    if workers <= len(devices):
        return shared | {"CUDA_VISIBLE_DEVICES": ",".join(devices[index::workers])}
    device = index % len(devices)
    sharing = len(range(device, workers, len(devices)))
    shared["CUDA_VISIBLE_DEVICES"] = devices[device]
    if "XLA_PYTHON_CLIENT_MEM_FRACTION" not in os.environ:
        shared["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{0.9 / sharing:.3f}"
    return shared


def visible_devices() -> list[str]:
    """Returns the NVIDIA devices that this process may use, without loading their driver."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [device.strip() for device in visible.split(",") if device.strip()]
    found = Path("/dev").glob("nvidia[0-9]*")
    return sorted((path.name.removeprefix("nvidia") for path in found), key=int)
