"""Command line of cnnlab: see `python launch.py --help`."""

from cnnlab.cli.start import start

if __name__ == "__main__":
    start()
