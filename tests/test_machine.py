"""What this process makes of its machine."""

import subprocess
import sys

import pytest

from speedlimits._machine import has_room

FAULTS = """
import resource
import numpy as np
from speedlimits._machine import keep_freed_memory
if {keep} and not keep_freed_memory():
    print("not here")
    raise SystemExit
for round in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(5_000_000)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_freed_memory_is_used_again():
    """40 MB written for the third time: nearly ten thousand page faults (4 KB each), none where they are kept."""
    if sys.platform != "linux":
        pytest.skip("there is nothing to set")
    counts = []
    for keep in (False, True):
        code = [sys.executable, "-c", FAULTS.format(keep=keep)]
        said = subprocess.run(code, capture_output=True, text=True, check=True).stdout.split()
        if said == ["not", "here"]:
            pytest.skip("another C library")
        counts.append(int(said[-1]))
    # Pages may be larger than 4 KB.
    assert counts[0] > 10
    assert counts[1] < counts[0] / 10


def test_room():
    """A megabyte is there; more than any machine can address is not."""
    assert has_room(10**6)
    assert not has_room(2**62)
