"""Networks in NTK parametrisation."""

from typing import TYPE_CHECKING

from speedlimits._lazy import lazy

if TYPE_CHECKING:
    from speedlimits.models.fcn import FCN as FCN
    from speedlimits.models.layers import NTKConv3x3 as NTKConv3x3
    from speedlimits.models.layers import NTKLinear as NTKLinear
    from speedlimits.models.myrtle import Myrtle5 as Myrtle5
else:
    __getattr__, __dir__, __all__ = lazy(
        __name__,
        {
            "fcn": "FCN",
            "layers": "NTKConv3x3 NTKLinear",
            "myrtle": "Myrtle5",
        },
    )
