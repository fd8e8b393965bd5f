"""`speedlimits study`: networks on more and more samples, in the paper's experiment or on a problem of your own."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from speedlimits.cli.help import nearest
from speedlimits.cli.text import say
from speedlimits.cli.training import TrainingOptions, option_value
from speedlimits.runs.config import RunConfig
from speedlimits.runs.study import check_folder
from speedlimits.runs.toml import parse_toml, read_config
from speedlimits.training.presets import PRESET, own_study, preset


@dataclass(frozen=True, kw_only=True)
class StudyCommand(TrainingOptions):
    """Train networks on more and more samples, as the paper did (§4); `speedlimits figure1` draws it."""

    preset: Literal["smoke", "small", "paper"] | None = None
    """The paper's experiment, Myrtle-5 in one of three sizes: smoke, on digits, in a minute; small, on CIFAR-10, width
    16, up to 1,000 images, on a laptop, which is the default; paper, on CIFAR-10 in its own sizes, on a GPU."""
    models: tuple[Literal["myrtle", "fcn"], ...] = ()
    """Of a preset: the paper's Myrtle-5, or fully connected networks of four times its width; both for a figure of
    each."""
    samples: tuple[int, ...] = ()
    """Numbers of training samples, a run for each, instead of the preset's; with --resume, more are added."""
    seeds: tuple[int, ...] = ()
    """Members, instead of the preset's; with --resume, more are added."""
    time: float | None = None
    """T, flow time, instead of the preset's."""
    method: str | None = None
    """How to follow the flow: rkc2, rock4, etd, auto, rk4 or gd."""
    rtol: float | None = None
    """Local error of the flow's solver."""
    records: int | None = None
    """Record times, about."""
    dtype: Literal["float32", "float64"] | None = None
    """Precision of the network."""
    device: str = "cpu"
    """Where to compute, in torch's words: cpu, cuda, cuda:1."""
    workers: int | None = None
    """Members side by side, one thread each; by default one for each core."""
    engine: Literal["local", "ray"] = "local"
    """What does the work: local, processes on this machine; ray, a Ray cluster (see docs/cluster.md)."""
    address: str | None = None
    """With ray: HOST:PORT of a running cluster, from one of its nodes; local starts one here."""
    gpus: float | None = None
    """With ray and cuda: share of a GPU for each member; by default a whole one."""
    storage: str | None = None
    """With ray: where members are mirrored, any fsspec URL; by default DIR, which every node must then see."""
    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """TOML file to take these options from, by their names; options given beside it win."""
    json: bool = False
    """Print one JSON object: the summary of each run by the name of its folder."""

    def __call__(self) -> None:
        """Say how long it will take, run it, and say what is next."""
        # Late: torch takes seconds to import, and a wrong option should be refused at once.
        from speedlimits.cli.live import LiveTable
        from speedlimits.training.engines.choose import choose
        from speedlimits.training.train import train_study

        engine = choose(self.engine, self.workers, address=self.address, gpus=self.gpus, storage=self.storage)
        runs = self._runs()
        # A wrong folder should be refused before data is downloaded for it.
        check_folder(self.out, resume=self.resume)
        # What a cluster can do is not to be found out here.
        if not self.resume and self.engine == "local":
            say(_forecast(runs, self.workers), file=sys.stderr)
        with LiveTable(runs, self.out / "progress.log") as table:
            done = train_study(
                runs,
                self.out,
                **self.handling,
                engine=engine,
                progress=table.update,
            )
        if self.json:
            print(json.dumps({name: run.summary for name, run in done.items()}))
        else:
            say(f"Study: {self.out}; speedlimits figure1 {self.out} draws it.")

    def _runs(self) -> dict[str, RunConfig]:
        named = {name: getattr(self, name) for name in ("time", "method", "rtol", "records", "dtype")}
        options = {name: value for name, value in named.items() if value is not None} | {"device": self.device}
        if self.problem is None:
            return preset(self.preset or PRESET, models=self.models, samples=self.samples, seeds=self.seeds, **options)
        for name in ("preset", "models"):
            if getattr(self, name):
                raise ValueError(
                    f"`{name}` must be left out with a problem of your own; {name} = {getattr(self, name)!r}."
                )
        return own_study(self.problem, samples=self.samples, seeds=self.seeds, **options)


# What the file of --config may hold: all that makes a study, not its folder or what is to become of that.
IN_CONFIG = (*(name for name in StudyCommand.__annotations__ if name not in ("config", "json")), "problem")


def study_words(arguments: Sequence[str]) -> list[str]:
    """The command line with the options of its ``--config`` file put before its own, which therefore win.

    Args:
        arguments: they begin with the command.

    Returns:
        The same where no file is named.

    Raises:
        ValueError: if the file is unreadable, or holds what is no option of a study.
    """
    file = option_value(arguments, "--config")
    if file is None:
        return list(arguments)
    words = []
    for key, value in read_config(file, parse_toml).items():
        if key not in IN_CONFIG:
            raise ValueError(f"{file}: `{key}` must be one of {', '.join(IN_CONFIG)}.{nearest(key, IN_CONFIG)}")
        words += [f"--{key}", *map(str, value if isinstance(value, list) else [value])]
    return [arguments[0], *words, *arguments[1:]]


def _forecast(runs: Mapping[str, RunConfig], workers: int | None) -> str:
    """What the whole study will take, from one gradient of each kind of network on the fewest images."""
    from speedlimits._machine import cores
    from speedlimits.training.forecast import forecast_member

    members, rates = [], []
    for model in dict.fromkeys(config.model for config in runs.values()):
        configs = [config for config in runs.values() if config.model == model]
        smallest = min(configs, key=lambda config: config.size)
        one = forecast_member(smallest)
        kind = model if smallest.problem is None else smallest.problem
        rates.append(f"{1 / one.gradient_seconds:.3g} gradients of {kind} per second at n = {smallest.size}")
        members += [one.scaled(config.size / smallest.size).seconds for config in configs for _ in config.seeds]
    # One queue for all, the longest first.
    total = max(sum(members) / min(workers or cores(), len(members)), *members)
    return f"{', '.join(rates)}: about {total / 60:.2g} minutes in all (a rough guide)."
