"""The command is met as a user meets it: without the suite's shape checks."""

import jaxtyping
import pytest


@pytest.fixture(scope="package", autouse=True)
def _as_user():
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
