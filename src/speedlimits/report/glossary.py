"""What the words of a report mean, one sentence each; figures, tables and pages use no others."""

from collections.abc import Iterable

from speedlimits.report.words import COLUMNS

# By the name under which a page links to it: the word, and what it means.
TERMS = {
    "time": ("T", "time that training took, in flow time: learning rate × steps"),
    "start": ("t₀", "a later start: the weights at that time count as the first ones"),
    "certified": (
        "certified",
        "the assumptions of the limit were checked on this run, and they hold within the tolerance that is named",
    ),
    "seed": ("seed", "number that fixes the random start of a network; the same seed gives the same numbers again"),
    "std": ("± std", "standard deviation over the networks, with n − 1"),
    "points": ("at least", "the path was seen at a few points only; between them it may bend, which costs more time"),
    "drift": ("drift", "what the steps would be on average over all batches: the move without its noise"),
    "noise": ("noise", "the part of each step that is due to the batch; it dissipates, and hardly moves the weights"),
    "stride": ("stride", "the path is seen at each m-th step only, which hides noise that cancels within m steps"),
    "sketch": ("sketch", "random sums of all weights, from which distances are estimated with a known error"),
    "residual": ("Δ<sub>k</sub>", "output minus target along the k-th eigenvector of the tangent kernel"),
    "eigenvalue": ("λ<sub>k</sub>", "eigenvalue of the tangent kernel: the rate at which the part Δₖ is learned"),
    "ensemble": ("⟨…⟩", "mean over the networks of the ensemble"),
    "temperature": ("β⁻¹", "temperature of the noise; β is its inverse"),
    "w2": (
        "𝒲₂",
        "squared distance: the least mean squared move that carries the law at the start to that at time T",
    ),
    "dissipated": ("β⁻¹R", "dissipation: free energy lost so far; a faster way to the same place must lose more"),
    "free_energy": ("F", "free energy ⟨V⟩ − S/β, which noise at this temperature can only lower"),
    "entropy": ("S", "entropy of the law of the weights"),
    "side": ("side", "whether the estimate lies below what it estimates (lower), above it (upper), or is exact"),
    "limit": (
        "95 % from below, from above",
        "bounds, each at 95 %, for any law whose kurtosis is bounded; a dash where none is proved",
    ),
    "holds": ("holds if", "a condition that this run could not check, or failed; without one nothing is proved"),
}
# What each kind of page uses beside the columns of its table.
USED = {
    "run": ("time", "start", "certified", "seed", "std"),
    "points": ("points",),
    "kernel": ("residual", "eigenvalue"),
    "live": ("inefficiency", "speed_limit", "time", "seed"),
    "recording": ("time", "start", "certified", "drift", "noise", "stride", "sketch"),
    "noisy": (
        *("time", "ensemble", "w2", "dissipated", "certified", "temperature", "free_energy", "entropy"),
        *("side", "limit", "holds"),
    ),
}
# Of a run with noise: a part of an estimate's name, and how it is made.
ESTIMATORS = {
    "fitted Gaussian map/T": "what any process dissipates to move so far in this time: the distance from below over T",
    "fitted Gaussian map": "a linear map fitted on some members proves a distance on others (Kantorovich's duality)",
    "mean shift": "how far the mean of the weights moved",
    "traces of": "how far the mean moved and the total variance of each layer changed",
    "Gelbrich": "the distance of Gaussians with the same means and covariances, along the directions that changed most",
    "max-sliced": "the distance along the one direction in which the laws differ most",
    "slices": "the mean distance along random directions, times the number of weights",
    "members' own moves": "the mean squared move of the members themselves, which is one way of transport",
    "assignment": "the cheapest pairing of members at the start with members now",
    "loss less information": (
        "the fall of the loss, less the information that the weights have gained, by a Gaussian fitted on other members"
    ),
    "initial loss": "the loss at the start, which is the most that can ever be dissipated",
    "maximum entropy": "the fall of the potential, and the largest entropy that the variances allow",
    "importance sampling, forward": "members are led to equilibrium by switching the loss on; the work bounds R",
    "importance sampling, reverse": "members are led back from equilibrium; the work bounds R from the other side",
    "thermodynamic integration": "the mean loss at strengths from 0 to 1, summed from one side or the other",
}


def terms(*kinds: str, columns: Iterable[tuple[str, str, str, str]] = ()) -> dict[str, tuple[str, str]]:
    """The glossary of a page.

    Args:
        kinds: of `USED`.
        columns: of the page's table, as in `words.COLUMNS`.

    Returns:
        Words and meanings by the names under which the page links to them, those of the table first.
    """
    shown = {key: (heading, tip) for key, heading, tip, _ in columns}
    known = TERMS | {key: (heading, tip) for key, heading, tip, _ in COLUMNS}
    return shown | {key: known[key] for kind in kinds for key in USED[kind]}
