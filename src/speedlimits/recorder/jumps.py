"""Moves of the weights between two steps, which no optimizer made."""

from collections.abc import Mapping
from typing import Any

# Below this share of the path's length a move is rounding, as of weights that were perturbed and put back.
ROUNDING = 1e-6


class Jumps:
    """How often and how far the weights were moved between steps.

    Args:
        forbidden: whether such a move is an error.
    """

    def __init__(self, *, forbidden: bool = False) -> None:
        self._forbidden = forbidden
        self._count, self._length, self._last = 0, 0.0, 0

    def add(self, length: float, step: int) -> None:
        """A move was found.

        Args:
            length: |J|; zero and what is not finite are no moves.
            step: how many steps came before it.

        Raises:
            ValueError: if moves are forbidden.
        """
        if not 0 < length < float("inf"):
            return
        if self._forbidden:
            raise ValueError(
                f"`jumps` must not occur; after step {step} the weights were moved by {length:.3g} all the same."
            )
        self._count, self._length, self._last = self._count + 1, self._length + length, step

    def notes(self, arc_length: float) -> list[str]:
        """A sentence if the moves are more than rounding.

        Args:
            arc_length: of the path.
        """
        if self._length <= ROUNDING * arc_length:
            return []
        times = "once" if self._count == 1 else f"{self._count} times"
        return [
            f"The weights were moved outside the optimizer {times}, by {self._length:.3g} in all, last after step "
            f"{self._last}: each move counts with the step that follows it."
        ]

    def state(self) -> dict[str, Any]:
        """All that `restore` needs."""
        return {"count": self._count, "length": self._length, "last": self._last}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where another stopped.

        Args:
            state: from `state`.
        """
        self._count, self._length, self._last = state["count"], state["length"], state["last"]
