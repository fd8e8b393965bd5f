"""Dissipation, entropy production times temperature, in every way the paper gives."""

from typing import TYPE_CHECKING

from speedlimits._lazy import lazy

if TYPE_CHECKING:
    from speedlimits.dissipation.bounds import distance_over_time as distance_over_time
    from speedlimits.dissipation.bounds import energy_entropy as energy_entropy
    from speedlimits.dissipation.bounds import initial_loss as initial_loss
    from speedlimits.dissipation.bounds import maximum_entropy as maximum_entropy
    from speedlimits.dissipation.equilibrium import annealed_importance as annealed_importance
    from speedlimits.dissipation.equilibrium import thermodynamic_integration as thermodynamic_integration
    from speedlimits.dissipation.fluctuation import FluctuationTheorem as FluctuationTheorem
    from speedlimits.dissipation.fluctuation import fluctuation_theorem as fluctuation_theorem
    from speedlimits.dissipation.free_energy import bath_entropy_production as bath_entropy_production
    from speedlimits.dissipation.free_energy import boundary_entropy_production as boundary_entropy_production
    from speedlimits.dissipation.free_energy import divergence_dissipation as divergence_dissipation
    from speedlimits.dissipation.free_energy import equilibrium_dissipation as equilibrium_dissipation
    from speedlimits.dissipation.free_energy import gaussian_divergence as gaussian_divergence
    from speedlimits.dissipation.free_energy import gaussian_entropy as gaussian_entropy
    from speedlimits.dissipation.free_energy import log_partition as log_partition
    from speedlimits.dissipation.free_energy import loss_drop as loss_drop
    from speedlimits.dissipation.free_energy import nonequilibrium_free_energy as nonequilibrium_free_energy
    from speedlimits.dissipation.path import RateTerms as RateTerms
    from speedlimits.dissipation.path import gaussian_rate_terms as gaussian_rate_terms
    from speedlimits.dissipation.path import gaussian_velocity_squared as gaussian_velocity_squared
    from speedlimits.dissipation.path import probability_current as probability_current
    from speedlimits.dissipation.path import time_integral as time_integral
    from speedlimits.dissipation.path import velocity as velocity
    from speedlimits.dissipation.path_measure import euler_maruyama_step as euler_maruyama_step
    from speedlimits.dissipation.path_measure import log_path_density as log_path_density
    from speedlimits.dissipation.path_measure import log_path_ratio as log_path_ratio
    from speedlimits.dissipation.rates import rate_integral as rate_integral
    from speedlimits.dissipation.rates import score_squared_bound as score_squared_bound
else:
    __getattr__, __dir__, __all__ = lazy(
        __name__,
        {
            "bounds": "distance_over_time energy_entropy initial_loss maximum_entropy",
            "equilibrium": "annealed_importance thermodynamic_integration",
            "fluctuation": "FluctuationTheorem fluctuation_theorem",
            "free_energy": "bath_entropy_production boundary_entropy_production divergence_dissipation"
            " equilibrium_dissipation gaussian_divergence gaussian_entropy log_partition loss_drop"
            " nonequilibrium_free_energy",
            "path": "RateTerms gaussian_rate_terms gaussian_velocity_squared"
            " probability_current time_integral velocity",
            "path_measure": "euler_maruyama_step log_path_density log_path_ratio",
            "rates": "rate_integral score_squared_bound",
        },
    )
