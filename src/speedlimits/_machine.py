"""What the machine has."""

import os


def cores() -> int:
    """How many cores this process may use: inside a container the machine may have more."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
