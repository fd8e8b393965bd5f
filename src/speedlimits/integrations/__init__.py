"""Where people train and where they look: callbacks of trainers, and trackers that a recorder writes to.

The callbacks are in `speedlimits.integrations.lightning` and `speedlimits.integrations.transformers`, which import
those packages.
"""

from typing import TYPE_CHECKING

from speedlimits._lazy import lazy

if TYPE_CHECKING:
    from speedlimits.integrations.trackers import MLflow as MLflow
    from speedlimits.integrations.trackers import TensorBoard as TensorBoard
    from speedlimits.integrations.trackers import WandB as WandB
else:
    __getattr__, __dir__, __all__ = lazy(__name__, {"trackers": "MLflow TensorBoard WandB"})
