"""The door of the public names: what would be lost is refused, what failed is named, what works is untouched."""

import pickle
import re

import numpy as np
import pytest
import torch

from speedlimits import Trajectory, dynamics, gradient_flow, speed_limit, transport
from speedlimits._arguments import named
from speedlimits.transport import points

pytestmark = pytest.mark.usefixtures("as_user")

ENSEMBLE = np.random.default_rng(0).normal(size=(24, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: transport.mean_shift(ENSEMBLE + 1j, ENSEMBLE),
            "`start` must be real numbers; start.dtype = complex128",
        ),
        (
            lambda: transport.mean_shift(np.ma.masked_array(ENSEMBLE), ENSEMBLE),
            "`start` must have no mask, which would",
        ),
        (
            lambda: transport.mean_shift(ENSEMBLE.tolist(), ENSEMBLE),
            "`start` must be a NumPy array of 2 dimensions; start",
        ),
        (lambda: transport.sliced(ENSEMBLE, ENSEMBLE, generator=3), "`generator` must be a Generator; generator = 3"),
        (lambda: gradient_flow(torch.sum, "theta", [0.0, 1.0]), "`theta0` must be a tensor of 1 dimensions; theta0 = "),
        (lambda: speed_limit(3), "`trajectory` must be a Trajectory; trajectory = 3"),
        (lambda: Trajectory.load(3.5), "`path` must be a text or a Path; path = 3.5"),
        (
            lambda: dynamics.sharpness(3, torch.ones(3), generator=torch.Generator()),
            "`loss` must be a function; loss = 3",
        ),
    ],
)
def test_argument_is_named(call, message):
    """Kind and value stand in one line, of functions, constructors and methods."""
    with pytest.raises(ValueError, match="^" + re.escape(message)) as found:
        call()
    assert "\n" not in str(found.value)


def test_error_of_a_function_given_is_not_hidden():
    """What a user's own function raises comes through as it is: every argument is of its kind."""

    def loss(theta: torch.Tensor) -> torch.Tensor:
        raise ZeroDivisionError("my own")

    with pytest.raises(ZeroDivisionError, match="my own"):
        gradient_flow(loss, torch.ones(3, dtype=torch.float64), [0.0, 1.0])


def test_public_name_is_that_of_its_module():
    """One object under both names, which pickles, and is wrapped once."""
    assert transport.assignment_cost is points_or_bounds("assignment_cost")
    assert pickle.loads(pickle.dumps(transport.assignment_cost)) is transport.assignment_cost
    assert named(transport.assignment_cost) is transport.assignment_cost


def points_or_bounds(name: str) -> object:
    """The name in the module that holds it."""
    from speedlimits.transport import plans

    return getattr(plans if hasattr(plans, name) else points, name)


@named
def _half(value: float) -> float:
    return 0.5 * value


def test_what_works_is_untouched():
    """NumPy's numbers pass; truth values and complex numbers do not pass as real ones."""
    assert _half(np.float32(3)) == 1.5
    for value in (True, 1j):
        with pytest.raises(ValueError, match="`value` must be a real number; value = "):
            _half(value)
