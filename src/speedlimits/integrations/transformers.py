"""The speed limit of a training by Hugging Face's Trainer: one callback."""

import logging
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from speedlimits._files import write_atomically
from speedlimits.integrations.watch import Watch
from speedlimits.recorder.recorder import Recorder

try:
    from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
    from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
except ImportError as error:
    raise ImportError("this callback needs transformers: pip install 'speedlimits[transformers]'") from error

# Its file in a checkpoint's folder.
STATE = "speedlimits.pt"


class SpeedLimitCallback(TrainerCallback):
    """Measures every optimizer step of `train`, and prints the verdict when it ends.

    Use::

        callback = SpeedLimitCallback()
        Trainer(model, args, train_dataset=data, callbacks=[callback]).train()
        callback.recorder.speed_limit()

    A record is made where the gradient of a step is complete and the weights have not moved yet. Its loss is what
    ``training_step`` returns, summed over the batches of an accumulated gradient and averaged over all processes: the
    one that was differentiated, whatever computes it. The Trainer tells its callbacks of losses only when it logs them,
    as means over many steps; so ``training_step`` of this one Trainer is wrapped while it trains. Nothing is read to
    the host.

    The state is a file of each checkpoint, ``speedlimits.pt``: ``train(resume_from_checkpoint=…)`` goes on with the
    numbers of an uninterrupted run. Each `train` has a recorder of its own.

    Args:
        record_every: steps from record to record; every step is measured.
        quiet: whether not to print.
        **options: of `Recorder`.

    Raises:
        ValueError: if a number is against the rules.
    """

    def __init__(self, *, record_every: int = 1, quiet: bool = False, **options: Any) -> None:
        self._quiet = quiet
        self._watch = Watch(record_every, options)
        self._trainer: Trainer | None = None
        self._verdict = ""

    @property
    def recorder(self) -> Recorder:
        """That of the training that runs, or ran last; see `Watch.recorder`."""
        return self._watch.recorder

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, optimizer: Any = None, **_: Any
    ) -> None:
        """Attach to the optimizer, and go on where a checkpoint stopped."""
        self._unwrap()
        trainer, resumed = _caller()
        self._watch.begin(optimizer)
        if state.global_step > 0:
            self._go_on(Path(resumed or str(args.output_dir)))
        self._wrap(trainer)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Put the state beside the optimizer's."""
        # Sharded weights are gathered by all processes.
        found = self._watch.state_dict()
        folder = Path(str(args.output_dir)) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        if args.should_save and not args.save_only_model and folder.is_dir():
            write_atomically(folder / STATE, lambda file: torch.save(found, file))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Make the last record: after its last log the Trainer may load the best weights, which is no step."""
        if logs is not None and "train_runtime" in logs:
            self._end()

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Print the verdict, in one process only."""
        self._end()
        if state.is_world_process_zero and not self._quiet:
            # The progress bar has not ended its line.
            print("" if args.disable_tqdm else "\n", self._verdict, sep="", flush=True)

    def _wrap(self, trainer: Trainer) -> None:
        losses: list[Tensor] = []
        original = trainer.training_step

        def training_step(*args: Any, **kwargs: Any) -> Tensor:
            loss = original(*args, **kwargs)
            losses.append(loss.detach())
            if trainer.accelerator.sync_gradients:
                total = torch.stack(losses).sum()
                losses.clear()
                mean: Any = trainer.accelerator.reduce(total, reduction="mean")
                self._watch.step(mean)
            return loss

        trainer.training_step = training_step
        self._trainer = trainer

    def _end(self) -> None:
        if self._trainer is not None:
            self._unwrap()
            self._verdict = self._watch.end()

    def _unwrap(self) -> None:
        if self._trainer is not None:
            del self._trainer.training_step
            self._trainer = None

    def _go_on(self, folder: Path) -> None:
        path = folder / STATE
        if not path.is_file():
            logging.getLogger(__name__).warning("there is no %s: the speed limit is measured from here on", path)
            return
        self._watch.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))


def _caller() -> tuple[Trainer, str | None]:
    """The Trainer that calls its callbacks, and the checkpoint it has resumed from.

    It tells them neither, so both are looked up where they are: in its own running methods.
    """
    frame, folder = sys._getframe(1), None
    found: Trainer | None = None
    while frame is not None:
        holder = frame.f_locals.get("self")
        if isinstance(holder, Trainer) and (found is None or holder is found):
            found = holder
            folder = folder or frame.f_locals.get("resume_from_checkpoint")
        frame = frame.f_back
    if found is None:
        raise ValueError("`on_train_begin` must be called by a Trainer while it trains; there is none.")
    return found, folder
