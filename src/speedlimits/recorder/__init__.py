"""The path of the weights in any training loop, measured while it runs."""

from typing import TYPE_CHECKING

from speedlimits._lazy import lazy

if TYPE_CHECKING:
    from speedlimits.recorder.recorder import Recorder as Recorder
else:
    __getattr__, __dir__, __all__ = lazy(__name__, {"recorder": "Recorder"})
