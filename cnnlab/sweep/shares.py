"""What each worker process of a machine may use: an equal part of its processors and devices."""

import os
from pathlib import Path


def worker_environment(index: int, workers: int) -> dict[str, str]:
    """Environment variables for worker `index` of so many; what the user has set is kept.

    Processors are shared by numbers of threads, and not by pinning: other programs may run on
    them. NVIDIA devices are shared by number; where there are more workers than devices, those of
    one device share its memory.
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
    """The NVIDIA devices that this process may use, without asking their driver."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [device.strip() for device in visible.split(",") if device.strip()]
    found = Path("/dev").glob("nvidia[0-9]*")
    return sorted((path.name.removeprefix("nvidia") for path in found), key=int)
