"""`python -m speedlimits`: the command, for an interpreter whose scripts are not on the path."""

import sys

# Python puts the current folder first: a torch.py there must not hide the package of that name.
if not sys.flags.safe_path:
    del sys.path[0]

from speedlimits.cli.main import entry

if __name__ == "__main__":
    entry()
