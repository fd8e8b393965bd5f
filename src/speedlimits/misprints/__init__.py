"""The paper's formulas as printed, where they are wrong; the right ones are elsewhere."""

from typing import TYPE_CHECKING

from speedlimits._lazy import lazy

if TYPE_CHECKING:
    from speedlimits.misprints import entropy as entropy
    from speedlimits.misprints import power_law as power_law
    from speedlimits.misprints import regression as regression
else:
    # The names of these modules repeat, so the modules are what is public.
    __getattr__, __dir__, __all__ = lazy(__name__, {}, modules="entropy power_law regression")
