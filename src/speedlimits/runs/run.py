"""A run on disk: its folder, what its members share, and reading it."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speedlimits._display import Curve, card, limit_picture, picture
from speedlimits._files import digest
from speedlimits._numbers import number
from speedlimits._series import installed
from speedlimits.errors import RunFolderError, last_line
from speedlimits.measured import speed_limit
from speedlimits.runs.agreement import check_member, check_summary
from speedlimits.runs.config import RunConfig
from speedlimits.runs.folder import Folder, holding
from speedlimits.runs.formats import read_json, write_json
from speedlimits.runs.identity import MARKS, Identity, Owner, read_identity
from speedlimits.runs.member import OWNER, MemberStore
from speedlimits.runs.noisy import NoisyConfig, NoisyFolder, NoisyRun
from speedlimits.trajectory import Trajectory

if TYPE_CHECKING:
    import pandas

FILES = ("config.toml", "provenance.json", "plan.json", "summary.json")
_NEW_PLAN = "delete it, and --resume makes it anew"


@dataclass(frozen=True)
class Plan:
    """The learning rate, and the sharpness it was chosen from.

    Args:
        learning_rate: η [time] of gradient descent, one for all, so that their record times are the same; None for
            methods that have none.
        sharpness: |λ|_max at initialisation of each seed [1/time].
        sharpness_gradients: gradients each seed spent on finding it.
    """

    learning_rate: float | None
    sharpness: dict[int, float]
    sharpness_gradients: dict[int, int]

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Plan":
        """Read what ``dataclasses.asdict`` and JSON made of a plan: its seeds became strings."""
        return cls(
            learning_rate=content["learning_rate"],
            sharpness={int(seed): value for seed, value in content["sharpness"].items()},
            sharpness_gradients={int(seed): value for seed, value in content["sharpness_gradients"].items()},
        )


class RunFolder(Folder):
    """The folder of one run: ``config.toml``, ``provenance.json``, ``plan.json``, ``members/``, ``summary.json``.

    Args:
        path: the folder.
        config: what is written in it.
        identity: whose it is.
    """

    def __init__(self, path: Path, config: RunConfig, identity: Identity | None = None) -> None:
        super().__init__(path, identity)
        self.config = config

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """An existing folder of a run without noise.

        Args:
            path: the folder.

        Returns:
            The run folder.

        Raises:
            RunFolderError: if there is none, its run has noise, or its configuration is damaged.
        """
        found = open_folder(path)
        if isinstance(found, NoisyFolder):
            raise RunFolderError(f"`directory` must be a run without noise; {path} is one of speedlimits langevin.")
        return found

    @classmethod
    @contextlib.contextmanager
    def writing(
        cls, path: str | Path, config: RunConfig, *, resume: bool = False, force: bool = False, beside: bool = False
    ) -> "Iterator[RunFolder]":
        """A run folder to write to, held: a new one, or that of this very run to go on with.

        Args:
            path: the folder.
            config: the run.
            resume: go on with the run that is there, or add members to it.
            force: replace the run that is there; only what we wrote is ever removed, when the new run has ended.
            beside: a new run may lie beside what is foreign.

        Yields:
            The run folder, with its configuration written.

        Raises:
            RunFolderError: if it holds another configuration, and as `holding`.
            ValueError: if both flags are given.
            OSError: what the disk reports.
        """
        path = Path(path)

        def check() -> str | None:
            there = cls.open(path)
            extended = there.config.extended(config)
            for key, (ours, theirs) in config.difference(extended).items():
                raise RunFolderError(f"`{key}` must be {theirs!r} as in {path / 'config.toml'}; {key} = {ours!r}.")
            if extended is there.config:
                return None
            # What has ended is looked at once more, before the manifest that vouches for it goes.
            there.ended()
            return extended.to_toml()

        text = config.to_toml()
        with holding(path, "run", text, resume=resume, force=force, check=check, beside=beside) as identity:
            yield cls(path, config, identity)

    def member_folder(self, seed: int) -> Path:
        """Where the member of this seed lies."""
        return self.path / "members" / f"seed-{seed:05d}"

    def owner(self, seed: int) -> Owner:
        """Whose the files of the member of this seed are."""
        return Owner(self.identity.id, seed, self.identity.numbers)

    def member(self, seed: int) -> MemberStore:
        """The store of the member of this seed."""
        return MemberStore(self.member_folder(seed), self.owner(seed))

    def files(self) -> dict[str, str]:
        """SHA-256 of each file that a finished run has written, by its name in the folder."""
        listed = {name: digest(self.path / name) for name in FILES}
        for seed in self.config.seeds:
            member = self.member(seed)
            place = member.folder.relative_to(self.path)
            listed |= {(place / name).as_posix(): total for name, total in member.files().items()}
        return listed

    def close(self) -> None:
        """Write the manifest, the last file; an attempt that was killed may have left its claim on a member."""
        for seed in self.config.seeds:
            (self.member_folder(seed) / OWNER).unlink(missing_ok=True)
        super().close()

    def write_plan(self, plan: Plan) -> None:
        """Write what all members share, sealed and with the run's id."""
        write_json(self.path / "plan.json", {"run": self.identity.id, **dataclasses.asdict(plan)}, sealed=True)

    def plan(self) -> Plan:
        """What all members share.

        Returns:
            The plan.

        Raises:
            RunFolderError: if it is missing, damaged or of another run.
        """
        path = self.path / "plan.json"
        try:
            content = read_json(path, sealed=bool(self.identity.id))
            if content.get("run", "") != self.identity.id:
                raise RunFolderError(f"{path} is of another run.")
            return Plan.from_json(content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunFolderError(f"{path} is damaged ({last_line(error)}): {_NEW_PLAN}.") from None
        except RunFolderError as error:
            raise RunFolderError(f"{str(error).rstrip('.')}: {_NEW_PLAN}.") from None


@dataclass(frozen=True)
class Run:
    """A finished run, read from its folder.

    Args:
        path: the folder.
        config: the run.
        summary: the contents of ``summary.json``.
        provenance: the contents of ``provenance.json``.
        trajectories: each member's path, by its seed.
    """

    path: Path
    config: RunConfig
    summary: dict[str, Any]
    provenance: dict[str, Any]
    trajectories: dict[int, Trajectory]

    @classmethod
    def of(cls, folder: RunFolder) -> "Run":
        """Read the run.

        Args:
            folder: where it lies.

        Returns:
            The run.

        Raises:
            RunFolderError: if it has not ended, or a file is missing or damaged.
        """
        contents = folder.contents()
        members = {seed: folder.member(seed) for seed in folder.config.seeds}
        trajectories = {seed: member.trajectory() for seed, member in members.items()}
        if not folder.identity.id:
            for seed, member in members.items():
                check_member(member.folder, seed, member.member(), trajectories[seed])
            check_summary(folder.path / "summary.json", contents["summary"], trajectories)
        return cls(config=folder.config, trajectories=trajectories, **contents)

    def to_pandas(self) -> "pandas.DataFrame":
        """The series of all members as one table.

        Returns:
            The tables of `Trajectory.to_pandas` below each other, with ``seed`` and ``time`` as index.

        Raises:
            ImportError: if pandas is not installed.
        """
        tables = {seed: trajectory.to_pandas() for seed, trajectory in self.trajectories.items()}
        return installed("to_pandas", "pandas").concat(tables, names=["seed"])

    def __repr__(self) -> str:
        count, ratio = len(self.trajectories), self.summary["mean"]["inefficiency"]
        networks = f"{count} network{'s' * (count != 1)} to T = {self.config.time:.4g}"
        return f"Run({self.path}, {networks}, {number(ratio, '.3g')} times slower than the limit)"

    def _repr_html_(self) -> str:
        """A card for notebooks: the loss of every member, and the speed limit of the first."""
        runs = list(self.trajectories.values())
        losses = picture("loss over time", [Curve(run.times, run.losses) for run in runs])
        return card(repr(self), [losses, limit_picture(runs[0].times, speed_limit(runs[0]).speed_limit)])


def load_run(directory: str | Path) -> Run | NoisyRun:
    """Read a finished run, with noise or without; needs no torch.

    Args:
        directory: the run folder.

    Returns:
        Its configuration, summary, provenance and, without noise, trajectories.

    Raises:
        RunFolderError: if it is no run folder, the run has not ended, or a file is missing or damaged.
    """
    folder = open_folder(directory)
    return NoisyRun.of(folder) if isinstance(folder, NoisyFolder) else Run.of(folder)


def open_folder(path: str | Path) -> RunFolder | NoisyFolder:
    """An existing run folder, of a run with noise or without.

    Args:
        path: the folder.

    Returns:
        The folder with its configuration.

    Raises:
        RunFolderError: if there is none, or its configuration is damaged.
    """
    path = Path(path)
    if not (path / "config.toml").is_file():
        what = "is empty" if path.is_dir() and not any(path.iterdir()) else "holds no config.toml"
        what = what if path.is_dir() else "does not exist"
        what = "holds a recording (`speedlimits.runs.load` reads it)" if (path / MARKS["recording"]).exists() else what
        if (path / MARKS["study"]).exists():
            what = "is a study: name one of its runs, or draw all with `speedlimits figure1`"
        raise RunFolderError(f"`directory` must be a run folder; {path} {what}.")
    try:
        identity, table = read_identity("run", path)
        # Only noise has a temperature.
        if "inverse_temperature" in table:
            return NoisyFolder(path, NoisyConfig.from_dict(table), identity)
        return RunFolder(path, RunConfig.from_dict(table), identity)
    except RunFolderError as error:
        raise RunFolderError(f"`directory` must be a run folder; {error}") from None
    except (TypeError, ValueError) as error:
        raise RunFolderError(f"`directory` must be a run folder; {path / 'config.toml'}: {error}") from None
