"""The path of the weights in any training loop, measured while it runs."""

from typing import TYPE_CHECKING

from speedlimits._lazy import lazy

if TYPE_CHECKING:
    from speedlimits.recorder.edge import Edge as Edge
    from speedlimits.recorder.edge import EdgeReading as EdgeReading
    from speedlimits.recorder.recorder import Recorder as Recorder
    from speedlimits.recorder.seeds import SeedsDrift as SeedsDrift
    from speedlimits.recorder.seeds import drift_over_seeds as drift_over_seeds
    from speedlimits.recorder.spheres import Spheres as Spheres
    from speedlimits.recorder.spheres import scale_invariant as scale_invariant
else:
    __getattr__, __dir__, __all__ = lazy(
        __name__,
        {
            "edge": "Edge EdgeReading",
            "recorder": "Recorder",
            "seeds": "SeedsDrift drift_over_seeds",
            "spheres": "Spheres scale_invariant",
        },
    )
