"""The studies in the repository: complete, and their figures are what their series say."""

import csv
from pathlib import Path

import numpy as np
import pytest

from speedlimits.report.claims import claims, markdown
from speedlimits.report.figure1_tables import groups, tables
from speedlimits.runs.kernel import KernelRecord
from speedlimits.runs.study import load_study
from speedlimits.training.presets import preset

FOLDER = Path(__file__).parents[1] / "studies"
# Each with what it was made of, as docs/study.md and studies/README.md say.
STUDIES = {
    "small": preset("small"),
    "width128": preset("paper", samples=(125, 500), seeds=(0, 1, 2), time=2.0),
}


@pytest.fixture(scope="module", params=STUDIES)
def study(request) -> str:
    """A study's name."""
    return request.param


@pytest.fixture(scope="module")
def runs(study) -> dict:
    """The runs of the study, read from the repository."""
    return load_study(FOLDER / study)


def test_study_is_the_preset(study, runs):
    """Every configuration is that of its preset as it is now, and every member is there once."""
    assert {name: run.config for name, run in runs.items()} == STUDIES[study]
    for run in runs.values():
        assert tuple(run.trajectories) == run.config.seeds


def test_figure_is_that_of_the_series(study, runs):
    """The CSV files of panels (a) to (e) have the numbers that the series give."""
    members = {run.config.samples: list(run.trajectories.values()) for run in runs.values()}
    for name, table in tables(groups(members)).items():
        with (FOLDER / study / "figure1" / f"panel_{name}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        for column, values in table.items():
            written = np.array([row[column] for row in rows])
            if values.dtype.kind == "f":
                np.testing.assert_allclose(written.astype(float), values, rtol=1e-12)
            else:
                assert written.tolist() == [str(value) for value in values.tolist()]


def test_claims_are_those_of_the_series(study, runs):
    """The paper's claims with their verdicts, as they are printed in the documentation."""
    first = next(iter(runs.values()))
    kernels = [record for run in runs.values() if (record := KernelRecord.of_run(run))]
    found = groups({run.config.samples: list(run.trajectories.values()) for run in runs.values()})
    judged = claims(
        found,
        tables(found),
        width=first.config.width,
        held_out=first.summary["held_out"],
        kernel=kernels[0] if kernels else None,
    )
    assert markdown(judged) == (FOLDER / study / "figure1" / "claims.md").read_text(encoding="utf-8")


def test_inequalities_hold_in_every_member(runs):
    """T·∫|v|²dt ≥ l² ≥ |Δθ|² at every record of every network."""
    for run in runs.values():
        for path in run.trajectories.values():
            slack = 1 + 1e-9
            assert np.all(path.times * path.path_dissipation * slack >= path.arc_lengths**2)
            assert np.all(path.arc_lengths**2 * slack >= path.w2_squared)
