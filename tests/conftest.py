"""Shapes in annotations are checked while the tests run, and property tests are reproducible."""

import os

# Small networks gain nothing from threads, and tests side by side lose much. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import jaxtyping
import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

import tests.typecheck  # noqa: F401  (the hook finds it by name)

# Before any module of the package is imported: every annotated shape is then checked on every call.
_hook = install_import_hook("speedlimits", "tests.typecheck.typecheck")
_hook.__enter__()

# The same examples on every run: a failure anywhere is a failure everywhere.
settings.register_profile("reproducible", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("reproducible")


@pytest.fixture
def as_user():
    """Switch the shape checks off: what a user meets is the package's own error, not the test suite's."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)
