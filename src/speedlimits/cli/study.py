"""`speedlimits study`: the paper's experiment in one of three sizes, one run for each number of training images."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from speedlimits.cli.live import LiveTable
from speedlimits.runs.config import RunConfig
from speedlimits.training.presets import preset


@dataclass(frozen=True)
class Study:
    """Train networks on more and more images of CIFAR-10, as the paper did (§4); `speedlimits figure1` draws it."""

    experiment: Annotated[Literal["cifar10"], tyro.conf.Positional]
    """Which experiment."""
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Study folder to write: new or empty; one run folder in it for each number of images."""
    preset: Literal["smoke", "small", "paper"] = "small"
    """smoke, digits in a minute; small, width 16, up to 1,000 images, on a laptop; paper, its own sizes, on a GPU."""
    models: tuple[Literal["myrtle", "fcn"], ...] = ("myrtle",)
    """Networks: the paper's Myrtle-5, or fully connected ones of four times its width; both for a figure of each."""
    samples: tuple[int, ...] = ()
    """Numbers of training images instead of the preset's."""
    seeds: tuple[int, ...] = ()
    """Members instead of the preset's."""
    device: str = "cpu"
    """Where to compute, in torch's words: cpu, cuda, cuda:1."""
    resume: bool = False
    """Go on with the interrupted study in that folder."""
    force: bool = False
    """Replace the study in that folder."""
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

    def __call__(self) -> None:
        """Say how long it will take, run it, and say what is next."""
        # Late: torch takes seconds to import, and a wrong option should be refused at once.
        from speedlimits.training.engines.engine import choose
        from speedlimits.training.sweep import train_study

        engine = choose(self.engine, self.workers, address=self.address, gpus=self.gpus, storage=self.storage)
        studies = preset(self.preset, models=self.models, samples=self.samples, seeds=self.seeds, device=self.device)
        # What a cluster can do is not to be found out here.
        if not self.resume and self.engine == "local":
            print(_forecast(studies, self.workers), file=sys.stderr)
        with LiveTable(studies, self.out / "progress.log") as table:
            train_study(studies, self.out, resume=self.resume, force=self.force, engine=engine, progress=table.update)
        print(f"Study: {self.out}; speedlimits figure1 {self.out} draws it.")


def _forecast(studies: Mapping[str, RunConfig], workers: int | None) -> str:
    """What the whole study will take, from one gradient of each kind of network on the fewest images."""
    from speedlimits.training.engines.local import cores
    from speedlimits.training.forecast import estimate

    members, rates = [], []
    for model in dict.fromkeys(config.model for config in studies.values()):
        configs = [config for config in studies.values() if config.model == model]
        smallest = min(configs, key=lambda config: config.samples)
        one = estimate(smallest)
        rates.append(f"{1 / one.gradient_seconds:.3g} gradients of {model} per second at n = {smallest.samples}")
        members += [one.scaled(config.samples / smallest.samples).seconds for config in configs for _ in config.seeds]
    # One queue for all, the longest first.
    total = max(sum(members) / min(workers or cores(), len(members)), *members)
    return f"{', '.join(rates)}: about {total / 60:.2g} minutes in all (a rough guide)."
