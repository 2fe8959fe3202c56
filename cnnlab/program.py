"""How a user calls the command line: `python launch.py` in a clone, `cnnlab` elsewhere."""

import sys
from pathlib import Path

_CLONE = Path(__file__).parents[1]


def program() -> str:
    """The words with which a command shown to the user begins."""
    if Path(sys.argv[0]).name == "cnnlab" or not (_CLONE / "launch.py").is_file():
        return "cnnlab"
    return "python launch.py"
