"""What a study is: one frozen dataclass, written to and read from TOML."""

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tomli_w

from speedlimits._checks import check_integer, check_non_negative, check_one_of, check_positive


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """An ensemble of networks of one kind, trained on one data set from different initial weights.

    Raises:
        ValueError: naming the key, the rule and the value. Names of data sets, models and methods are checked
            where they are looked up, when the study is run.
    """

    dataset: str = "digits"
    """Data set: digits, 8×8 pixels; cifar10, from $SPEEDLIMITS_DATA/cifar10 or downloaded."""
    samples: int = 500
    """Training images, the first n in original order."""
    model: str = "fcn"
    """Network, in NTK parametrisation: fcn, fully connected; myrtle, the convolutional Myrtle-5."""
    width: int = 64
    """Units in each hidden layer; for myrtle, channels."""
    depth: int = 2
    """Hidden layers of fcn; 0 is a linear model."""
    activation: str = "auto"
    """Activation: erf, gelu, identity, relu or tanh; auto is tanh for fcn, relu for myrtle."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    """One member for each: its seed for the initial weights."""
    time: float = 1.0
    """T, flow time to train for: learning rate × steps, for the loss ½Σ(f−y)²."""
    method: str = "rkc2"
    """How to follow the gradient flow: rkc2, stabilised Runge–Kutta of order 2; rock4, of order 4, for rtol 1e-4 and
    below; rk4, the classical method at 1/λ_max; gd, full-batch gradient descent."""
    rtol: float = 1e-4
    """Local error of rkc2 and rock4, relative to the distance travelled; 1e-2 or 1e-3 for kinks (relu)."""
    learning_rate: float | Literal["auto"] = "auto"
    """η of gd; auto makes η/(1 − momentum) 0.1/λ_max, the largest λ_max over the members."""
    momentum: float = 0.0
    """μ of gd, heavy-ball momentum; a step then covers the flow time η/(1 − μ)."""
    dtype: Literal["float32", "float64"] = "float64"
    """Precision of the network; sums and distances are float64 always."""
    device: str = "cpu"
    """Where to compute, in torch's words: cpu, cuda, cuda:1."""
    records: int = 300
    """Record times, about; two thirds of them log-spaced."""
    snapshots: int = 40
    """Kept weights, about, log-spaced: each a possible warm start."""
    warm_start: float = 0.01
    """Start of the warm-start curves, as a share of T (any snapshot can be chosen later)."""
    triples: int = 6
    """Random weight triples to trace."""

    def __post_init__(self) -> None:
        for key, minimum in (
            ("samples", 1),
            ("width", 1),
            ("depth", 0),
            ("records", 2),
            ("snapshots", 2),
            ("triples", 0),
        ):
            check_integer(key, getattr(self, key), minimum=minimum)
        check_positive("time", self.time)
        check_positive("rtol", self.rtol)
        if self.learning_rate != "auto":
            check_positive("learning_rate", self.learning_rate)
        check_non_negative("momentum", self.momentum)
        if not self.momentum < 1:
            raise ValueError(f"`momentum` must be below 1; momentum = {self.momentum:g}.")
        for key, default, owner, name in (
            ("learning_rate", "auto", "method", "gd"),
            ("momentum", 0.0, "method", "gd"),
            ("depth", 2, "model", "fcn"),
        ):
            there = getattr(self, owner)
            if there != name and getattr(self, key) != default:
                raise ValueError(
                    f"`{key}` must be {default!r} unless `{owner}` is {name!r}; {key} = {getattr(self, key)}, "
                    f"{owner} = {there!r}."
                )
        check_one_of("dtype", self.dtype, ("float32", "float64"))
        for key in ("dataset", "model", "activation", "method", "device"):
            if not isinstance(getattr(self, key), str):
                raise ValueError(f"`{key}` must be a name; {key} = {getattr(self, key)!r}.")
        check_positive("warm_start", self.warm_start)
        if not self.warm_start < 1:
            raise ValueError(f"`warm_start` must be below 1, a share of the time; warm_start = {self.warm_start}.")
        self._check_seeds()

    def _check_seeds(self) -> None:
        if not isinstance(self.seeds, tuple) or not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"`seeds` must be one or more different integers; seeds = {self.seeds!r}.")
        for seed in self.seeds:
            check_integer("seeds", seed, minimum=0)

    def to_toml(self) -> str:
        """The configuration as TOML text, every key written out."""
        return tomli_w.dumps(dataclasses.asdict(self))

    @classmethod
    def from_toml(cls, text: str) -> "RunConfig":
        """Read what `to_toml` wrote, or a part of it; missing keys keep their defaults.

        Args:
            text: TOML.

        Returns:
            The configuration.

        Raises:
            ValueError: if the text is not TOML, or a key is unknown or its value against the rules.
        """
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"`config` must be TOML; {error}.") from None
        known = [field.name for field in dataclasses.fields(cls)]
        for key in values:
            check_one_of("config key", key, known)
        # TOML has arrays where the configuration has tuples.
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**fields)

    @classmethod
    def read(cls, path: str | Path) -> "RunConfig":
        """Read a TOML file.

        Args:
            path: the file.

        Returns:
            The configuration.

        Raises:
            ValueError: as `from_toml`, with the file's name.
        """
        try:
            return cls.from_toml(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"`config` must be a readable TOML file; {path}: {error}.") from None
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def difference(self, other: "RunConfig") -> dict[str, tuple[Any, Any]]:
        """The keys in which two configurations differ, with both values."""
        pairs = {
            field.name: (getattr(self, field.name), getattr(other, field.name)) for field in dataclasses.fields(self)
        }
        return {key: values for key, values in pairs.items() if values[0] != values[1]}
