"""What a study of noisy training is: one frozen dataclass, written to TOML."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

import tomli_w

from speedlimits._checks import check_integer, check_positive
from speedlimits.estimates import check_confidence, members_needed

# Distances from below and dissipations from above that a certified limit is chosen from; each has its share of error.
CANDIDATES = 7


@dataclass(frozen=True, kw_only=True)
class NoisyConfig:
    """An ensemble of networks under Langevin dynamics, Eqs. (1), (2), from exact draws of its start.

    Raises:
        ValueError: naming the key, the rule and the value. Names of data sets, models and schemes are checked where
            they are looked up, when the study is run.
    """

    dataset: str = "digits"
    """Data set: digits."""
    samples: int = 20
    """Training images, the first n in original order."""
    model: str = "fcn"
    """Network: fcn, in NTK parametrisation."""
    width: int = 8
    """Units in each hidden layer."""
    depth: int = 1
    """Hidden layers; 0 is a linear model."""
    activation: str = "tanh"
    """Activation: erf, gelu, identity, relu or tanh."""
    inverse_temperature: float = 10.0
    """β, of the noise and of the start."""
    prior_precision: float | Literal["auto"] = "auto"
    """κ in V = κ|θ|² + L; auto makes the start's variance 1/(2βκ) = 1, the network's own initialisation."""
    members: int = 400
    """Networks in the ensemble."""
    time: float = 1.0
    """T, flow time."""
    step: float | Literal["auto"] = "auto"
    """Time step; auto is a tenth of the limit of stability at the start."""
    scheme: str = "euler-maruyama"
    """Integrator: euler-maruyama, leimkuhler-matthews or metropolis."""
    records: int = 16
    """Times to look at the ensemble, log-spaced."""
    confidence: float = 0.95
    """Joint confidence of the certified limit."""
    strengths: int = 16
    """Strengths of the loss between start and equilibrium, for thermodynamic integration and annealing."""
    anneal_steps: int = 10
    """Metropolis steps at each strength."""
    seed: int = 0
    """Of the start and of all noise."""

    def __post_init__(self) -> None:
        for key, minimum in (
            ("samples", 1),
            ("width", 1),
            ("depth", 0),
            ("members", 16),
            ("records", 2),
            ("strengths", 2),
            ("anneal_steps", 1),
            ("seed", 0),
        ):
            check_integer(key, getattr(self, key), minimum=minimum)
        check_positive("inverse_temperature", self.inverse_temperature)
        check_positive("time", self.time)
        for key in ("prior_precision", "step"):
            if getattr(self, key) != "auto":
                check_positive(key, getattr(self, key))
        check_confidence(self.confidence)
        # One more: two halves have one degree of freedom less than a whole.
        needed = members_needed(1.0 - (1.0 - self.confidence) / CANDIDATES) + 1
        if self.members < needed:
            raise ValueError(
                f"`members` must be at least {needed} for a limit at {self.confidence:g} confidence, chosen from "
                f"{CANDIDATES} candidates; members = {self.members}."
            )

    @property
    def kappa(self) -> float:
        """κ [loss], ``auto`` resolved."""
        return 0.5 / self.inverse_temperature if self.prior_precision == "auto" else float(self.prior_precision)

    def to_toml(self) -> str:
        """The configuration as TOML text, every key written out."""
        return tomli_w.dumps(dataclasses.asdict(self))
