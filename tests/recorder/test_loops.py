"""The recorder in every loop: its numbers beside those of a reference, or the words with which it refuses."""

import pytest

from tests.recorder.loops import LOOPS, Loop


# The compiler meets deprecated parts of torch itself.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.parametrize("loop", LOOPS, ids=str)
@pytest.mark.usefixtures("as_user")
def test_loop(loop: Loop):
    """Time, distance, length and dissipation at the end agree with sums in float64, or the error says why not."""
    if loop.refused:
        with pytest.raises(ValueError, match=loop.refused):
            loop.run()
        return
    try:
        recorder, reference = loop.run()
    except ModuleNotFoundError as error:
        pytest.skip(f"needs {error.name}")
    assert reference.error(recorder) < loop.tolerance
    assert recorder.speed_limit().certified
