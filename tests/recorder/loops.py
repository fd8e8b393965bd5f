"""Training loops as people write them, each beside a reference that adds up the path in float64 by itself.

Each loop is short and real: no part of it is replaced. `test_loops` runs them, and `docs/make_loops_table.py` writes
what came out into docs/recorder.md.
"""

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.nn.functional import cross_entropy
from torch.optim import lr_scheduler

from speedlimits.recorder import Recorder


class Reference:
    """Sums over all weights, widened to float64 one by one."""

    def __init__(self, weights: Iterable[Tensor]) -> None:
        self.weights = list(weights)
        self._first = self._last = self._flat()
        self.time = self.arc_length = self.path_dissipation = 0.0

    def _flat(self) -> Tensor:
        numbers = [weight.detach() for weight in self.weights]
        numbers = [torch.view_as_real(each) if each.is_complex() else each for each in numbers]
        return torch.cat([each.to(torch.float64).reshape(-1) for each in numbers])

    def step(self, step_size: float) -> None:
        """A step was taken, and all that the loop does after it."""
        here = self._flat()
        squared = float((here - self._last).square().sum())
        self.arc_length += math.sqrt(squared)
        self.path_dissipation += squared / step_size if step_size else 0.0
        self.time += step_size
        self._last = here

    @property
    def w2_squared(self) -> float:
        """|θ − θ_0|² after the last step."""
        return float((self._last - self._first).square().sum())

    def error(self, recorder: Recorder) -> float:
        """The largest relative error of the recorder's numbers at its last record."""
        run = recorder.trajectory()
        pairs = {
            "time": run.time,
            "w2_squared": run.w2_squared[-1],
            "arc_length": run.arc_lengths[-1],
            "path_dissipation": run.path_dissipation[-1],
        }
        return max(abs(found / getattr(self, name) - 1) for name, found in pairs.items())


def mlp(dtype: torch.dtype = torch.float32, *, normalised: bool = False, seed: int = 0) -> nn.Sequential:
    """A small classifier, the same each time."""
    torch.manual_seed(seed)
    norm = [nn.BatchNorm1d(32)] if normalised else []
    layers = [nn.Linear(10, 32), *norm, nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 3)]
    return nn.Sequential(*layers).to(dtype)


def convolutions() -> nn.Module:
    """A classifier of the same inputs as pictures of two rows; large weights and small."""
    torch.manual_seed(0)
    first, second = nn.Conv2d(1, 40, 3, padding=1), nn.Conv2d(40, 60, 3, padding=1)
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 5)), first, nn.Tanh(), second, nn.Tanh(), nn.Flatten(), nn.Linear(600, 3)
    )


def channels_last() -> nn.Module:
    """The same, whose weights lie in another order in memory."""
    return convolutions().to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def batches(steps: int = 40, dtype: torch.dtype = torch.float32) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of 32 that never repeat.

    Yields:
        Inputs and labels.
    """
    generator = torch.Generator().manual_seed(1)
    teacher = torch.randn(10, 3, generator=generator)
    for _ in range(steps):
        inputs = torch.randn(32, 10, generator=generator)
        yield inputs.to(dtype), (inputs @ teacher).argmax(1)


def rate(optimizer: Any) -> float:
    """The largest learning rate."""
    return max(float(group["lr"]) for group in optimizer.param_groups)


Outcome = tuple[Recorder, Reference]


@dataclass(frozen=True)
class Loop:
    """One way to train.

    Args:
        kind: a heading for its row.
        name: what is special about it.
        run: trains, and gives the recorder and the reference.
        refused: what the error says, where the recorder refuses.
        tolerance: of the recorder's numbers, relative.
    """

    kind: str
    name: str
    run: Callable[[], Outcome] = field(compare=False)
    refused: str = ""
    tolerance: float = 1e-9

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


def plain(
    make: Callable[[Any], Any],
    *,
    network: Callable[[], nn.Module] | None = None,
    dtype: torch.dtype = torch.float32,
    normalised: bool = False,
    scheduler: Callable[[Any], Any] | None = None,
    change: Callable[[int, nn.Module, Any], None] | None = None,
    prepare: Callable[[nn.Module, Any], Any] | None = None,
    clip: float | None = None,
    every: int = 1,
    steps: int = 40,
) -> Outcome:
    """The usual loop: record, backward, step.

    Args:
        make: the optimizer from the weights.
        network: the model; by default `mlp`.
        dtype: of the weights.
        normalised: with BatchNorm.
        scheduler: of the rate.
        change: what else is done after each step.
        prepare: what is attached to, instead of the optimizer.
        clip: the largest norm of a gradient.
        every: measured step.
        steps: of the loop.
    """
    model = network() if network else mlp(dtype, normalised=normalised)
    optimizer = make(model.parameters())
    recorder = Recorder(every=every).attach(prepare(model, optimizer) if prepare else optimizer)
    schedule = scheduler(optimizer) if scheduler else None
    reference = Reference(model.parameters())
    for number, (inputs, labels) in enumerate(batches(steps, dtype)):
        loss = cross_entropy(model(inputs), labels)
        recorder.record(loss=loss)
        optimizer.zero_grad()
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        used = rate(optimizer)
        optimizer.step()
        if schedule is not None:
            schedule.step()
        reference.step(used)
        if change is not None:
            change(number, model, optimizer)
    recorder.finish()
    return recorder, reference


def closed(make: Callable[[Any], Any]) -> Outcome:
    """Gradients come from a closure, during the step."""
    model = mlp()
    optimizer = make(model.parameters())
    recorder, reference = Recorder().attach(optimizer), Reference(model.parameters())
    for inputs, labels in batches(20):

        def closure(inputs: Tensor = inputs, labels: Tensor = labels) -> Tensor:
            optimizer.zero_grad()
            loss = cross_entropy(model(inputs), labels)
            loss.backward()
            return loss

        recorder.record(loss=math.nan)
        optimizer.step(closure)
        reference.step(rate(optimizer))
    recorder.finish()
    return recorder, reference


def scaled(*, fused: bool, broken: tuple[int, ...]) -> Outcome:
    """Loss scaling, where steps with infinite gradients are left out."""
    model = mlp()
    optimizer = optim.SGD(model.parameters(), lr=0.1, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    recorder, reference = Recorder().attach(optimizer), Reference(model.parameters())
    for number, (inputs, labels) in enumerate(batches()):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = cross_entropy(model(inputs), labels)
        recorder.record(loss=loss)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        if number in broken:
            next(model.parameters()).grad[0, 0] = math.inf  # type: ignore[index]
        scaler.step(optimizer)
        scaler.update()
        if number not in broken:
            reference.step(0.1)
    recorder.finish()
    return recorder, reference


def together() -> Outcome:
    """Muon for matrices and AdamW for the rest make one step."""
    model = mlp()
    matrices = [weight for weight in model.parameters() if weight.ndim == 2]
    optimizers = (
        optim.Muon(matrices, lr=1e-2),
        optim.AdamW([weight for weight in model.parameters() if weight.ndim < 2], lr=2e-3),
    )
    recorder, reference = Recorder().attach(*optimizers), Reference(model.parameters())
    for inputs, labels in batches():
        loss = cross_entropy(model(inputs), labels)
        recorder.record(loss=loss)
        model.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        reference.step(1e-2)
    recorder.finish()
    return recorder, reference


def uneven() -> Outcome:
    """One optimizer steps thrice while the other steps once; each step of the first is a step of the walk."""
    model = mlp()
    first, second = optim.SGD(model[0].parameters(), lr=0.1), optim.SGD(model[2:].parameters(), lr=0.05)
    recorder, reference = Recorder().attach(first, second), Reference(model.parameters())
    for number, (inputs, labels) in enumerate(batches(30)):
        loss = cross_entropy(model(inputs), labels)
        recorder.record(loss=loss)
        model.zero_grad()
        loss.backward()
        first.step()
        if number % 3 == 2:
            second.step()
        reference.step(0.1)
    recorder.finish()
    return recorder, reference


def phases() -> Outcome:
    """A second phase with another optimizer."""
    model = mlp()
    optimizer: optim.Optimizer = optim.Adam(model.parameters(), lr=1e-2)
    recorder, reference = Recorder().attach(optimizer), Reference(model.parameters())
    for number, (inputs, labels) in enumerate(batches()):
        if number == 20:
            optimizer = optim.SGD(model.parameters(), lr=0.1)
            recorder.attach(optimizer)
        loss = cross_entropy(model(inputs), labels)
        recorder.record(loss=loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        reference.step(rate(optimizer))
    recorder.finish()
    return recorder, reference


def joined(how: str) -> Outcome:
    """The head is trained from step 20 on."""
    model = mlp()
    head = model[-1]
    assert isinstance(head, nn.Module)
    if how == "unfrozen":
        head.requires_grad_(False)
        optimizer = optim.SGD(model.parameters(), lr=0.1)
    else:
        optimizer = optim.SGD(model[:-1].parameters(), lr=0.1)
    recorder, reference = Recorder().attach(optimizer), Reference(model.parameters())
    for number, (inputs, labels) in enumerate(batches()):
        if number == 20 and how == "unfrozen":
            head.requires_grad_(True)
        elif number == 20:
            optimizer.add_param_group({"params": list(head.parameters())})
        loss = cross_entropy(model(inputs), labels)
        recorder.record(loss=loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        reference.step(0.1)
    recorder.finish()
    return recorder, reference


def accumulated() -> Outcome:
    """Gradients of four batches make one step."""
    model = mlp()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    recorder, reference = Recorder().attach(optimizer), Reference(model.parameters())
    for number, (inputs, labels) in enumerate(batches()):
        loss = cross_entropy(model(inputs), labels) / 4
        recorder.record(loss=loss)
        loss.backward()
        if number % 4 == 3:
            optimizer.step()
            optimizer.zero_grad()
            reference.step(0.1)
    recorder.finish()
    return recorder, reference


def by_hand(change: Callable[[int, nn.Module], None] | None = None) -> Outcome:
    """Without an optimizer: one record for each step."""
    model = mlp()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    if change is not None:
        change(-1, model)
    recorder, reference = Recorder(), Reference(model.parameters())
    for number, (inputs, labels) in enumerate(batches()):
        loss = cross_entropy(model(inputs), labels)
        recorder.record(time=0.1 * number, loss=loss, model=model)
        optimizer.zero_grad()
        loss.backward()
        if change is not None:
            change(number, model)
        optimizer.step()
        reference.step(0.1)
    recorder.record(time=0.1 * 40, loss=math.nan, model=model)
    return recorder, reference


def swapped_freezing(number: int, model: nn.Module) -> None:
    """First one layer is frozen, then another of the same shape."""
    one, _, other, *_ = model.children()
    if number == -1:
        one.requires_grad_(False)
    elif number == 20:
        one.requires_grad_(True)
        other.requires_grad_(False)


def in_backward() -> Outcome:
    """An optimizer for each weight, which steps as soon as its gradient is there."""
    model = mlp()
    optimizers = {weight: optim.SGD([weight], lr=0.1) for weight in model.parameters()}
    recorder, reference = Recorder().attach(*optimizers.values()), Reference(model.parameters())

    def step(weight: Tensor) -> None:
        optimizers[weight].step()  # type: ignore[index]
        optimizers[weight].zero_grad()  # type: ignore[index]

    for weight in model.parameters():
        weight.register_post_accumulate_grad_hook(step)
    for inputs, labels in batches(20):
        loss = cross_entropy(model(inputs), labels)
        recorder.record(loss=loss)
        loss.backward()
        reference.step(0.1)
    recorder.finish()
    return recorder, reference


class Lookahead(optim.Optimizer):
    """Slow weights follow the fast ones; like many such wrappers it does not call `Optimizer.__init__`."""

    def __init__(self, base: optim.Optimizer) -> None:
        self.base_optimizer, self.taken = base, 0
        self.param_groups, self.state = base.param_groups, base.state
        self.slow = [weight.detach().clone() for group in base.param_groups for weight in group["params"]]

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.base_optimizer.zero_grad(set_to_none)

    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.base_optimizer.step(closure)
        self.taken += 1
        if self.taken % 5 == 0:
            weights = [weight for group in self.param_groups for weight in group["params"]]
            for slow, weight in zip(self.slow, weights, strict=True):
                slow += 0.5 * (weight.detach() - slow)
                weight.data.copy_(slow)


def schedule_free(kind: str) -> Outcome:
    """Weights between steps are an average of two others."""
    import schedulefree

    makers: dict[str, Callable[[Any], Any]] = {
        "SGD": lambda weights: schedulefree.SGDScheduleFree(weights, lr=0.5),
        "AdamW": lambda weights: schedulefree.AdamWScheduleFree(weights, lr=1e-2, warmup_steps=10),
        "wrapper": lambda weights: schedulefree.ScheduleFreeWrapper(optim.SGD(weights, lr=0.5), momentum=0.9),
    }

    def make(weights: Any) -> Any:
        optimizer = makers[kind](weights)
        optimizer.train()
        return optimizer

    return plain(make)


def accelerated(*, before: bool, accumulate: int = 1) -> Outcome:
    """Accelerate wraps the optimizer; attached before or after that."""
    from accelerate import Accelerator

    model = mlp()
    optimizer: Any = optim.SGD(model.parameters(), lr=0.1)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=accumulate)
    recorder = Recorder()
    if before:
        recorder.attach(optimizer)
    model, optimizer = accelerator.prepare(model, optimizer)
    if not before:
        recorder.attach(optimizer)
    reference = Reference(model.parameters())
    for inputs, labels in batches():
        with accelerator.accumulate(model):
            loss = cross_entropy(model(inputs), labels)
            recorder.record(loss=loss)
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            if accelerator.sync_gradients:
                reference.step(0.1)
    recorder.finish()
    return recorder, reference


def compiled(*, first: bool) -> Outcome:
    """A compiled step; attached before or after it was compiled."""
    torch._dynamo.reset()
    model = mlp()
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    recorder = Recorder()
    if first:
        recorder.attach(optimizer)
    step = torch.compile(optimizer.step, backend="eager")
    if not first:
        recorder.attach(optimizer)
    reference = Reference(model.parameters())
    for inputs, labels in batches(20):
        loss = cross_entropy(model(inputs), labels)
        recorder.record(loss=loss)
        optimizer.zero_grad()
        loss.backward()
        step()
        reference.step(1e-2)
    recorder.finish()
    return recorder, reference


def groups(weights: Iterable[Tensor], rates: tuple[float, float] = (0.02, 0.1)) -> optim.Optimizer:
    """Two groups with rates of their own."""
    first, *rest = weights
    return optim.SGD([{"params": [first], "lr": rates[0]}, {"params": rest, "lr": rates[1]}])


def no_rate() -> Outcome:
    """A rate that the optimizer finds by itself."""
    model = mlp()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    optimizer.param_groups[0]["lr"] = None
    return Recorder().attach(optimizer), Reference(model.parameters())


def module() -> Outcome:
    """A module is no optimizer."""
    model = mlp()
    return Recorder().attach(model), Reference(model.parameters())


def sam(number: int, model: nn.Module, _: Any) -> None:
    """As sharpness-aware steps do: away and back again."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05).sub_(0.05)


def reordered(number: int, model: nn.Module, _: Any) -> None:
    """The weights change their order in memory on the way."""
    if number == 9:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _of(name: str, **options: Any) -> Callable[[Any], optim.Optimizer]:
    return functools.partial(getattr(optim, name), **options)


def _loop(make: Callable[[Any], Any], **options: Any) -> Callable[[], Outcome]:
    return lambda: plain(make, **options)


STEEP, WARM = {"lr": 0.1}, {"lr": 1e-2}
OPTIMIZERS = {
    "SGD": _of("SGD", **STEEP),
    "SGD, momentum": _of("SGD", lr=0.05, momentum=0.9),
    "SGD, Nesterov, weight decay": _of("SGD", lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "SGD, fused": _of("SGD", lr=0.1, fused=True),
    "SGD, maximize": _of("SGD", lr=0.01, maximize=True),
    "Adam": _of("Adam", lr=1e-3),
    "Adam, foreach": _of("Adam", lr=1e-3, foreach=True),
    "Adam, fused": _of("Adam", lr=1e-3, fused=True),
    "AdamW, rate in a tensor": lambda weights: optim.AdamW(weights, lr=torch.tensor(1e-3)),
    **{
        name: _of(name)
        for name in ("RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "Rprop", "ASGD", "Adafactor")
    },
}
SCHEDULES = {
    "cosine to zero": lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 40),
    "one cycle": lambda optimizer: lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=41),
    "warm-up from zero": lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda k: min(1.0, k / 10)),
    "zero for the last ten steps": lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda k: float(k < 30)),
}

LOOPS = [
    *(Loop("optimizer", name, _loop(make)) for name, make in OPTIMIZERS.items()),
    *(
        Loop("optimizer", f"SGD, {str(dtype).removeprefix('torch.')}", _loop(_of("SGD", **STEEP), dtype=dtype))
        for dtype in (torch.float64, torch.float16, torch.bfloat16)
    ),
    Loop("optimizer", "SGD, BatchNorm", _loop(_of("SGD", **STEEP), normalised=True)),
    *(
        Loop("closure", name, functools.partial(closed, make))
        for name, make in {
            "SGD": _of("SGD", **STEEP),
            "L-BFGS": _of("LBFGS", lr=1.0, max_iter=5),
            "L-BFGS, strong Wolfe": _of("LBFGS", lr=1.0, max_iter=5, line_search_fn="strong_wolfe"),
        }.items()
    ),
    *(Loop("schedule", name, _loop(_of("AdamW", **WARM), scheduler=make)) for name, make in SCHEDULES.items()),
    Loop("groups", "two rates", _loop(groups)),
    Loop(
        "groups", "lr = None", no_rate, refused="`time_step` must be given where a parameter group has no learning rate"
    ),
    *(
        Loop(
            "loss scaling",
            f"{'fused' if fused else 'plain'}, {len(broken)} steps left out",
            functools.partial(scaled, fused=fused, broken=broken),
        )
        for fused in (False, True)
        for broken in ((), (7, 8, 20))
    ),
    Loop("several optimizers", "Muon and AdamW", together),
    Loop("several optimizers", "one steps thrice", uneven),
    Loop("several optimizers", "one for each weight, in backward", in_backward),
    Loop("several optimizers", "a second phase", phases),
    Loop("parameters", "a group joins", functools.partial(joined, "added")),
    Loop("parameters", "unfrozen", functools.partial(joined, "unfrozen")),
    Loop("parameters", "channels last", _loop(_of("SGD", **STEEP), network=channels_last)),
    Loop(
        "parameters",
        "channels last from step 10",
        _loop(_of("SGD", **STEEP), network=convolutions, change=reordered),
    ),
    Loop("gradients", "clipped", _loop(_of("SGD", **STEEP), clip=0.05)),
    Loop("gradients", "accumulated over four batches", accumulated),
    Loop("moved outside", "away and back again", _loop(_of("SGD", **STEEP), change=sam)),
    Loop("by hand", "every step", by_hand),
    Loop("by hand", "frozen layers change places", functools.partial(by_hand, swapped_freezing), tolerance=math.inf),
    Loop("attach", "a module", module, refused="this is a module"),
    Loop("wrapper", "Lookahead", _loop(lambda weights: Lookahead(optim.SGD(weights, lr=0.1)))),
    *(
        Loop("wrapper", f"schedule-free {kind}", functools.partial(schedule_free, kind))
        for kind in ("SGD", "AdamW", "wrapper")
    ),
    Loop("wrapper", "Accelerate, attached before", functools.partial(accelerated, before=True)),
    Loop("wrapper", "Accelerate, attached after", functools.partial(accelerated, before=False)),
    Loop("wrapper", "Accelerate, accumulation", functools.partial(accelerated, before=False, accumulate=4)),
    Loop("compiled step", "attached first", functools.partial(compiled, first=True)),
    Loop("compiled step", "attached after", functools.partial(compiled, first=False)),
]
