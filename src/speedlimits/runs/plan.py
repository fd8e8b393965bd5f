"""What all members of a study share, fixed before the first of them starts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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
