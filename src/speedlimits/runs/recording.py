"""A recording: what a recorder saw of one training loop, in memory and as a folder on disk; free of torch."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from speedlimits._checks import check_integer
from speedlimits._display import Curve, card, limit_picture, picture
from speedlimits._files import digest
from speedlimits._numbers import plain
from speedlimits.advice import advise
from speedlimits.errors import RunFolderError
from speedlimits.measured import speed_limit
from speedlimits.noise import Noise, StrideCurve
from speedlimits.runs.folder import Folder, holding
from speedlimits.runs.formats import read_safetensors, write_safetensors
from speedlimits.runs.identity import MARKS, Identity, Kind, read_identity
from speedlimits.runs.manifest import FILE as MANIFEST
from speedlimits.runs.manifest import Manifest
from speedlimits.runs.provenance import machine, now
from speedlimits.runs.trajectories import summarise_trajectories
from speedlimits.trajectory import Trajectory

SCHEMA = 1
TRAJECTORY, NOISE = "trajectory.npz", "noise.safetensors"
FILES = (MARKS["recording"], "provenance.json", TRAJECTORY, NOISE, "summary.json")
# What is an array, or a number kept as one, of `StrideCurve` and of `Noise`; and the words of `Noise`.
CURVE = ("strides", "chunks", "dissipation", "noise", "noise_moved", "w2_squared", "time", "steps")
NUMBERS = ("inefficiency", "standard_error", "interval", "share", "moved_by_noise")
WORDS = ("identifiable", "reason")


@dataclass(frozen=True, kw_only=True)
class RecordingConfig:
    """What was recorded.

    Args:
        name: of the training, for headings; empty takes the names of the optimizers.
        optimizers: names of their classes; none where records were written by hand.
        weights: how many.
        precision: the types of the weights, as ``float32``.
        device: where they lie.
        sketch: how many numbers stand for them where the path is seen at strides; 0 where it is not.
        exact: whether those numbers are the weights themselves, and not a sketch.
        copied: whether lengths and distances are those of the weights, and not of their sketch.
        loss_name: what the axis of the loss says beside "loss".

    Raises:
        ValueError: naming the key, the rule and the value.
    """

    name: str = ""
    optimizers: tuple[str, ...] = ()
    weights: int
    precision: tuple[str, ...] = ()
    device: str = "cpu"
    sketch: int = 0
    exact: bool = False
    copied: bool = True
    loss_name: str = ""

    def __post_init__(self) -> None:
        check_integer("weights", self.weights, minimum=1)
        check_integer("sketch", self.sketch, minimum=0)
        for key in ("name", "device", "loss_name"):
            if not isinstance(getattr(self, key), str):
                raise ValueError(f"`{key}` must be a text; {key} = {getattr(self, key)!r}.")

    @property
    def method(self) -> str:
        """The optimizers by name, or that records were written by hand."""
        return " + ".join(self.optimizers) or "by hand"

    @property
    def title(self) -> str:
        """What stands above figures and pages."""
        return self.name or (self.method if self.optimizers else "recorded by hand")


@dataclass(frozen=True, eq=False, kw_only=True)
class Recording:
    """What a recorder saw.

    Args:
        config: what was recorded.
        trajectory: the path.
        noise: the path at strides of 1, 2, 4, … steps, and the drift behind the noise; None where it was not seen so.
        summary: the numbers, as ``summary.json`` has them, with the verdict's sentences.
        path: the folder it was read from; None where it was not.
        provenance: the contents of ``provenance.json``; empty where it was not read from a folder.
    """

    config: RecordingConfig
    trajectory: Trajectory
    noise: Noise | None
    summary: dict[str, Any]
    path: Path | None = None
    provenance: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, config: RecordingConfig, trajectory: Trajectory, noise: Noise | None, verdict: Sequence[str]
    ) -> "Recording":
        """A recording with its summary.

        Args:
            config: what was recorded.
            trajectory: the path.
            noise: what its strides tell; None where it was not seen at strides.
            verdict: the sentences for a reader, the most telling first.

        Returns:
            The recording, in memory.
        """
        found = None
        if noise is not None:
            found = {name: plain(getattr(noise, name)) for name in (*NUMBERS, *WORDS)}
        summary = {
            "schema": SCHEMA,
            **summarise_trajectories([trajectory], (), config.title, config.loss_name),
            "parameters": config.weights,
            "method": config.method,
            "records": len(trajectory),
            "verdict": list(verdict),
            "advice": list(advise(trajectory, noise=noise, optimizers=config.optimizers)),
            "noise": found,
        }
        return cls(config=config, trajectory=trajectory, noise=noise, summary=summary)

    def save(self, out: str | Path, *, force: bool = False) -> Path:
        """Write a recording folder: `load_recording` reads it, and ``speedlimits report`` draws it.

        Args:
            out: a new or empty folder.
            force: replace the recording that is there; only what we wrote is ever removed, when the new one is whole.

        Returns:
            The folder.

        Raises:
            RunFolderError: if the folder holds something else, cannot be made, or is in use.
            OSError: what the disk reports.
        """
        path = Path(out)
        # A table knows neither tuples nor None.
        table = {key: plain(value) for key, value in dataclasses.asdict(self.config).items()}
        text = tomli_w.dumps(table)
        with holding(path, "recording", text, resume=False, force=force, check=_nothing) as identity:
            folder = RecordingFolder(path, identity)
            folder.write_json("provenance.json", {"id": identity.id, **machine(self.config.device), "saved": now()})
            self.trajectory.save(path / TRAJECTORY)
            if self.noise is not None:
                _write_noise(path / NOISE, self.noise)
            folder.write_json("summary.json", self.summary)
            folder.close()
        return path

    def __repr__(self) -> str:
        count, where = len(self.trajectory), f", read from {self.path}" if self.path else ""
        records = f"{count} record{'s' * (count != 1)}"
        return f"Recording({self.config.title}, {records} to T = {self.trajectory.time:.4g}{where})"

    def _repr_html_(self) -> str:
        """A card for notebooks: the verdict, the loss, the limit, and the path at strides."""
        run = self.trajectory
        pictures = [
            picture("loss over time", [Curve(run.times, run.losses)]),
            limit_picture(run.times, speed_limit(run).speed_limit),
        ]
        if self.noise is not None:
            curve = self.noise.curve
            pictures.append(picture("T/T_SL seen every m steps", [Curve(curve.strides, curve.inefficiency)]))
        return card([*self.summary["verdict"], repr(self)], pictures)


class RecordingFolder(Folder):
    """The folder of a recording: ``recording.toml``, ``provenance.json``, the arrays, ``summary.json``.

    Args:
        path: the folder.
        identity: whose it is.
    """

    kind: Kind = "recording"

    def __init__(self, path: Path, identity: Identity) -> None:
        super().__init__(path, identity)

    @classmethod
    def open(cls, directory: str | Path) -> "tuple[RecordingFolder, RecordingConfig]":
        """An existing folder.

        Args:
            directory: the folder.

        Returns:
            The folder, and what was recorded.

        Raises:
            RunFolderError: if there is none, or its first file is damaged.
        """
        path, mark = Path(directory), MARKS["recording"]
        if not (path / mark).is_file():
            what = f"holds no {mark}" if path.is_dir() else "does not exist"
            raise RunFolderError(f"`directory` must be a recording folder; {path} {what}.")
        try:
            identity, table = read_identity("recording", path)
            # TOML has arrays where the configuration has tuples.
            found: dict[str, Any] = {k: tuple(each) if isinstance(each, list) else each for k, each in table.items()}
            return cls(path, identity), RecordingConfig(**found)
        except RunFolderError as error:
            raise RunFolderError(f"`directory` must be a recording folder; {error}") from None
        except (TypeError, ValueError) as error:
            raise RunFolderError(f"`directory` must be a recording folder; {path / mark}: {error}") from None

    def files(self) -> dict[str, str]:
        """SHA-256 of each file, by its name in the folder."""
        return {name: digest(self.path / name) for name in FILES if (self.path / name).exists()}

    def manifest(self) -> Manifest:
        """What the files must be: there is no recording without it."""
        if not (self.path / MANIFEST).exists():
            raise self._unfinished(MANIFEST)
        return Manifest.read(self.path, self.identity.id, self.kind)

    def _unfinished(self, name: str) -> RunFolderError:
        return RunFolderError(
            f"{self.path} holds an unfinished recording: {name} is missing (save it again with force=True)."
        )


def load_recording(directory: str | Path) -> Recording:
    """Read what `Recording.save` wrote; needs no torch.

    Args:
        directory: the folder.

    Returns:
        The recording, equal bit for bit.

    Raises:
        RunFolderError: if it is no recording folder, or a file is missing, damaged or another recording's.
    """
    folder, config = RecordingFolder.open(directory)
    manifest = folder.manifest()
    manifest.check(MARKS["recording"])
    trajectory = Trajectory.load(manifest.check(TRAJECTORY))
    noise = _read_noise(manifest.check(NOISE)) if NOISE in manifest.files else None
    return Recording(config=config, trajectory=trajectory, noise=noise, **folder.contents())


def _write_noise(path: Path, noise: Noise) -> None:
    arrays = {name: np.asarray(getattr(noise.curve, name)) for name in CURVE}
    arrays |= {f"scatter_{k:02d}": each for k, each in enumerate(noise.curve.scatter)}
    arrays |= {f"drift_{name}": np.asarray(getattr(noise, name)) for name in NUMBERS}
    write_safetensors(path, arrays, {name: getattr(noise, name) for name in WORDS}, sealed=True)


def _read_noise(path: Path) -> Noise:
    arrays, words = read_safetensors(path, sealed=True)
    try:
        curve: dict[str, Any] = {name: arrays[name] if arrays[name].ndim else arrays[name].item() for name in CURVE}
        scatter = [arrays[name] for name in sorted(arrays) if name.startswith("scatter_")]
        numbers = {name: arrays[f"drift_{name}"].tolist() for name in NUMBERS}
        found: dict[str, Any] = {**numbers, **{name: words[name] for name in WORDS}}
    except KeyError as error:
        raise RunFolderError(f"{path} is damaged (it lacks {error}).") from None
    found["interval"] = tuple(found["interval"])
    return Noise(**found, curve=StrideCurve(**curve, scatter=scatter))


def _nothing() -> None:
    """There is nothing to go on with."""
