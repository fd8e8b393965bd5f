"""Run campaigns in full and keep their counts: `python -m tests.torture [NAME …]`, or `make torture` for all."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.torture import _campaign, campaigns


def main() -> int:
    """Run the campaigns.

    Returns:
        1 if a promise was broken, otherwise 0.
    """
    known = campaigns()
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"campaigns, all by default: {', '.join(known)}")
    names = parser.parse_args().names or list(known)
    if unknown := [name for name in names if name not in known]:
        parser.error(f"no campaign {unknown[0]}: {', '.join(known)}")
    failed = 0
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            tally = known[name].run(known[name].TRIES, seed=0, folder=Path(folder))
        _campaign.write(name, tally)
        failed += len(tally.failures)
        endings = ", ".join(f"{count} {ending}" for ending, count in sorted(tally.endings.items()))
        print(f"{name}: {tally.endings.total()} tried; {endings}; {len(tally.failures)} failed", flush=True)
        print("".join(f"  {failure}\n" for failure in tally.failures[: _campaign.SHOWN]), end="", flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
