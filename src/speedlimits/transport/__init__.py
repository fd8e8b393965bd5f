"""Squared Wasserstein-2 distances between laws: in closed form, by quadrature, or bounded from a stated side."""

from typing import TYPE_CHECKING

from speedlimits._lazy import lazy

if TYPE_CHECKING:
    from speedlimits.transport.bounds import gelbrich as gelbrich
    from speedlimits.transport.bounds import max_sliced as max_sliced
    from speedlimits.transport.bounds import mean_shift as mean_shift
    from speedlimits.transport.bounds import projections as projections
    from speedlimits.transport.bounds import sliced as sliced
    from speedlimits.transport.bounds import trace_bound as trace_bound
    from speedlimits.transport.directions import changed_directions as changed_directions
    from speedlimits.transport.gaussian import action as action
    from speedlimits.transport.gaussian import displacement as displacement
    from speedlimits.transport.gaussian import speed_squared as speed_squared
    from speedlimits.transport.gaussian import w2_squared as w2_squared
    from speedlimits.transport.gaussian import w2_squared_deltas as w2_squared_deltas
    from speedlimits.transport.gaussian import w2_squared_diagonal as w2_squared_diagonal
    from speedlimits.transport.gaussian import w2_squared_factors as w2_squared_factors
    from speedlimits.transport.maps import LinearMap as LinearMap
    from speedlimits.transport.maps import MonotoneMap as MonotoneMap
    from speedlimits.transport.maps import fastest_map as fastest_map
    from speedlimits.transport.plans import assignment_cost as assignment_cost
    from speedlimits.transport.plans import member_cost as member_cost
    from speedlimits.transport.plans import pair_costs as pair_costs
    from speedlimits.transport.plans import sinkhorn_cost as sinkhorn_cost
    from speedlimits.transport.points import w2_squared_densities as w2_squared_densities
    from speedlimits.transport.points import w2_squared_histograms as w2_squared_histograms
    from speedlimits.transport.points import w2_squared_samples as w2_squared_samples
    from speedlimits.transport.protocol import OptimalProtocol as OptimalProtocol
else:
    __getattr__, __dir__, __all__ = lazy(
        __name__,
        {
            "bounds": "gelbrich max_sliced mean_shift projections sliced trace_bound",
            "directions": "changed_directions",
            "gaussian": "action displacement speed_squared w2_squared"
            " w2_squared_deltas w2_squared_diagonal w2_squared_factors",
            "maps": "LinearMap MonotoneMap fastest_map",
            "plans": "assignment_cost member_cost pair_costs sinkhorn_cost",
            "points": "w2_squared_densities w2_squared_histograms w2_squared_samples",
            "protocol": "OptimalProtocol",
        },
    )
