"""A model as a function of its trainable weights, in float64 unless asked: what a Jacobian is taken of."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from speedlimits._checks import check_one_of
from speedlimits.dynamics.passes import check_rows, one_tensor, plain_layers, twice_differentiable
from speedlimits.dynamics.purity import check_pure
from speedlimits.dynamics.samples import Inputs, as_tuple, check_lengths, count, like, split

Outputs = Float[Tensor, "samples outputs"]
Weights = Mapping[str, Tensor]

# A sample among others and beside itself is computed by the same sums, maybe in another order.
AGREEMENT = 1e-8
# More than this is no rounding of float32.
ROUNDING = 1e-4


class WeightFunction:
    """f(x; θ) of any module in evaluation mode, in float64, each sample's outputs in one row.

    Single precision would leave the smallest tenth of a kernel's eigenvalues to chance, so weights, buffers and
    inputs are taken to float64 whatever the model's own precision, unless another is asked for. The model is not
    written to.

    Args:
        model: any module whose outputs for one sample depend on that sample and the weights alone.
        weights: values to put in the place of the model's own, by name, as a run's snapshot has them.
        dtype: of all that is computed.

    Raises:
        ValueError: if the model holds batch normalisation or dropout in training mode or no trainable weights, or
            ``weights`` names something that is none of them or has another shape.
    """

    def __init__(
        self,
        model: nn.Module,
        weights: Mapping[str, Tensor | np.ndarray] | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        check_pure(model)
        self._model, self.dtype = model, dtype
        self._plain = plain_layers(model)
        parameters = dict(model.named_parameters())
        names = [name for name, weight in parameters.items() if weight.requires_grad]
        if not names:
            raise ValueError("`model` must have trainable weights; it has none.")
        for name in names:
            if not parameters[name].is_floating_point():
                raise ValueError(f"`model` must have real weights; {name} is {parameters[name].dtype}.")
        given = dict(weights or {})
        for name, value in given.items():
            check_one_of("weights", name, names)
            if tuple(value.shape) != tuple(parameters[name].shape):
                raise ValueError(
                    f"`weights` must have the model's shapes; {name} has {tuple(value.shape)}, the model "
                    f"{tuple(parameters[name].shape)}."
                )
        self.device = parameters[names[0]].device
        self.weights = {
            name: torch.as_tensor(given.get(name, parameters[name].detach())).to(self.device, dtype) for name in names
        }
        rest = {**parameters, **dict(model.named_buffers())}
        self._rest = {name: self._cast(value) for name, value in rest.items() if name not in self.weights}

    def __call__(self, weights: Weights, inputs: Inputs) -> Outputs:
        """The outputs for these weights, those not named taken from the model."""
        # Fused attention has no rules for differentiating samples side by side or forwards.
        with twice_differentiable("model"), self._plain():
            outputs = functional_call(self._model, {**self._rest, **self.weights, **weights}, as_tuple(inputs))
        check_rows(one_tensor(outputs), count(inputs))
        return outputs.flatten(1) if outputs.ndim > 1 else outputs[:, None]

    def inputs(self, inputs: Inputs) -> tuple[Tensor, ...]:
        """Inputs on the model's device, floating-point numbers in ``dtype``, integers (tokens) and masks as they are.

        Args:
            inputs: samples in the first dimension; a tuple for a model of several inputs.

        Returns:
            The same numbers, as a tuple.

        Raises:
            ValueError: if there is no sample, or their numbers differ.
        """
        for part in as_tuple(inputs):
            if isinstance(part, Tensor) and part.ndim and not len(part):
                raise ValueError(f"`inputs` must hold at least one sample; inputs.shape = {tuple(part.shape)}.")
        check_lengths(inputs=inputs)
        return tuple(self._cast(part).to(self.device) for part in as_tuple(inputs))

    def check_apart(self, probe: Inputs) -> None:
        """Raise unless each sample's outputs are the same among others as beside itself: pairs have no kernel else.

        Args:
            probe: a few samples, as `inputs` gives them.

        Raises:
            ValueError: naming a sample whose outputs change.
        """
        with torch.no_grad():
            together = self(self.weights, probe)
            for sample, row in enumerate(together if len(together) > 1 else ()):
                only = like(probe, [part[sample].expand(2, *part.shape[1:]) for part in as_tuple(probe)])
                alone = self(self.weights, only)[0]
                if row.shape != alone.shape or bool(torch.any((row - alone).abs() > AGREEMENT * together.abs().max())):
                    raise ValueError(
                        f"`model` must give each sample outputs that depend on that sample alone; those of sample "
                        f"{sample} depend on others (statistics of the batch, or samples not in the first dimension)."
                    )

    def outputs(self, inputs: Inputs, chunk: int = 1024) -> Outputs:
        """The outputs at the weights given, so many samples at a time.

        Args:
            inputs: samples in the first dimension.
            chunk: samples at once.

        Returns:
            Their outputs.

        Raises:
            ValueError: if the inputs are not fit, or an output is not finite.
        """
        with torch.no_grad():
            pieces = [self(self.weights, part) for part in split(self.inputs(inputs), chunk)]
        return check_outputs(torch.cat(pieces))

    def _cast(self, value: Tensor) -> Tensor:
        return value.detach().to(self.dtype) if value.is_floating_point() else value.detach()


def check_rounding(what: str, error: float) -> None:
    """Raise a ValueError where single precision is too coarse for a model.

    Args:
        what: was computed in float32.
        error: of it, relative to the same in float64.

    Raises:
        ValueError: if it is above 1e-4, or not a number.
    """
    if not error <= ROUNDING:
        raise ValueError(f"`dtype` must be torch.float64 for this model: {what} in float32 is off by {error:.1g}.")


def check_outputs(outputs: Tensor) -> Tensor:
    """Give the outputs back, once they are known to be finite.

    Args:
        outputs: one row a sample.

    Returns:
        The same.

    Raises:
        ValueError: naming the first that is not.
    """
    bad = torch.nonzero(~torch.isfinite(outputs))
    if len(bad):
        sample, output = bad[0].tolist()
        raise ValueError(
            f"`model` must have finite outputs; output {output} of sample {sample} is {outputs[sample, output].item()}."
        )
    return outputs
