"""Real data sets as plain arrays."""

from typing import TYPE_CHECKING

from speedlimits._lazy import lazy

if TYPE_CHECKING:
    from speedlimits.data import cifar10 as cifar10
    from speedlimits.data import digits as digits
    from speedlimits.data.dataset import Dataset as Dataset
    from speedlimits.data.dataset import classification as classification
else:
    __getattr__, __dir__, __all__ = lazy(
        __name__,
        {
            "dataset": "Dataset classification",
        },
        modules="cifar10 digits",
    )
