"""Four unlike problems as users write them: tabular, a transformer on tokens, a 1-D convolution, and two inputs."""

import torch
from torch import nn

from speedlimits import Problem


def generator(seed: int) -> torch.Generator:
    """Of the data, which are the same for every seed of the weights."""
    return torch.Generator().manual_seed(1000 + seed)


def tabular(seed: int, samples: int = 12) -> Problem:
    """A multilayer perceptron with LayerNorm in float32, squared error on one-hot classes, with held-out rows."""
    torch.manual_seed(seed)
    rows = torch.randn(samples + 20, 5, generator=generator(0))
    labels = (rows[:, 0] > 0).long()
    return Problem(
        model=nn.Sequential(nn.Linear(5, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 2)),
        inputs=rows[:samples],
        targets=nn.functional.one_hot(labels[:samples], 2).float(),
        test_inputs=rows[samples:],
        test_labels=labels[samples:],
        name="tabular",
    )


class Transformer(nn.Module):
    """Two heads, tied embedding and output weights: the next token at each position."""

    def __init__(self, vocabulary: int = 7, width: int = 8) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.layer = nn.TransformerEncoderLayer(width, 2, 12, dropout=0.0, activation="gelu", batch_first=True)
        self.output = nn.Linear(width, vocabulary)
        self.output.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits, samples × positions × vocabulary."""
        return self.output(self.layer(self.embedding(tokens)))


def transformer(seed: int, samples: int = 6) -> Problem:
    """A small transformer on sequences of tokens with cross-entropy."""
    torch.manual_seed(seed)
    tokens = torch.randint(0, 7, (samples, 6), generator=generator(1))
    return Problem(model=Transformer(), inputs=tokens[:, :-1], targets=tokens[:, 1:], loss="cross_entropy")


def signal(seed: int) -> Problem:
    """A 1-D convolution for regression: no classes, so no accuracy."""
    torch.manual_seed(seed)
    waves = torch.randn(8, 1, 16, generator=generator(2), dtype=torch.float64)
    model = nn.Sequential(
        nn.Conv1d(1, 4, 3), nn.GroupNorm(2, 4), nn.GELU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 1)
    )
    return Problem(model=model, inputs=waves, targets=waves.mean(dim=(1, 2))[:, None], name="signal")


class TwoInputs(nn.Module):
    """Numbers and a category side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.category = nn.Embedding(3, 4)
        self.numbers = nn.Linear(2, 4)
        self.output = nn.Linear(4, 1)

    def forward(self, numbers: torch.Tensor, category: torch.Tensor) -> torch.Tensor:
        """One number for each sample."""
        return self.output(torch.tanh(self.numbers(numbers) + self.category(category)))


def two_inputs(seed: int) -> Problem:
    """A network of two inputs, one of them integers, with a loss of its own: the sum of ln cosh."""
    torch.manual_seed(seed)
    numbers = torch.randn(10, 2, generator=generator(3), dtype=torch.float64)
    category = torch.randint(0, 3, (10,), generator=generator(4))
    return Problem(
        model=TwoInputs().double(),
        inputs=(numbers, category),
        targets=numbers.sum(1, keepdim=True) + category[:, None],
        loss=log_cosh,
        name="two inputs",
    )


def log_cosh(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Σ ln cosh(f − y)."""
    return torch.log(torch.cosh(outputs - targets)).sum()


ALL = {"tabular": tabular, "transformer": transformer, "signal": signal, "two_inputs": two_inputs}
