"""The warm start: chosen by the members' mean accuracy, and the inefficiency from any start to any end."""

import numpy as np
import pytest

from speedlimits import Trajectory, speed_limit
from speedlimits.report.curves import accuracy_band, inefficiency_map, warm_start_time
from tests.report.members import RUNS


def with_accuracy(*series: list[float]) -> list[Trajectory]:
    """Members of as many records as the series are long."""
    measured = ("times", "losses", "w2_squared", "arc_lengths", "path_dissipation")
    return [
        Trajectory(**{name: getattr(RUNS[0], name)[: len(values)] for name in measured}, test_accuracy=np.array(values))
        for values in series
    ]


def test_the_mean_over_the_members_decides():
    """12 % is reached where the mean reaches it, though one member did before; later dips change nothing."""
    runs = with_accuracy([0.1, 0.13, 0.14, 0.1, 0.2], [0.1, 0.1, 0.11, 0.1, 0.2])
    assert warm_start_time(runs) == runs[0].times[2]
    assert warm_start_time(runs, 0.2) == runs[0].times[4]


def test_a_lucky_initialisation_is_no_start():
    """An accuracy above the threshold at time zero is chance: the start is the first record after it."""
    runs = with_accuracy([0.3, 0.1, 0.12])
    assert warm_start_time(runs) == runs[0].times[2]


def test_records_without_an_accuracy_are_passed_over():
    """Accuracies have a schedule of their own: the first one that reaches 12 % decides, and curves have no gaps."""
    runs = with_accuracy([0.1, np.nan, 0.11, np.nan, 0.2], [0.1, np.nan, 0.11, np.nan, 0.2])
    assert warm_start_time(runs) == runs[0].times[4]
    np.testing.assert_array_equal(accuracy_band(runs).times, runs[0].times[[2, 4]])
    np.testing.assert_array_equal(accuracy_band(runs).mean, [0.11, 0.2])


def test_never_reached_is_not_a_number():
    """Where no record reaches the threshold there is no such time."""
    assert np.isnan(warm_start_time(with_accuracy([0.1, 0.11]), 0.12))


@pytest.mark.usefixtures("as_user")
def test_threshold_is_checked():
    """A negative accuracy means nothing."""
    with pytest.raises(ValueError, match="`threshold` must be a share from 0 to 1; threshold = -1"):
        warm_start_time(RUNS, -1.0)


def test_each_row_of_the_map_is_a_view_from_there():
    """M[i, j] is T/T_SL of the run seen from snapshot i, at snapshot j; nothing stands on or below the diagonal.

    It also proves Eq. (12).
    """
    run = RUNS[1]
    found = inefficiency_map(run)
    for i in range(run.snapshot_records.size - 1):
        view = run.from_start(run.snapshot_times[i])
        np.testing.assert_allclose(found[i, i + 1 :], speed_limit(view).inefficiency[1:], rtol=1e-10)
    assert np.isnan(found[np.tril_indices_from(found)]).all()
    assert (found[np.triu_indices_from(found, 1)] >= 1 - 1e-12).all()
