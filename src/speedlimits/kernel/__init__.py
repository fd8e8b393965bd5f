"""The empirical neural tangent kernel: formed where it fits, applied without forming it where it does not."""

from typing import TYPE_CHECKING

from speedlimits._lazy import lazy

if TYPE_CHECKING:
    from speedlimits.kernel.adaptation import adapted_kernel as adapted_kernel
    from speedlimits.kernel.empirical import eigenmodes as eigenmodes
    from speedlimits.kernel.empirical import empirical_kernel as empirical_kernel
    from speedlimits.kernel.empirical import kernel_drift as kernel_drift
    from speedlimits.kernel.lanczos import Lanczos as Lanczos
    from speedlimits.kernel.lanczos import ResidualMeasure as ResidualMeasure
    from speedlimits.kernel.lanczos import residual_measure as residual_measure
    from speedlimits.kernel.operator import KernelOperator as KernelOperator
    from speedlimits.kernel.spectrum import estimated_drift as estimated_drift
    from speedlimits.kernel.spectrum import spectral_density as spectral_density
    from speedlimits.kernel.spectrum import top_eigenpairs as top_eigenpairs
else:
    __getattr__, __dir__, __all__ = lazy(
        __name__,
        {
            "adaptation": "adapted_kernel",
            "empirical": "eigenmodes empirical_kernel kernel_drift",
            "lanczos": "Lanczos ResidualMeasure residual_measure",
            "operator": "KernelOperator",
            "spectrum": "estimated_drift spectral_density top_eigenpairs",
        },
    )
