"""Public names look at their arguments: what would be lost is refused, what failed is named.

`named` wraps a function, or what a class offers. Before a call, arguments in which something would be dropped
without a word are refused. If the call fails with an error that names no argument, annotations and values tell which
argument explains it, and the error says so in one line.
"""

import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from speedlimits._checks import check_finite, check_shape, real, shown
from speedlimits.errors import SpeedLimitsError

Target = TypeVar("Target")


def named(target: Target) -> Target:
    """A function or class whose errors name the argument.

    Args:
        target: anything; what is neither a function nor a class of this package is given back as it is.

    Returns:
        The function, wrapped; or the same class, whose constructor and public methods are.
    """
    if inspect.isfunction(target):
        return typing.cast(Target, _named(target))
    if inspect.isclass(target) and "_named" not in vars(target) and not issubclass(target, BaseException | str):
        for name, member in list(vars(target).items()):
            if name == "__init__" or (not name.startswith("_") and name != "forward"):
                if inspect.isfunction(member):
                    setattr(target, name, _named(member))
                elif isinstance(member, classmethod):
                    setattr(target, name, classmethod(_named(member.__func__)))
        target._named = True  # type: ignore[attr-defined]
    return target


def _named(function: Callable[..., Any]) -> Callable[..., Any]:
    if hasattr(function, "_named"):
        return function
    signature = inspect.signature(function)

    @functools.cache
    def kinds() -> dict[str, tuple[Any, ...]]:
        # At the first call: an annotation may name what is defined further down.
        return {name: tuple(_kinds(hint)) for name, hint in _hints(function).items()}

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        # Wrong names or numbers of arguments: Python's own message names them.
        given = signature.bind(*arguments, **options).arguments
        wanted = kinds()
        pairs = [(name, value, wanted[name]) for name, value in given.items() if name in wanted]
        for name, value, alternatives in pairs:
            _check_nothing_lost(name, value, alternatives)
        try:
            return function(*arguments, **options)
        except Exception as error:
            if not _foreign(error, [name for name, _, _ in pairs]):
                raise
            for explain in (_explained_by_kind, _explained_by_size, _explained_by_value):
                for name, value, alternatives in pairs:
                    explain(name, value, alternatives, error)
            raise

    call._named = True  # type: ignore[attr-defined]
    return call


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    # A name that only a type checker sees.
    except NameError:
        return {}


def _foreign(error: Exception, names: list[str]) -> bool:
    """Whether an error is none of ours: ours name an argument, or a file, in one line."""
    if isinstance(error, SpeedLimitsError | OSError) or type(error).__module__.startswith("jaxtyping"):
        return False
    text = str(error)
    # NumPy's remark on the truth of an array has quotes like ours.
    return not isinstance(error, ValueError) or "\n" in text or "`" not in text or "truth value" in text


def _check_nothing_lost(name: str, value: object, kinds: tuple[Any, ...]) -> None:
    """Refuse imaginary parts, masks, texts and truth values where real numbers are wanted."""
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError(f"`{name}` must have no mask, which would be lost; {name} is a masked array.")
    for kind in kinds:
        if kind is float and isinstance(value, bool | np.bool_ | complex) and bool not in kinds:
            raise ValueError(f"`{name}` must be a real number; {name} = {shown(value)}.")
        if kind is ArrayLike:
            real(name, value)
        array = getattr(kind, "array_type", None)
        if array is not None and isinstance(value, array) and _dtype(value) not in ("float", "int"):
            raise ValueError(f"`{name}` must be real numbers; {name}.dtype = {getattr(value, 'dtype', None)}.")


def _explained_by_kind(name: str, value: object, kinds: tuple[Any, ...], error: Exception) -> None:
    """Raise a named error if the value is of another kind than the annotation says."""
    if not kinds or any(_is(value, kind) for kind in kinds):
        return
    rules = " or ".join(dict.fromkeys(_rule(kind) for kind in kinds))
    arrays = [kind for kind in kinds if hasattr(kind, "array_type")]
    if len(arrays) == 1 and isinstance(value, arrays[0].array_type) and (shape := _shape(arrays[0])) is not None:
        check_shape(name, typing.cast(np.ndarray, value), shape)
    raise ValueError(f"`{name}` must be {rules}; {name} = {shown(value)}.") from error


def _explained_by_size(name: str, value: object, kinds: tuple[Any, ...], error: Exception) -> None:
    """Raise a named error if a number is larger than any memory."""
    if isinstance(value, int) and value > LARGE:
        raise ValueError(f"`{name}` must be smaller ({type(error).__name__}); {name} = {shown(value)}.") from error


def _explained_by_value(name: str, value: object, kinds: tuple[Any, ...], error: Exception) -> None:
    """Raise a named error if the value is empty or not finite, where the call failed and the kind is right."""
    if isinstance(value, bool | str) or not isinstance(value, int | float | np.ndarray | np.number):
        return
    if np.size(value) == 0:
        raise ValueError(f"`{name}` must not be empty; {name}.shape = {np.shape(value)}.") from error
    check_finite(name, value)
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and np.abs(value).max() > HUGE:
        raise ValueError(f"`{name}` must be below {HUGE:g} ({type(error).__name__}).") from error


# Squares of larger numbers are beyond float64.
HUGE = 1e150
# More numbers than this fit into no memory.
LARGE = 1 << 32


def _kinds(annotation: object) -> Iterator[Any]:
    """The alternatives of an annotation.

    Yields:
        Each; nothing where anything goes.
    """
    if annotation == ArrayLike:
        yield ArrayLike
    elif isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        for part in typing.get_args(annotation):
            yield from _kinds(part)
    elif annotation is not Any and not isinstance(annotation, TypeVar):
        yield annotation


def _is(value: object, kind: Any) -> bool:
    """Whether a value is of a kind, as far as it can be told."""
    origin = typing.get_origin(kind)
    if kind is None or kind is type(None):
        return value is None
    if kind is ArrayLike:
        return True
    if origin is typing.Literal:
        return any(value is choice or (isinstance(value, str) and value == choice) for choice in typing.get_args(kind))
    if hasattr(kind, "array_type"):
        shape = _shape(kind)
        return (
            isinstance(value, kind.array_type)
            and _dtype(value) in (("int",) if "Int" in kind.__name__ else ("float", "int"))
            and (shape is None or len(shape) == np.ndim(typing.cast(Any, value)))
        )
    if origin is not None:
        outer = isinstance(value, origin) and not (isinstance(value, str) and str not in typing.get_args(kind))
        parts = typing.get_args(kind)
        if outer and isinstance(value, tuple | list) and parts and parts[0] in (int, float, str):
            return all(_is(part, parts[0]) for part in value)
        return outer
    if kind in (int, float):
        numbers = (int, np.integer) if kind is int else (int, float, np.integer, np.floating)
        return isinstance(value, numbers) and not isinstance(value, bool)
    return not inspect.isclass(kind) or isinstance(value, kind)


def _rule(kind: Any) -> str:
    """The kind in words."""
    plain = {int: "an integer", float: "a real number", str: "a text", bool: "True or False", type(None): "None"}
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        return f"one of {', '.join(map(repr, typing.get_args(kind)))}"
    if hasattr(kind, "array_type"):
        what = "a NumPy array" if kind.array_type is np.ndarray else "a tensor"
        return f"{what} of {len(shape)} dimensions" if (shape := _shape(kind)) is not None else what
    if origin is Callable:
        return "a function"
    return plain.get(kind) or f"a {getattr(origin or kind, '__name__', kind)}"


def _shape(kind: Any) -> tuple[int | None, ...] | None:
    """The lengths that an annotation fixes; None where it leaves the number of dimensions open."""
    tokens = kind.dim_str.split()
    if any(not token.isidentifier() and not token.isdigit() for token in tokens):
        return None
    return tuple(int(token) if token.isdigit() else None for token in tokens)


def _dtype(value: Any) -> str:
    """What an array or tensor holds, in a word."""
    text = str(value.dtype).removeprefix("torch.")
    return next((kind for kind in ("float", "int") if kind in text), text)
