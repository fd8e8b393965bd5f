"""What a run is: one frozen dataclass, written to and read from TOML."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import tomli_w

from speedlimits._checks import check_integer, check_momentum, check_one_of, check_positive, check_seed
from speedlimits.runs.toml import parse_toml, read_config

# What tells the built-in networks and data apart; a problem of one's own has none of it.
BUILT_IN = ("dataset", "model", "width", "depth", "activation")


# A run of more steps is a slip in its rate: days on any machine.
MOST_STEPS = 1_000_000_000


class RecordedProblem(str):
    """The name of a problem as a file has it. It names the code and is no leave to run it: only a user gives that."""

    __slots__ = ()


# FILE.py:FUNCTION or MODULE:FUNCTION, or the function itself.
ProblemName = str | Callable[..., Any]

# A larger number is a slip; it would fill memory or disk long before the end.
MOST = {
    "width": 100_000,
    "depth": 1_000,
    "records": 1_000_000,
    "snapshots": 10_000,
    "accuracies": 1_000_000,
    "triples": 1_000,
    "seeds": 10_000,
    "members": 1_000_000,
    "strengths": 10_000,
    "anneal_steps": 1_000_000,
}

Own = TypeVar("Own", bound="Config")


class Config:
    """What configurations of runs share: TOML, and a problem of one's own."""

    problem: ProblemName | None
    # What `samples` = auto is for built-in data.
    built_in_samples: ClassVar[int]

    def to_toml(self) -> str:
        """The configuration as TOML text, every key written out that means something."""
        return tomli_w.dumps(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """The configuration by key; with a problem of one's own, without the keys that are for built-in ones."""
        values = self._values()
        if self.problem is None:
            return {key: value for key, value in values.items() if key != "problem"}
        values["problem"] = problem_name(self.problem)
        return {key: value for key, value in values.items() if key not in BUILT_IN}

    @classmethod
    def from_toml(cls: type[Own], text: str) -> Own:
        """Read what `to_toml` wrote, or a part of it; missing keys keep their defaults.

        Args:
            text: TOML.

        Returns:
            The configuration. Its problem is a `RecordedProblem`, which is never run.

        Raises:
            ValueError: if the text is not TOML, or a key is unknown or its value against the rules.
        """
        try:
            values = parse_toml(text)
        except ValueError as error:
            raise ValueError(f"`config` must be TOML; {error}.") from None
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls: type[Own], values: dict[str, Any]) -> Own:
        """The configuration of a TOML table.

        Args:
            values: by key.

        Returns:
            The configuration, as of `from_toml`.

        Raises:
            ValueError: if a key is unknown or its value against the rules.
        """
        known = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
        for key in values:
            check_one_of("config key", key, known)
        # TOML has arrays where the configuration has tuples.
        fields = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
        if isinstance(fields.get("problem"), str):
            fields["problem"] = RecordedProblem(fields["problem"])
        return cls(**fields)

    @classmethod
    def read(cls: type[Own], path: str | Path) -> Own:
        """Read a TOML file.

        Args:
            path: the file.

        Returns:
            The configuration, as of `from_toml`.

        Raises:
            ValueError: as `from_toml`, with the file's name.
        """
        return read_config(path, cls.from_toml)

    def difference(self: Own, other: Own) -> dict[str, tuple[Any, Any]]:
        """The keys in which two configurations differ, with both values. Of problems, the functions' names count."""
        ours, theirs = (
            each._values() | {"problem": each.problem and problem_name(each.problem).rpartition(":")[2]}
            for each in (self, other)
        )
        return {key: (ours[key], theirs[key]) for key in ours if ours[key] != theirs[key]}

    def _values(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    def _check_data(self) -> None:
        """Raise unless the keys that name data and network fit together."""
        if self.problem is not None:
            if not isinstance(self.problem, str) and not callable(self.problem):
                raise ValueError(f"`problem` must be a function or its name; problem = {self.problem!r}.")
            for field in dataclasses.fields(self):  # type: ignore[arg-type]
                if field.name in BUILT_IN and getattr(self, field.name) != field.default:
                    raise ValueError(
                        f"`{field.name}` must be left out with a problem of your own; "
                        f"{field.name} = {getattr(self, field.name)!r}, problem = {problem_name(self.problem)!r}."
                    )
        values: Any = self
        for key in ("dataset", "model", "activation"):
            if not isinstance(getattr(self, key), str):
                raise ValueError(f"`{key}` must be a name; {key} = {getattr(self, key)!r}.")
        for key, minimum in (("width", 1), ("depth", 0)):
            check_integer(key, getattr(self, key), minimum=minimum, maximum=MOST[key])
        if values.samples != "auto":
            check_integer("samples", values.samples, minimum=1)


@dataclass(frozen=True, kw_only=True)
class RunConfig(Config):
    """An ensemble of networks of one kind, trained on one data set from different initial weights.

    Raises:
        ValueError: naming the key, the rule and the value. Names of data sets, models and methods are checked
            where they are looked up, when the run begins.
    """

    built_in_samples = 500

    dataset: str = "digits"
    """Data set: digits, 8×8 pixels; cifar10, from $SPEEDLIMITS_DATA/cifar10 or downloaded."""
    samples: int | Literal["auto"] = "auto"
    """Training images, the first n in original order; auto is 500. A problem of your own is built with this number."""
    model: str = "fcn"
    """Network, in NTK parametrisation: fcn, fully connected; myrtle, the convolutional Myrtle-5."""
    width: int = 64
    """Units in each hidden layer; for myrtle, channels."""
    depth: int = 2
    """Hidden layers of fcn; 0 is a linear model."""
    activation: str = "auto"
    """Activation: erf, gelu, identity, relu or tanh; auto is tanh for fcn, relu for myrtle."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    """One member for each: its seed for the initial weights, below 2³². With --resume, more are added."""
    time: float = 1.0
    """T, flow time to train for: learning rate × steps, for the loss ½Σ(f−y)²."""
    method: str = "rkc2"
    """How to follow the gradient flow: rkc2, stabilised Runge–Kutta of order 2; rock4, of order 4, for rtol 1e-4 and
    below; rk4, the classical method at 1/λ_max; etd, rkc2 until its steps are stiff, then exponential steps by the
    network's own kernel; auto, etd where that is faster; gd, full-batch gradient descent."""
    rtol: float | Literal["auto"] = "auto"
    """Accuracy of the flow: distance, loss drop and T/T_SL come out within about 10 times this; 1e-2 or 1e-3 for kinks
    (relu); auto is 1e-4, or 1e-3 in float32, whose rounding allows no less."""
    learning_rate: float | Literal["auto"] = "auto"
    """η of gd, shortened so that T is a whole number of steps; auto makes η/(1 − momentum) 0.1/λ_max, the largest λ_max
    over the members."""
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
    accuracies: int = 24
    """Records at which held-out samples are classified, about, log-spaced; the first and the last are among them."""
    warm_start: float = 0.01
    """Start of the warm-start curves, as a share of T (any snapshot can be chosen later)."""
    triples: int = 6
    """Random weight triples to trace."""
    problem: ProblemName | None = None
    """A network and data of your own, instead of data set and model: FILE.py:FUNCTION or MODULE:FUNCTION."""

    def __post_init__(self) -> None:
        self._check_data()
        for key, minimum in (("records", 2), ("snapshots", 2), ("accuracies", 2), ("triples", 0)):
            check_integer(key, getattr(self, key), minimum=minimum, maximum=MOST[key])
        check_positive("time", self.time)
        for key in ("rtol", "learning_rate"):
            if getattr(self, key) != "auto":
                check_positive(key, getattr(self, key))
        check_momentum("momentum", self.momentum)
        if self.learning_rate != "auto":
            self._check_steps(self.learning_rate / (1 - self.momentum))
        for key, default in (("learning_rate", "auto"), ("momentum", 0.0)):
            if self.method != "gd" and getattr(self, key) != default:
                raise ValueError(
                    f"`{key}` must be {default!r} unless `method` is 'gd'; {key} = {getattr(self, key)}, "
                    f"method = {self.method!r}."
                )
        check_one_of("dtype", self.dtype, ("float32", "float64"))
        for key in ("method", "device"):
            if not isinstance(getattr(self, key), str):
                raise ValueError(f"`{key}` must be a name; {key} = {getattr(self, key)!r}.")
        check_positive("warm_start", self.warm_start)
        if not self.warm_start < 1:
            raise ValueError(f"`warm_start` must be below 1, a share of the time; warm_start = {self.warm_start}.")
        if not isinstance(self.seeds, tuple) or not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"`seeds` must be one or more different integers; seeds = {self.seeds!r}.")
        if len(self.seeds) > MOST["seeds"]:
            raise ValueError(f"`seeds` must be at most {MOST['seeds']}; there are {len(self.seeds)}.")
        for seed in self.seeds:
            check_seed("seeds", seed)

    def _check_steps(self, time_step: float) -> None:
        """Raise unless the time is one step at least, and no more than anyone would wait for."""
        if not time_step <= self.time * (1 + 1e-12):
            raise ValueError(
                f"`learning_rate` must be at most time × (1 − momentum) = {self.time * (1 - self.momentum):.4g}, one "
                f"step; learning_rate = {self.learning_rate:.4g}."
            )
        if not self.time <= MOST_STEPS * time_step:
            raise ValueError(
                f"`learning_rate` must be at least time × (1 − momentum)/{MOST_STEPS:.0e} = "
                f"{self.time * (1 - self.momentum) / MOST_STEPS:.4g}; learning_rate = {self.learning_rate:.4g}."
            )

    def extended(self, other: "RunConfig") -> "RunConfig":
        """This configuration, with the members of another one where that has all of them and more.

        Args:
            other: the wanted configuration.

        Returns:
            The configuration; in all but its seeds it is this one, word for word.
        """
        return dataclasses.replace(self, seeds=other.seeds) if set(other.seeds) > set(self.seeds) else self

    @property
    def size(self) -> int:
        """Samples, where they are told: what a member costs beside others grows with them."""
        return 1 if self.samples == "auto" else self.samples

    @property
    def tolerance(self) -> float:
        """Local error of the flow's solver, ``auto`` resolved."""
        if self.rtol != "auto":
            return self.rtol
        return 1e-3 if self.dtype == "float32" else 1e-4


def problem_name(problem: ProblemName) -> str:
    """A problem as configurations write it.

    Args:
        problem: a name, or a function.

    Returns:
        The name as it is; of a function, its module's and its own.
    """
    if isinstance(problem, str):
        return str(problem)
    return f"{problem.__module__}:{getattr(problem, '__qualname__', type(problem).__qualname__)}"
