"""Closed forms, the paper's and ours, independent of torch: the oracle the dynamics is tested against."""

from typing import TYPE_CHECKING

from speedlimits._lazy import lazy

if TYPE_CHECKING:
    from speedlimits.theory.adapted_kernel import AdaptedKernel as AdaptedKernel
    from speedlimits.theory.adapted_kernel import KernelInterval as KernelInterval
    from speedlimits.theory.constant_kernel import ConstantKernel as ConstantKernel
    from speedlimits.theory.discretisation import TwoCycle as TwoCycle
    from speedlimits.theory.discretisation import first_order as first_order
    from speedlimits.theory.discretisation import second_order as second_order
    from speedlimits.theory.fokker_planck import FokkerPlanck as FokkerPlanck
    from speedlimits.theory.fokker_planck import FokkerPlanckSolution as FokkerPlanckSolution
    from speedlimits.theory.heavy_ball import HeavyBall as HeavyBall
    from speedlimits.theory.linear_regression import LinearRegression as LinearRegression
    from speedlimits.theory.mini_batch_limit import MiniBatchLimit as MiniBatchLimit
    from speedlimits.theory.mini_batch_path import ExpectedStrides as ExpectedStrides
    from speedlimits.theory.mini_batch_path import MiniBatchPath as MiniBatchPath
    from speedlimits.theory.mini_batches import MiniBatches as MiniBatches
    from speedlimits.theory.ornstein_uhlenbeck import OrnsteinUhlenbeck as OrnsteinUhlenbeck
    from speedlimits.theory.power_law import PhaseDiagram as PhaseDiagram
    from speedlimits.theory.power_law import PowerLaw as PowerLaw
    from speedlimits.theory.power_law import phase_diagram as phase_diagram
    from speedlimits.theory.power_law_leading import LeadingTerms as LeadingTerms
    from speedlimits.theory.power_law_leading import asymptotic_geometric as asymptotic_geometric
    from speedlimits.theory.power_law_leading import asymptotic_inefficiency as asymptotic_inefficiency
    from speedlimits.theory.power_law_leading import asymptotic_pace as asymptotic_pace
    from speedlimits.theory.power_law_sums import PowerLawSums as PowerLawSums
    from speedlimits.theory.regression_limit import RegressionLimit as RegressionLimit
    from speedlimits.theory.samplers import Sampler as Sampler
    from speedlimits.theory.schedule_phases import ScheduleExponents as ScheduleExponents
    from speedlimits.theory.schedule_phases import schedule_exponents as schedule_exponents
    from speedlimits.theory.schedules import BestSchedule as BestSchedule
    from speedlimits.theory.schedules import NoisyPowerLaw as NoisyPowerLaw
    from speedlimits.theory.schedules import ScheduledLoss as ScheduledLoss
    from speedlimits.theory.schedules import polynomial_decay as polynomial_decay
    from speedlimits.theory.schedules import stable_decay as stable_decay
    from speedlimits.theory.surrogate import Surrogate as Surrogate
    from speedlimits.theory.surrogate import SurrogateTimes as SurrogateTimes
    from speedlimits.theory.uncertainty import Uncertainty as Uncertainty
    from speedlimits.theory.uncertainty import of_linear as of_linear
    from speedlimits.theory.uncertainty import of_solution as of_solution
else:
    __getattr__, __dir__, __all__ = lazy(
        __name__,
        {
            "adapted_kernel": "AdaptedKernel KernelInterval",
            "constant_kernel": "ConstantKernel",
            "discretisation": "TwoCycle first_order second_order",
            "fokker_planck": "FokkerPlanck FokkerPlanckSolution",
            "heavy_ball": "HeavyBall",
            "linear_regression": "LinearRegression",
            "mini_batch_limit": "MiniBatchLimit",
            "mini_batch_path": "ExpectedStrides MiniBatchPath",
            "mini_batches": "MiniBatches",
            "ornstein_uhlenbeck": "OrnsteinUhlenbeck",
            "power_law": "PhaseDiagram PowerLaw phase_diagram",
            "power_law_leading": "LeadingTerms asymptotic_geometric asymptotic_inefficiency asymptotic_pace",
            "power_law_sums": "PowerLawSums",
            "regression_limit": "RegressionLimit",
            "samplers": "Sampler",
            "schedule_phases": "ScheduleExponents schedule_exponents",
            "schedules": "BestSchedule NoisyPowerLaw ScheduledLoss polynomial_decay stable_decay",
            "surrogate": "Surrogate SurrogateTimes",
            "uncertainty": "Uncertainty of_linear of_solution",
        },
    )
