"""The steps of one or several optimizers, whatever wraps them, as the steps of one walk."""

import functools
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from speedlimits._checks import check_non_negative
from speedlimits.recorder.optimizers import gradient_norms, learning_rate

TimeStep = Callable[[], float] | float | None


class Attachment:
    """One optimizer, with what was seen of its step.

    Args:
        optimizer: as the user holds it.
        time_step: Δt of its coming step; None reads its learning rate.
    """

    def __init__(self, optimizer: Any, time_step: TimeStep) -> None:
        self.optimizer = unwrapped(optimizer)
        if time_step is None:
            time_step = functools.partial(learning_rate, self.optimizer)
            time_step()
        self._time_step = time_step
        self.step_size = 0.0
        self.begun = False
        self._in_closure = False

    @property
    def weights(self) -> list[Tensor]:
        """The tensors it holds now."""
        return [weight for group in self.optimizer.param_groups for weight in group["params"]]

    def begins(self, closure: object) -> None:
        """A step begins.

        Args:
            closure: what the optimizer was given to find its gradients; None where they are at hand.
        """
        size = self.step_size = self._time_step() if callable(self._time_step) else self._time_step
        # In each step, a look at a plain number is enough.
        if not (type(size) is float and 0.0 <= size < math.inf):
            check_non_negative("time_step", size)
        self._in_closure = closure is not None
        self.begun = True

    @property
    def skips(self) -> bool:
        """Whether a gradient scaler makes the optimizer leave out this step, because a gradient is not finite."""
        found = getattr(self.optimizer, "found_inf", None)
        return found is not None and bool(torch.as_tensor(found) > 0)

    def gradients(self, *, after: bool) -> list[Tensor]:
        """The norms of the gradients that the step uses.

        Args:
            after: whether the step is over. With a closure the gradients are found during the step.

        Returns:
            Of each weight that has one; none where this is not the moment to know them: L-BFGS finds several.
        """
        if self._in_closure != after or isinstance(self.optimizer, torch.optim.LBFGS):
            return []
        return gradient_norms(self.weights)


class Steps:
    """Hooks on optimizers; together they make the steps of one walk.

    A step of the walk ends when each of them has stepped, or one of them steps again, or `close` is called. It takes
    the longest of their times.

    Args:
        optimizers: any; wrappers are taken off, and what has no hooks has its `step` replaced until `detach`.
        time_step: see `Attachment`.
        begin: called before the first of them steps.
        wanted: whether the norms of gradients are, which takes a look at each gradient.
        gradient: called with them and their scale, where they are known.
        end: called with the duration and those that stepped when a step of the walk ends.
    """

    def __init__(
        self,
        optimizers: Sequence[Any],
        time_step: TimeStep,
        *,
        begin: Callable[[], None],
        wanted: Callable[[], bool],
        gradient: Callable[[list[Tensor], Any], None],
        end: Callable[[float, Sequence[Attachment]], None],
    ) -> None:
        self.attachments = [Attachment(optimizer, time_step) for optimizer in optimizers]
        self._begin, self._wanted, self._gradient, self._end = begin, wanted, gradient, end
        self._stepped: list[Attachment] = []
        self._undo: list[Callable[[], None]] = []
        for attachment in self.attachments:
            self._hook(attachment)

    @property
    def weights(self) -> list[Tensor]:
        """All tensors that the optimizers hold now, each once."""
        found = {id(weight): weight for attachment in self.attachments for weight in attachment.weights}
        return list(found.values())

    @property
    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Without wrappers."""
        return [attachment.optimizer for attachment in self.attachments]

    @property
    def within(self) -> bool:
        """Whether some have stepped and others have not."""
        return bool(self._stepped)

    def close(self) -> None:
        """End a step that some of the optimizers have taken."""
        if self._stepped:
            duration = max(attachment.step_size for attachment in self._stepped)
            stepped, self._stepped = self._stepped, []
            self._end(duration, stepped)

    def detach(self) -> None:
        """Take all hooks off."""
        self.close()
        for undo in self._undo:
            undo()
        self._undo = []

    def _before(self, attachment: Attachment, closure: object) -> None:
        with measuring():
            if attachment in self._stepped:
                self.close()
            if not self._stepped:
                self._begin()
            attachment.begins(closure)
            self._found(attachment, after=False)

    def _after(self, attachment: Attachment) -> None:
        with measuring():
            if attachment.skips:
                return
            if not attachment.begun:
                # It was attached within this step, by its closure: the hook at the beginning came too late.
                attachment.begins(None)
            self._found(attachment, after=True)
            self._stepped.append(attachment)
            if len(self._stepped) == len(self.attachments):
                self.close()

    def _found(self, attachment: Attachment, *, after: bool) -> None:
        if self._wanted() and (norms := attachment.gradients(after=after)):
            self._gradient(norms, getattr(attachment.optimizer, "grad_scale", None) or 1.0)

    def _hook(self, attachment: Attachment) -> None:
        optimizer = attachment.optimizer
        # A compiled step calls these as they are, and does not look into them.
        before = _uncompiled(lambda _, args, kwargs: self._before(attachment, _closure(args, kwargs)))
        after = _uncompiled(lambda *_: self._after(attachment))
        if hasattr(optimizer, "_optimizer_step_post_hooks"):
            self._undo.append(optimizer.register_step_pre_hook(before).remove)
            self._undo.append(optimizer.register_step_post_hook(after).remove)
            return
        original = optimizer.step

        @functools.wraps(original)
        def step(*args: Any, **kwargs: Any) -> Any:
            before(optimizer, args, kwargs)
            result = original(*args, **kwargs)
            after()
            return result

        optimizer.step = step
        self._undo.append(lambda: delattr(optimizer, "step"))


class measuring(torch.no_grad):
    """What is measured belongs to no graph, and can be changed later, also where the user's own tensors cannot."""

    def __enter__(self) -> None:
        self._normal = torch.inference_mode(False) if torch.is_inference_mode_enabled() else None
        if self._normal is not None:
            self._normal.__enter__()
        super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        if self._normal is not None:
            self._normal.__exit__(*error)


def unwrapped(optimizer: Any) -> Any:
    """The optimizer that takes the steps, below wrappers that hold it as `.optimizer`.

    Args:
        optimizer: as the user holds it.

    Raises:
        ValueError: if it is no optimizer.
    """
    if isinstance(optimizer, nn.Module):
        raise ValueError(
            "`optimizers` must be optimizers; this is a module. "
            "Without one, record by hand: recorder.record(time=…, loss=…, model=model)."
        )
    while hasattr(inner := getattr(optimizer, "optimizer", None), "param_groups"):
        optimizer = inner
    if not callable(getattr(optimizer, "step", None)) or not hasattr(optimizer, "param_groups"):
        raise ValueError(f"`optimizers` must have `step` and `param_groups`; got {type(optimizer).__name__}.")
    return optimizer


def _closure(args: Sequence[Any], kwargs: dict[str, Any]) -> object:
    # A bound step is called with itself first.
    given = [argument for argument in args if callable(argument)]
    return kwargs.get("closure") or (given[0] if given else None)


def _uncompiled(function: Callable[..., None]) -> Callable[..., None]:
    """The same, which the compiler calls as it is, with all that it calls; nothing is imported for that in advance."""
    whole: list[Any] = []

    def call(*args: Any) -> None:
        if "torch._dynamo" not in sys.modules:
            function(*args)
            return
        if not whole:
            whole.append(torch.compiler.disable(function))
        whole[0](*args)

    call._torchdynamo_disable = True  # type: ignore[attr-defined]
    return call
