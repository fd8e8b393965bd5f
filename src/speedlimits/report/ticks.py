"""Numbers along a logarithmic scale, in print and in the browser: few enough to read, and each a number people say."""

import math

import numpy as np

from speedlimits._checks import check_positive

# Two numbers do not show that a scale is logarithmic.
FEWEST = 3
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Where numbers stand along a logarithmic scale.

    Powers of ten where there are enough of them, else 1, 2 and 5 of each, or 1 and 3; along less than a power of ten
    round numbers at equal distances, which leaves out those that would crowd at the upper end.

    Args:
        low: end of the scale.
        high: its other end, larger.
        most: numbers, at most.

    Returns:
        The numbers, increasing.

    Raises:
        ValueError: if an end is not positive, or they are in the wrong order.
    """
    check_positive("low", low)
    if not high > low:
        raise ValueError(f"`high` must be above `low`; high = {high}, low = {low}.")
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for parts in ((1,), (1, 2, 5), (1, 3)):
        found = [float(f"{part}e{power}") for power in powers for part in parts]
        found = [tick for tick in found if _within(tick, low, high)]
        if len(parts) == 1 and len(found) > most:
            return [tick for tick in found if round(math.log10(tick)) % -(-len(found) // most) == 0]
        if FEWEST + (len(parts) == 1) <= len(found) <= most:
            return found
    # Few powers, but what is between them crowds.
    found = [tick for tick in (10.0**power for power in powers) if _within(tick, low, high)]
    if len(found) > 1:
        return found
    return _even(low, high, most)


def labels(places: list[float]) -> list[str]:
    """What stands at the ticks: plain numbers, or powers of ten where plain ones would be long.

    Args:
        places: of the ticks.

    Returns:
        A text for each; powers are in superscript letters, which browsers and figures for print both know.
    """
    if all(1e-3 <= place < 1e5 for place in places):
        return [f"{place:.10g}" for place in places]
    return [_power(place) for place in places]


def _power(place: float) -> str:
    power = math.floor(math.log10(place) + 1e-9)
    part = f"{place / 10.0**power:.10g}"
    return ("" if part == "1" else f"{part}·") + "10" + str(power).translate(SUPERSCRIPTS)


def _even(low: float, high: float, most: int) -> list[float]:
    """Multiples of a round step, with no two nearer along the scale than a share of it."""
    least = math.log(high / low) / (most + 5)
    size = math.floor(math.log10(high - low))
    for scale in (part * 10.0 ** (size + power) for power in (-2, -1, 0) for part in (1, 2, 5)):
        found = np.arange(math.ceil(low / scale - 1e-9), math.floor(high / scale + 1e-9) + 1) * scale
        if found.size <= most and (found.size < 2 or math.log(found[-1] / found[-2]) >= least):
            return [float(f"{tick:.10g}") for tick in found]
    return []


def _within(tick: float, low: float, high: float) -> bool:
    return bool(low * (1 - 1e-9) <= tick <= high * (1 + 1e-9))
