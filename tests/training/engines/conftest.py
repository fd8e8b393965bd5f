"""What the tests of both engines compare with."""

from pathlib import Path

import pytest

from speedlimits.training.train import train_study
from tests.training.engines.faults import STUDIES


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> Path:
    """The folder of a study that nothing happened to."""
    folder = tmp_path_factory.mktemp("faults") / "undisturbed"
    train_study(STUDIES, folder)
    return folder
