"""Where problems come from: the built-in networks and data, or a function that the user names; all by one door."""

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from speedlimits._files import resolved
from speedlimits.errors import SpeedLimitsError, last_line
from speedlimits.runs.config import RecordedProblem, problem_name
from speedlimits.runs.noisy import AnyConfig
from speedlimits.training.built_in import BuiltIn
from speedlimits.training.problem import Problem

FORMS = "FILE.py:FUNCTION or MODULE:FUNCTION"
# Names of the modules that files are loaded as: no file can hide a module of another package.
PREFIX = "speedlimits_problem_"


@dataclass(frozen=True, eq=False)
class Source:
    """A function that builds a problem from a seed, and how it is found again.

    Args:
        function: seed, and the number of samples if it takes one → `Problem`.
        name: as configurations write it; None for the built-in problems.
        sha256: of the file the function stands in; None where there is no file.
        place: how another process on this machine finds the function, as JSON; None where it cannot.
        digest: of what the function builds for the first seed, once `checked`.
    """

    function: Callable[..., Problem]
    name: str | None = None
    sha256: str | None = None
    place: dict[str, Any] | None = None
    digest: str | None = None

    @classmethod
    def of(cls, config: AnyConfig) -> "Source":
        """The source that a configuration names.

        Args:
            config: of a run.

        Returns:
            The source. Code is loaded only if a user named it, on the command line or as a function.

        Raises:
            ValueError: if only a file names the problem, or the name is no function's.
        """
        problem = config.problem
        if problem is None:
            return cls(BuiltIn(config))
        if isinstance(problem, RecordedProblem):
            raise ValueError(
                f"`problem` must be named by you, because its code will run: --problem {problem}, or in Python "
                "problem=FUNCTION; a file that names it is not enough."
            )
        return cls.named(problem) if isinstance(problem, str) else cls.given(problem)

    @classmethod
    def named(cls, name: str) -> "Source":
        """The function of a name.

        Args:
            name: ``FILE.py:FUNCTION`` or ``MODULE:FUNCTION``; the file's folder, or the current one, is where it may
                import from.

        Returns:
            The source.

        Raises:
            ValueError: if there is no such function, or its file fails on import.
        """
        where, _, function = name.rpartition(":")
        if not where or not function:
            raise ValueError(f"`problem` must be {FORMS}; problem = {name!r}.")
        if where.endswith(".py"):
            place: dict[str, Any] = {"file": str(resolved(where)), "function": function}
        else:
            place = {"module": where, "function": function, "path": [*sys.path, str(Path.cwd())]}
        return cls._at(name, place)

    @classmethod
    def at(cls, name: str, place: dict[str, Any]) -> "Source":
        """The function at a place that another process gave.

        Args:
            name: as of `Source`.
            place: as of `Source`, with the file's hash.

        Returns:
            The source.

        Raises:
            ValueError: if it is not there any more.
        """
        found = cls._at(name, place)
        if found.sha256 != place["sha256"]:
            raise ValueError(f"`problem` must not change while it is used; the file of {name} has changed.")
        return found

    @classmethod
    def given(cls, function: Callable[..., Any]) -> "Source":
        """A function itself.

        Args:
            function: any; where it cannot be found by its name (a closure, a lambda, a notebook's), only the engine
                ``inline`` and Ray can use it.

        Returns:
            The source.
        """
        name, file = problem_name(function), _file_of(function)
        place: dict[str, Any] | None = None
        module, _, path = name.partition(":")
        if module == "__main__" and file is not None:
            # Loaded under another name, a script does not run what it guards as its main part.
            name, place = f"{file.name}:{path}", {"file": str(file), "function": path}
        elif (loaded := sys.modules.get(module)) is not None and _lookup(loaded, path) is function:
            place = {"module": module, "function": path, "path": list(sys.path)}
        return cls._checked(function, name, file, place)

    @classmethod
    def _at(cls, name: str, place: dict[str, Any]) -> "Source":
        module = _load(name, place)
        function = _lookup(module, place["function"])
        if function is None or not callable(function):
            own = [key for key, value in vars(module).items() if inspect.isfunction(value) and key[0] != "_"]
            raise ValueError(
                f"`problem` must be {FORMS}; {name.rpartition(':')[0]} defines no function {place['function']} "
                f"(it has {', '.join(own) or 'none'})."
            )
        return cls._checked(function, name, _file_of(function), place)

    @classmethod
    def _checked(
        cls, function: Callable[..., Any], name: str, file: Path | None, place: dict[str, Any] | None
    ) -> "Source":
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest() if file is not None else None
        return cls(function, name, sha256, place and {**place, "sha256": sha256})

    def build(self, config: AnyConfig, seed: int) -> Problem:
        """The problem of one member.

        Args:
            config: the run.
            seed: of the member.

        Returns:
            The problem, in the configuration's precision and on its device.

        Raises:
            ValueError: if the function fails, takes other arguments or returns something else.
        """
        dtype, device = getattr(config, "dtype", "float64"), getattr(config, "device", "cpu")
        # Initial weights drawn from torch's own generator follow the seed; what the caller draws does not change.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            problem = self._call(config, seed)
        if not isinstance(problem, Problem):
            raise ValueError(
                f"`{self.name}` must return a speedlimits.Problem; it returned a {type(problem).__name__}."
            )
        return problem.to(getattr(torch, dtype), device)

    def checked(self, config: AnyConfig, seed: int) -> "Source":
        """This source, once it is known that its problem can be trained and repeated.

        Args:
            config: the run.
            seed: of the member to look at.

        Returns:
            The source, with the problem's digest; a built-in one needs none.

        Raises:
            ValueError: naming what is wrong, see `Problem.check`, or that two calls with one seed differ.
        """
        if isinstance(self.function, BuiltIn):
            self.function.check()
            return self
        problem = self.build(config, seed)
        problem.check()
        digest = problem.digest()
        del problem
        if self.build(config, seed).digest() != digest:
            raise ValueError(
                f"`{self.name}` must give the same weights and data at each call with one seed; two calls with seed "
                f"{seed} differ (draw everything from the seed)."
            )
        return replace(self, digest=digest)

    def facts(self) -> dict[str, Any] | None:
        """What ``provenance.json`` says about the problem; None for a built-in one, which the configuration tells."""
        if isinstance(self.function, BuiltIn):
            return None
        return {"name": self.name, "sha256": self.sha256, "digest": self.digest}

    def _call(self, config: AnyConfig, seed: int) -> Any:
        if isinstance(self.function, BuiltIn):
            return self.function(seed)
        try:
            takes = inspect.signature(self.function).parameters
        except (TypeError, ValueError):
            takes = {}
        arguments: dict[str, int] = {}
        if config.samples != "auto":
            if "samples" not in takes:
                raise ValueError(
                    f"`samples` must be left out, or be an argument of {self.name}: build"
                    f"(seed, samples); samples = {config.samples}."
                )
            arguments["samples"] = config.samples
        elif "samples" in takes and takes["samples"].default is inspect.Parameter.empty:
            raise ValueError(f"`samples` must be given: {self.name} asks for it.")
        try:
            return self.function(seed, **arguments)
        except SpeedLimitsError:
            raise
        except Exception as error:
            raise ValueError(f"`{self.name}` failed with seed {seed}: {last_line(error)}") from error


def _load(name: str, place: dict[str, Any]) -> ModuleType:
    if "file" in place and not Path(place["file"]).is_file():
        raise ValueError(f"`problem` must be {FORMS}; {place['file']} does not exist.")
    try:
        if "file" in place:
            return _load_file(Path(place["file"]))
        # At the end: nothing that is installed may be hidden.
        sys.path += [entry for entry in place["path"] if entry not in sys.path]
        return importlib.import_module(place["module"])
    # A script without a guarded main part may end the program.
    except (Exception, SystemExit) as error:
        raise ValueError(f"`problem` must be importable; {name} failed: {last_line(error)}") from error


def _load_file(path: Path) -> ModuleType:
    # A study asks for one file as often as it has runs; a file that has changed is another module.
    name = f"{PREFIX}{hashlib.sha256(bytes(path) + path.read_bytes()).hexdigest()[:16]}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _lookup(module: ModuleType, path: str) -> Any:
    found: Any = module
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def _file_of(function: Callable[..., Any]) -> Path | None:
    try:
        file = inspect.getsourcefile(inspect.unwrap(function))
    except (TypeError, ValueError):
        return None
    return resolved(file) if file is not None and Path(file).is_file() else None
