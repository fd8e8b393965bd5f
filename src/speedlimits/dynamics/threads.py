"""One thread for what must come out the same on any machine: sums have one order only then."""

import contextlib
from collections.abc import Iterator

import torch
from threadpoolctl import threadpool_limits


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Hold torch, and the linear algebra of NumPy and SciPy, to one thread; as a decorator, for a whole function.

    Yields:
        Nothing; afterwards the caller has as many threads as before.
    """
    threads = torch.get_num_threads()
    with threadpool_limits(limits=1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
