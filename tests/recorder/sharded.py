"""Two processes that train one model together: `python -m tests.recorder.sharded FOLDER` writes what each measured."""

import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed, multiprocessing, nn, optim
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.functional import cross_entropy

from speedlimits.recorder import Recorder
from tests.recorder.loops import Reference, batches, mlp

RANKS = 2


def ddp(model: nn.Module) -> tuple[nn.Module, Any]:
    """Whole weights on each rank."""
    whole = nn.parallel.DistributedDataParallel(model)
    return whole, optim.SGD(whole.parameters(), lr=0.1)


def zero(model: nn.Module) -> tuple[nn.Module, Any]:
    """Whole weights, of which each rank steps a part."""
    whole = nn.parallel.DistributedDataParallel(model)
    return whole, ZeroRedundancyOptimizer(whole.parameters(), optimizer_class=optim.SGD, lr=0.1)


def fsdp1(model: nn.Module) -> tuple[nn.Module, Any]:
    """Flat shards behind views."""
    cut = FullyShardedDataParallel(model, use_orig_params=True, device_id=torch.device("cpu"))
    return cut, optim.SGD(cut.parameters(), lr=0.1)


def fsdp2(model: nn.Module) -> tuple[nn.Module, Any]:
    """A shard of each tensor."""
    for layer in model.children():
        if isinstance(layer, nn.Linear):
            fully_shard(layer)
    fully_shard(model)
    return model, optim.SGD(model.parameters(), lr=0.1)


WAYS = {"ddp": ddp, "zero": zero, "fsdp1": fsdp1, "fsdp2": fsdp2}


def train(way: str, rank: int, folder: Path) -> dict[str, float]:
    """Train with half of each batch; beside it, one whole model in this process.

    Args:
        way: of `WAYS`.
        rank: of this process.
        folder: where the recording and its page are saved, once for both.

    Returns:
        The recorder's error, the drift's number, and that of the whole model.
    """
    model, optimizer = WAYS[way](mlp())
    recorder, sketched = Recorder().attach(optimizer), Recorder(memory="sketch", sketch=100).attach(optimizer)
    alone = mlp()
    step = optim.SGD(alone.parameters(), lr=0.1)
    reference, whole = Reference(alone.parameters()), Recorder().attach(step)
    for inputs, labels in batches(40):
        loss = cross_entropy(model(inputs.chunk(RANKS)[rank]), labels.chunk(RANKS)[rank])
        recorder.record(loss=loss)
        sketched.record(loss=loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss = cross_entropy(alone(inputs), labels)
        whole.record(loss=loss)
        step.zero_grad()
        loss.backward()
        step.step()
        reference.step(0.1)
    for each in (recorder, sketched, whole):
        each.finish()
    one, other = recorder.trajectory(), whole.trajectory()
    recorder.save(folder / way)
    recorder.report(folder / f"{way}.html")
    return {
        "error": reference.error(recorder),
        "gradient": float(abs(one.step_gradients_squared[:-1] / other.step_gradients_squared[:-1] - 1).max()),
        "snapshots": float(
            abs(one.snapshot_distances_squared[0, 1:] / other.snapshot_distances_squared[0, 1:] - 1).max()
        ),
        "sketched": float(sketched.speed_limit().final.inefficiency),
        "tolerance": float(sketched.speed_limit().final.tolerance),
        "exact": float(recorder.speed_limit().final.inefficiency),
        "starts": len(sketched.trajectory().snapshot_records),
        "drift": recorder.noise().inefficiency,
        "whole": whole.noise().inefficiency,
    }


def mixed() -> dict[str, Any]:
    """One layer is cut, the others lie whole on every rank; both ranks see the same batches.

    Returns:
        The recorder's error, and what `noise` and a sketch say.
    """
    model, alone = mlp(), mlp()
    fully_shard(model[0])
    optimizer, step = optim.SGD(model.parameters(), lr=0.1), optim.SGD(alone.parameters(), lr=0.1)
    recorder, reference = Recorder().attach(optimizer), Reference(alone.parameters())
    for inputs, labels in batches(40):
        recorder.record(loss=math.nan)
        for each, its in ((model, optimizer), (alone, step)):
            its.zero_grad()
            cross_entropy(each(inputs), labels).backward()
            its.step()
        reference.step(0.1)
    recorder.finish()
    return {
        "error": reference.error(recorder),
        "words": refused(recorder.noise),
        "sketched": refused(lambda: Recorder(memory="sketch", sketch=100).attach(optimizer).record(loss=math.nan)),
    }


def ranks(rank: int, *, clip: float) -> dict[str, float]:
    """DDP, whose ranks' gradients are compared; beside it one model that is given both halves.

    Args:
        rank: of this process.
        clip: largest norm of the gradient.

    Returns:
        Noise and drift by both.
    """
    model, alone = nn.parallel.DistributedDataParallel(mlp()), mlp()
    optimizer, step = optim.SGD(model.parameters(), lr=0.1), optim.SGD(alone.parameters(), lr=0.1)
    recorder, whole = Recorder().attach(optimizer), Recorder().attach(step)
    recorder.rank_gradients(model)
    weights, factors = list(alone.parameters()), []
    for inputs, labels in batches(100):
        pairs = list(zip(inputs.chunk(RANKS), labels.chunk(RANKS), strict=True))
        for each in (recorder, whole):
            each.record(loss=math.nan)
        optimizer.zero_grad()
        cross_entropy(model(pairs[rank][0]), pairs[rank][1]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        halves = [torch.autograd.grad(cross_entropy(alone(x), y), weights) for x, y in pairs]
        for weight, one, other in zip(weights, *halves, strict=True):
            weight.grad = (one + other) / 2
        factors.append(min(1.0, clip / float(nn.utils.clip_grad_norm_(weights, clip))))
        whole.half_gradients(*([factors[-1] * each for each in half] for half in halves))
        step.step()
    found = {"clipped": float(min(factors))}
    for name, each in (("ranks", recorder), ("halves", whole)):
        noise = each.finish().noise(by="halves")
        found |= {name: noise.inefficiency, f"{name}, share": noise.share, f"{name}, error": noise.standard_error}
    return found


def refused(call: Callable[[], Any]) -> str:
    """The words of a refusal; none if there was none.

    Args:
        call: that should be refused.
    """
    try:
        call()
    except ValueError as error:
        return str(error)
    return ""


def work(rank: int, port: int, folder: str) -> None:
    """What one process does.

    Args:
        rank: of it.
        port: where they meet.
        folder: where it writes.
    """
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", rank=rank, world_size=RANKS)
    found: dict[str, Any] = {way: train(way, rank, Path(folder)) for way in WAYS}
    found["mixed"] = mixed()
    found["ranks"] = [ranks(rank, clip=clip) for clip in (math.inf, 0.1)]
    Path(folder, f"{rank}.json").write_text(json.dumps(found))
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    multiprocessing.spawn(work, args=(int(sys.argv[1]), sys.argv[2]), nprocs=RANKS)  # type: ignore[attr-defined]
