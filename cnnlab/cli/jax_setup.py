"""Settings of JAX that commands make before they compute anything."""

import os

import jax

from cnnlab.storage.user_cache import cache_dir

_THRESHOLD = 0.2  # seconds of compilation


def enable_compilation_cache() -> None:
    """Caches compiled programs on disk, so that the second run of a recipe starts sooner.

    The folder is $JAX_COMPILATION_CACHE_DIR, or else ~/.cache/cnnlab/xla.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = cache_dir() / "xla"
        jax.config.update("jax_compilation_cache_dir", str(folder))
    # JAX's threshold of one second leaves out most of a small network's programs.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _THRESHOLD)


def share_compilation_cache() -> None:
    """Does the same for this process and the processes that it starts."""
    enable_compilation_cache()
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(jax.config.jax_compilation_cache_dir))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", str(_THRESHOLD))
