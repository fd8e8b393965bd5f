"""Public functions and classes called with what nobody should give them: they answer, or name the argument in a line.

A foreign exception, a message of several lines or without an argument's name, a hang, or NaN from finite arguments
breaks a promise.
"""

import contextlib
import importlib
import inspect
import math
import signal
import typing
import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

import speedlimits
from speedlimits.errors import SpeedLimitsError
from tests.torture._campaign import Tally

TRIES = 3000
SHARE = 100
# Seconds that a call may take.
PATIENCE = 20
PACKAGES = sorted(path.parent.name for path in Path(speedlimits.__file__).parent.glob("*/__init__.py"))
# These train, read data or draw: their first argument is always hostile.
WORK = {
    "train_run",
    "train_study",
    "train_noisy",
    "analyse_kernel",
    "forecast_member",
    "cifar10",
    "write",
    "write_trajectories",
    "RayEngine",
    "LocalEngine",
}
# Their documentation says where they are NaN.
TOLD = {"asymptotic_geometric", "asymptotic_inefficiency"}
SIZES = {"members": 24, "dims": 3, "times": 5, "modes": 4, "parameters": 3, "records": 5, "samples": 6}
HOSTILE: tuple[Callable[[], Any], ...] = (
    lambda: math.nan,
    lambda: math.inf,
    lambda: -math.inf,
    lambda: -1,
    lambda: 0,
    lambda: -0.0,
    lambda: 1e308,
    lambda: 5e-324,
    lambda: 10**18,
    lambda: 2**63,
    lambda: 2.5,
    lambda: True,
    lambda: None,
    lambda: "text",
    lambda: "",
    lambda: b"bytes",
    lambda: 1 + 2j,
    lambda: [],
    lambda: [1.0, 2.0],
    lambda: [[1.0], [1.0, 2.0]],
    lambda: {},
    lambda: object(),
    lambda: Fraction(1, 3),
    lambda: np.zeros(0),
    lambda: np.zeros((0, 3)),
    lambda: np.ones(3),
    lambda: np.ones((2, 2, 2)),
    lambda: np.full((24, 3), np.nan),
    lambda: np.array([1.0, np.inf, 2.0]),
    lambda: np.ones((24, 3), dtype=complex),
    lambda: np.ma.masked_array(np.ones((24, 3)), np.eye(24, 3, dtype=bool)),
    lambda: np.array([None, "a"], dtype=object),
    lambda: np.array(["a", "b"]),
    lambda: np.ones((24, 3), dtype=bool),
    lambda: np.ones((24, 3), dtype=np.int8),
    lambda: np.full(3, 1e308),
    lambda: -np.ones((3, 3)),
    lambda: np.datetime64("2020-01-01"),
    lambda: torch.ones(3),
    lambda: torch.ones(0),
    lambda: torch.ones(2, 2, dtype=torch.complex64),
    lambda: torch.ones(3, requires_grad=True),
    lambda: Path("nowhere"),
)


def run(tries: int, seed: int, folder: Path) -> Tally:
    """Call public names with hostile arguments.

    Args:
        tries: calls.
        seed: of the choices.
        folder: for what is written.

    Returns:
        The counts.
    """
    rng, tally, targets = np.random.default_rng(seed), Tally(), _targets()
    with contextlib.chdir(folder), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for k in range(tries):
            name, target = targets[k % len(targets)]
            arguments = _arguments(name, target, rng, folder)
            ending, problem = _try(target, arguments)
            told = {key: _short(value) for key, value in arguments.items()}
            tally.add(ending, None if problem is None else f"{name}({told}): {problem}")
    return tally


def _targets() -> list[tuple[str, Callable[..., Any]]]:
    """The public names, as a user finds them."""
    found: dict[str, Callable[..., Any]] = {}
    for package in ("", *PACKAGES):
        module = importlib.import_module(f"speedlimits.{package}".rstrip("."))
        for name in getattr(module, "__all__", ()):
            target = getattr(module, name)
            if callable(target) and not (inspect.isclass(target) and issubclass(target, str | tuple)):
                found.setdefault(name, target)
    return sorted(found.items())


def _arguments(name: str, target: Callable[..., Any], rng: np.random.Generator, folder: Path) -> dict[str, Any]:
    """Good arguments as far as annotations tell, one or two of them replaced by hostile ones."""
    function = target.__init__ if inspect.isclass(target) else target
    hints = typing.get_type_hints(function)
    parameters = [
        each
        for each in inspect.signature(function).parameters.values()
        if each.name != "self" and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    arguments = {
        each.name: _good(each.name, hints.get(each.name, Any), rng, folder)
        for each in parameters
        if each.default is each.empty
    }
    names = [each.name for each in parameters]
    if names:
        for chosen in rng.choice(names, size=min(len(names), int(rng.integers(1, 3))), replace=False):
            arguments[str(chosen)] = HOSTILE[rng.integers(len(HOSTILE))]()
    if name in WORK:
        arguments[names[0]] = HOSTILE[rng.integers(len(HOSTILE))]()
    return arguments


def _good(name: str, hint: Any, rng: np.random.Generator, folder: Path) -> Any:
    """A value of the kind that an annotation names."""
    options = [part for part in typing.get_args(hint) if part is not type(None)]
    if typing.get_origin(hint) is typing.Literal:
        return options[0]
    if hasattr(hint, "array_type"):
        shape = [SIZES.get(token.lstrip("*#"), 3) for token in hint.dim_str.split() if not token.isdigit()]
        fixed = [int(token) for token in hint.dim_str.split() if token.isdigit()]
        return _array(name, hint.array_type, [*shape, *fixed], rng, whole="Int" in str(hint))
    simple = {float: 0.5, int: 3, bool: False, str: "text", Path: folder / "missing", torch.dtype: torch.float64}
    if hint in simple:
        return simple[hint]
    if hint is torch.Generator:
        return torch.Generator().manual_seed(0)
    if hint is np.random.Generator:
        return np.random.default_rng(0)
    if hint is np.ndarray or ("ndarray" in str(hint) and "_array_like" in str(hint)):
        return np.linspace(0.0, 1.0, 5)
    if hint is torch.nn.Module:
        return torch.nn.Linear(3, 2, dtype=torch.float64)
    if "Callable" in str(typing.get_origin(hint)):
        return (lambda x: (x**2).sum()) if "Tensor" in str(hint) else (lambda x: np.asarray(x) ** 2)
    if options and typing.get_origin(hint) not in (tuple, dict, list):
        return _good(name, options[0], rng, folder)
    if hint is torch.Tensor:
        return torch.ones(6, 3, dtype=torch.float64)
    if inspect.isclass(hint) and hint.__name__ in ("RunConfig", "NoisyConfig"):
        return hint()
    if hint is speedlimits.Trajectory:
        line = np.linspace(0.0, 1.0, 5)
        return hint(times=line, losses=1 - line / 2, w2_squared=line**2, arc_lengths=line, path_dissipation=line)
    return (0.5, 1.0) if typing.get_origin(hint) is tuple else {}


def _array(name: str, kind: type, shape: list[int], rng: np.random.Generator, *, whole: bool) -> Any:
    if len(shape) == 2 and shape[0] == shape[1]:
        array = np.eye(shape[0]) * 2.0
    elif name in ("times", "strengths", "edges", "knots") or "time" in name:
        array = np.linspace(0.0, 1.0, shape[0] if shape else 1)
    else:
        array = np.abs(rng.normal(size=shape)) + 0.1
    array = np.arange(array.size).reshape(array.shape) if whole else array
    return torch.as_tensor(array) if kind is torch.Tensor else array


def _try(target: Callable[..., Any], arguments: dict[str, Any]) -> tuple[str, str | None]:
    """Call, and judge what came of it: how it ended, and which promise it broke."""
    try:
        with _patience():
            result = target(**arguments)
            finite = all(_finite(value) for value in arguments.values())
            if finite and _has_nan(result) and getattr(target, "__name__", "") not in TOLD:
                return "NaN", "NaN from finite arguments"
    except TimeoutError:
        return "hang", f"longer than {PATIENCE} s"
    except (ValueError, TypeError, SpeedLimitsError) as error:
        text = str(error)
        if "\n" in text or len(text) > 600:
            return "long message", ascii(text)[:300]
        known = {*arguments, *inspect.signature(target).parameters, *map(str, arguments.values())} - {""}
        if isinstance(error, ValueError) and not any(part in text for part in known):
            return "argument not named", f"{type(error).__name__}: {text}"
        if isinstance(error, TypeError):
            return "foreign exception", f"TypeError: {text}"
        return "named error", None
    except OSError as error:
        return ("named error", None) if error.filename is not None else ("foreign exception", repr(error))
    except Exception as error:
        return "foreign exception", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return "answer", None


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _finite(value: Any) -> bool:
    """Whether an argument holds no NaN or infinity, nor a number whose square would."""
    try:
        return bool(np.all(np.abs(np.asarray(value, dtype=float)) < 1e100))
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return True


def _has_nan(result: Any) -> bool:
    if isinstance(result, torch.Tensor):
        return result.is_floating_point() and bool(torch.isnan(result).any())
    if isinstance(result, float | np.floating):
        return math.isnan(result)
    return isinstance(result, np.ndarray) and result.dtype.kind == "f" and bool(np.isnan(result).any())


def _short(value: Any) -> str:
    text = f"{value.dtype}{tuple(value.shape)}" if hasattr(value, "dtype") and np.ndim(value) else repr(value)
    return " ".join(text.split())[:60]
