"""Campaigns that try to break what docs/trust.md promises: `make torture`, and a small share of each in `make test`.

A campaign is a module here. It has `TRIES`, its full number of tries; `SHARE`, the number in `make test`; and
`run(tries, seed, folder)`, which returns a `Tally` and writes into `folder` alone.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType

# Not campaigns: what they share, and the tests of a share of each.
OTHERS = ("_", "test_")


def campaigns() -> dict[str, ModuleType]:
    """All campaigns by name."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith(OTHERS))
    return {name: import_module(f"{__name__}.{name}") for name in names}
