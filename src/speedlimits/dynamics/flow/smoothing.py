"""Whether a ReLU network was smoothed little enough for its flow: ε against ε/2."""

from numpy.typing import ArrayLike

from speedlimits._checks import check_positive
from speedlimits.dynamics.flow.gradient_flow import gradient_flow
from speedlimits.dynamics.loss import FlatLoss

QUANTITIES = ("w2_squared", "arc_lengths", "loss_drop")


def smoothing_error(loss: FlatLoss, times: ArrayLike, *, rtol: float = 1e-3) -> dict[str, float]:
    """By what share the end of the flow moves when ε is halved.

    A path along kinks has an error of the order of ε, as long as it keeps to its branch; a path that takes another one
    is off by per cents, and then ε is too large. There is no tolerance that tells the two apart: this does.

    Args:
        loss: with ``smooth`` = ε.
        times: as of `gradient_flow`, from 0 [time].
        rtol: the accuracy of both flows.

    Returns:
        Relative changes of |Δθ|², arc length and ΔL at the last time, by the names of `Trajectory`.

    Raises:
        ValueError: if the loss is not smoothed, or as of `gradient_flow`.
    """
    check_positive("smooth", loss.smooth)
    wide, narrow = (
        gradient_flow(each, each.initial, times, rtol=rtol) for each in (loss, loss.smoothed(loss.smooth / 2))
    )
    return {name: float(getattr(wide, name)[-1] / getattr(narrow, name)[-1] - 1) for name in QUANTITIES}
