"""Settings of JAX that a command wants before it computes anything."""

import os
from pathlib import Path

import jax


def enable_compilation_cache() -> None:
    """Keeps compiled programs on disk, so that the second run of a recipe starts at once.

    Under $JAX_COMPILATION_CACHE_DIR, or else ~/.cache/cnnlab/xla.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = Path(os.environ.get("CNNLAB_CACHE", "~/.cache/cnnlab")).expanduser() / "xla"
        jax.config.update("jax_compilation_cache_dir", str(folder))
    # JAX's threshold of one second leaves out most of a small network's programs.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
