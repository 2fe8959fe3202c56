"""Command line of cnnlab: see `python launch.py --help`."""

from cnnlab.cli.main import run

if __name__ == "__main__":
    run()
