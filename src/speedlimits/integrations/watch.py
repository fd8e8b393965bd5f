"""One recorder for one training, as a trainer's callback uses it."""

import copy
from typing import Any

from torch import Tensor

from speedlimits._checks import check_integer
from speedlimits.errors import SpeedLimitsError
from speedlimits.recorder.recorder import Recorder


class Watch:
    """Makes a recorder when training begins, lets it record, saves it and says what it found.

    Args:
        record_every: steps from record to record. Every step is measured; records say when the loss was what.
        options: of `Recorder`.

    Raises:
        ValueError: if a number is against the rules.
    """

    def __init__(self, record_every: int, options: dict[str, Any]) -> None:
        check_integer("record_every", record_every, minimum=1)
        # A wrong option is named here, and not when training begins.
        Recorder(**options)
        self._every = record_every
        self._options = options
        self._recorder: Recorder | None = None
        self._steps = 0
        self._left: dict[str, Any] | None = None

    @property
    def recorder(self) -> Recorder:
        """That of the training that runs, or ran last.

        Raises:
            ValueError: if none has begun.
        """
        if self._recorder is None:
            raise ValueError("`recorder` exists from the beginning of the training; none has begun.")
        return self._recorder

    def begin(self, *optimizers: Any) -> None:
        """Measure these optimizers' steps from here on, with a new recorder.

        Args:
            optimizers: together they make one step.
        """
        self.leave()
        self._recorder = Recorder(**self._options).attach(*optimizers)
        self._steps, self._left = 0, None

    def step(self, loss: float | Tensor) -> None:
        """A step is about to be taken.

        Args:
            loss: at the weights it starts from [loss].
        """
        if self._steps % self._every == 0:
            self.recorder.record(loss=loss)
        self._steps += 1

    def end(self) -> str:
        """Record where the steps have led, take the hooks off, and give the verdict in words."""
        # The last record has no loss. A training that goes on from here has one.
        left = self.state_dict()
        # Only where steps wait to be measured does the last record change what the state refers to.
        self._left = copy.deepcopy(left) if self._options.get("every", 1) > 1 else left
        self.recorder.finish()
        try:
            return self.recorder.verdict()
        except (ValueError, SpeedLimitsError) as error:
            # A training that ends well is not to fail for what could not be measured.
            return f"There is no speed limit: {error}"

    def leave(self) -> None:
        """Take the hooks off the optimizers; what was measured stays."""
        if self._recorder is not None:
            self._recorder.detach()

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on with the same numbers; empty where nothing has begun."""
        if self._left is not None:
            return self._left
        return {} if self._recorder is None else {"steps": self._steps, "recorder": self._recorder.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where another process stopped; after `begin`, on a model with the weights of then.

        Args:
            state: what `state_dict` gave.
        """
        if state:
            self.recorder.load_state_dict(state["recorder"])
            self._steps = state["steps"]
