"""Where the user's cache lies."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """Returns $CNNLAB_CACHE, or ~/.cache/cnnlab."""
    return Path(os.environ.get("CNNLAB_CACHE", "~/.cache/cnnlab")).expanduser()
