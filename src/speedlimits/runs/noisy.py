"""A run of noisy training: its configuration, its folder with the whole ensemble in one checkpoint, and reading it."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

from speedlimits._checks import check_integer, check_positive, check_seed
from speedlimits._files import digest
from speedlimits.errors import RunFolderError
from speedlimits.estimates import check_confidence
from speedlimits.runs.agreement import check_noisy_summary
from speedlimits.runs.config import MOST, Config, ProblemName, RunConfig
from speedlimits.runs.folder import Folder, holding
from speedlimits.runs.formats import read_safetensors, write_safetensors
from speedlimits.runs.identity import Identity, Owner, read_identity

CHECKPOINT = "checkpoint.safetensors"
FILES = ("config.toml", "provenance.json", CHECKPOINT, "summary.json")


@dataclass(frozen=True, kw_only=True)
class NoisyConfig(Config):
    """An ensemble of networks under Langevin dynamics, Eqs. (1), (2), from exact draws of its start.

    Raises:
        ValueError: naming the key, the rule and the value. Names of data sets, models and schemes are checked where
            they are looked up, when the run begins.
    """

    built_in_samples = 20

    dataset: str = "digits"
    """Data set: digits."""
    samples: int | Literal["auto"] = "auto"
    """Training images, the first n in original order; auto is 20. A problem of your own is built with this number."""
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
    problem: ProblemName | None = None
    """A network and data of your own, instead of data set and model: FILE.py:FUNCTION or MODULE:FUNCTION."""

    def __post_init__(self) -> None:
        self._check_data()
        for key, minimum in (("members", 16), ("records", 2), ("strengths", 2), ("anneal_steps", 1)):
            check_integer(key, getattr(self, key), minimum=minimum, maximum=MOST[key])
        check_seed("seed", self.seed)
        check_positive("inverse_temperature", self.inverse_temperature)
        check_positive("time", self.time)
        for key in ("prior_precision", "step"):
            if getattr(self, key) != "auto":
                check_positive(key, getattr(self, key))
        check_confidence(self.confidence)

    @property
    def kappa(self) -> float:
        """κ [loss], ``auto`` resolved."""
        return 0.5 / self.inverse_temperature if self.prior_precision == "auto" else float(self.prior_precision)


# Of a run of either kind.
AnyConfig = RunConfig | NoisyConfig


class NoisyFolder(Folder):
    """The folder of a noisy run: ``config.toml``, ``provenance.json``, the ensemble, ``summary.json``.

    Args:
        path: the folder.
        config: what is written in it.
        identity: whose it is.
    """

    def __init__(self, path: Path, config: NoisyConfig, identity: Identity | None = None) -> None:
        super().__init__(path, identity)
        self.config = config

    @classmethod
    @contextlib.contextmanager
    def writing(cls, path: str | Path, config: NoisyConfig, *, resume: bool, force: bool) -> "Iterator[NoisyFolder]":
        """The folder, new or that of this very run, held while it is written to.

        Args:
            path: the folder.
            config: the run.
            resume: go on with the run that is there.
            force: replace the run that is there.

        Yields:
            The folder, with its configuration written.

        Raises:
            RunFolderError: if it holds another configuration, and as `holding`.
            ValueError: if both flags are given.
        """
        path = Path(path)

        def check() -> None:
            what = "holds no run"
            if (path / "config.toml").is_file():
                what = "holds a run with another configuration"
                _, table = read_identity("run", path)
                with contextlib.suppress(TypeError, ValueError):
                    if not config.difference(NoisyConfig.from_dict(table)):
                        return
            raise RunFolderError(f"`resume` must go on with the same run; {path} {what}.")

        with holding(path, "run", config.to_toml(), resume=resume, force=force, check=check) as identity:
            yield cls(path, config, identity)

    command = "langevin"

    def files(self) -> dict[str, str]:
        """SHA-256 of each file that a finished run has written, by its name in the folder."""
        return {name: digest(self.path / name) for name in FILES}

    @property
    def owner(self) -> Owner:
        """Whose the checkpoint is."""
        return Owner(self.identity.id, self.config.seed, self.identity.numbers)

    def write_checkpoint(self, state: Mapping[str, np.ndarray], rows: Sequence[Mapping[str, float | None]]) -> None:
        """Keep the ensemble's state and the time courses up to it, in one file.

        Args:
            state: the ensemble's.
            rows: the time courses.
        """
        facts = {"rows": json.dumps(rows), **self.owner.facts()}
        write_safetensors(self.path / CHECKPOINT, state, facts, sealed=True)

    def read_checkpoint(self) -> tuple[dict[str, np.ndarray], list[dict[str, float | None]]] | None:
        """The last checkpoint.

        Returns:
            State and time courses; None before the first checkpoint.

        Raises:
            RunFolderError: if it is damaged, or of another run or an earlier version, with what to delete.
        """
        path = self.path / CHECKPOINT
        if not path.exists():
            return None
        advice = "delete it, and --resume begins the run anew"
        try:
            state, facts = read_safetensors(path, sealed=True)
            rows = json.loads(facts["rows"])
        except (RunFolderError, KeyError, ValueError) as error:
            raise RunFolderError(f"{str(error).rstrip('.')}: {advice}.") from None
        self.owner.check(path, facts, advice)
        return state, rows


@dataclass(frozen=True)
class NoisyRun:
    """A finished run of noisy training, read from its folder.

    Args:
        path: the folder.
        config: the run.
        summary: the contents of ``summary.json``.
        provenance: the contents of ``provenance.json``.
    """

    path: Path
    config: NoisyConfig
    summary: dict[str, Any]
    provenance: dict[str, Any]

    @classmethod
    def of(cls, folder: NoisyFolder) -> "NoisyRun":
        """Read the run.

        Args:
            folder: where it lies.

        Returns:
            The run.

        Raises:
            RunFolderError: if it has not ended, or a file is missing or damaged.
        """
        contents = folder.contents()
        if not folder.identity.id:
            check_noisy_summary(folder.path / "summary.json", contents["summary"], folder.config.to_dict())
        return cls(config=folder.config, **contents)

    def ensemble(self) -> Float64[np.ndarray, "members parameters"]:
        """The members' weights at the end, a row each.

        Returns:
            The weights.

        Raises:
            RunFolderError: if the checkpoint is missing or damaged.
        """
        state, _ = read_safetensors(self.path / CHECKPOINT, sealed=read_identity("run", self.path)[0].id != "")
        if "thetas" not in state:
            raise RunFolderError(f"{self.path / CHECKPOINT} is damaged (it holds no weights).")
        return state["thetas"]
