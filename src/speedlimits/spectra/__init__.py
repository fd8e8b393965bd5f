"""Spectra of kernels and data: the Marchenko–Pastur law, power laws and their fits."""

from typing import TYPE_CHECKING

from speedlimits._lazy import lazy

if TYPE_CHECKING:
    from speedlimits.spectra.marchenko_pastur import Quadrature as Quadrature
    from speedlimits.spectra.marchenko_pastur import quadrature as quadrature
    from speedlimits.spectra.power_law import PowerLawFit as PowerLawFit
    from speedlimits.spectra.power_law import fit_power_law as fit_power_law
else:
    __getattr__, __dir__, __all__ = lazy(
        __name__,
        {
            "marchenko_pastur": "Quadrature quadrature",
            "power_law": "PowerLawFit fit_power_law",
        },
    )
