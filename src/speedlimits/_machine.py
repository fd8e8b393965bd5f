"""What the machine has, and how this process uses it."""

import ctypes
import os
import sys

# `mallopt` of the GNU C library: blocks from this size on are the system's own; so much free memory goes back to it.
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
LARGEST_BLOCK, MOST_FREE = 2**30, 2**31 - 1


def cores() -> int:
    """How many cores this process may use: inside a container the machine may have more."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_room(size: int) -> bool:
    """Whether the system would give this process so many more bytes."""
    try:
        # Nothing is imported for it: where memory is short, that fails as well.
        bytearray(size)
    except MemoryError:
        return False
    return True


def keep_freed_memory() -> bool:
    """Keep what is freed for this process's next step, which asks for as much again; no number changes.

    The system hands memory out page by page, each page by a fault: 15 % of a gradient of the paper's network at width
    128, a fifth of a step of 1,000 noisy networks. For processes of our own alone: it holds for all of one.

    Returns:
        Whether the C library can; others than GNU's are left as they are.
    """
    if sys.platform != "linux":
        return False
    try:
        library = ctypes.CDLL(None)
        # Both: a threshold set by hand no longer adapts.
        return bool(library.mallopt(MMAP_THRESHOLD, LARGEST_BLOCK) and library.mallopt(TRIM_THRESHOLD, MOST_FREE))
    except (OSError, AttributeError):
        return False
