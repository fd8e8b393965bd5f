"""The functions a row of EQUATIONS.md names, and the private ones they call."""

import ast
import functools
import importlib
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType

from tests.mutation._code import Module

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Target:
    """A function that computes a part of an equation.

    Args:
        name: qualified, under `speedlimits`.
        function: below all decorators.
    """

    name: str
    function: FunctionType

    @property
    def module(self) -> Module:
        """Its source."""
        return _module(Path(self.function.__code__.co_filename))

    @property
    def node(self) -> ast.FunctionDef:
        """Its syntax."""
        return self.module.function(self.function.__qualname__)


_module = functools.cache(Module)


def bare(value: object) -> FunctionType | None:
    """The function below a property, a class method or a decorator."""
    for name in ("fget", "func", "__func__"):
        value = getattr(value, name, None) or value
    while wrapped := getattr(value, "__wrapped__", None):
        value = wrapped
    # Wrappers of shape checks pretend to be functions.
    return value if type(value) is FunctionType else None


def resolve(name: str) -> FunctionType:
    """The function of a qualified name.

    Args:
        name: under `speedlimits`, such as "bound.SpeedLimit.speed_limit".

    Returns:
        The function below all decorators.

    Raises:
        LookupError: if there is none of this very name.
    """
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            found: object = importlib.import_module("speedlimits." + ".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = inspect.getattr_static(found, part, None)
        if (function := bare(found)) and f"{function.__module__}.{function.__qualname__}" == f"speedlimits.{name}":
            return function
    raise LookupError(name)


def named(names: list[str]) -> list[Target]:
    """The functions a row names, with their helpers, each once.

    Args:
        names: as in the row.

    Returns:
        What to break.
    """
    functions = dict.fromkeys(one for name in names for one in with_helpers(resolve(name)))
    return [Target(f"{one.__module__}.{one.__qualname__}".removeprefix("speedlimits."), one) for one in functions]


def with_helpers(function: FunctionType) -> list[FunctionType]:
    """A function, and the private functions of its module, class and package that it calls, and theirs."""
    found = [function]
    for one in found:
        for called in calls(one):
            if called not in found:
                found.append(called)
    return found


def calls(function: FunctionType) -> Iterator[FunctionType]:
    """Private functions that a function mentions: `_name`, `self._name`, or those of a private module beside it.

    Args:
        function: as named.

    Yields:
        One function each.
    """
    scope = vars(sys.modules[function.__module__])
    owner = scope.get(function.__qualname__.split(".")[0])
    package = function.__module__.rpartition(".")[0]
    for node in ast.walk(Target("", function).node):
        if isinstance(node, ast.Name):
            one = bare(scope.get(node.id))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            home = owner if node.value.id == "self" else scope.get(node.value.id)
            one = bare(inspect.getattr_static(home, node.attr, None))
        else:
            continue
        if one is None:
            continue
        beside, _, module = one.__module__.rpartition(".")
        helper = one.__module__ == function.__module__ and one.__name__.startswith("_")
        if (helper and not one.__name__.startswith("__")) or (
            beside == package != "speedlimits" and module.startswith("_")
        ):
            yield one
