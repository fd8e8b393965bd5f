"""Write docs/reference/: a page for each public object under its public name, and one for each module inside.

Run: python docs/make_reference.py (`make docs` does)
"""

import importlib
import inspect
import pkgutil
from pathlib import Path

import pages

import speedlimits

REFERENCE = Path(__file__).parent / "reference"
# The command line has a page of its own.
LEFT_OUT = ("speedlimits.cli", "speedlimits.__main__")


def packages() -> list[str]:
    """The package, its subpackages and its modules, by name."""
    inside = (f"speedlimits.{each.name}" for each in pkgutil.iter_modules(speedlimits.__path__))
    return ["speedlimits", *sorted(name for name in inside if "._" not in name and name not in LEFT_OUT)]


def public(package: str) -> dict[str, str]:
    """The public names of a package or module, each with its first sentence; none that the package itself exports."""
    module = importlib.import_module(package)
    names = getattr(module, "__all__", None) or [name for name in vars(module) if _is_own(module, name)]
    exported = vars(speedlimits)["__all__"] if package != "speedlimits" else ()
    return {name: sentence(getattr(module, name)) for name in names if name not in exported}


def modules(package: str) -> dict[str, str]:
    """The modules inside a package that have something to tell, each with its sentence."""
    home = importlib.import_module(package)
    if package == "speedlimits" or not hasattr(home, "__path__"):
        return {}
    names = [each.name for each in pkgutil.walk_packages(home.__path__, f"{package}.") if not each.ispkg]
    found = {name: _imported(name) for name in sorted(names) if "._" not in name}
    return {
        name: sentence(module)
        for name, module in found.items()
        if module is not None and name.rpartition(".")[2] not in public(package) and _inside(module, package)
    }


def sentence(each: object) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(each) or "").split("\n\n")[0].split()).replace("|", r"\|")


def write() -> None:
    """Write all pages anew, but leave those alone that are as they should be."""
    found = {}
    for package in packages():
        names, inside = public(package), modules(package)
        if not names and not inside:
            continue
        found[package] = _index(package, names, inside)
        found |= {f"{package}.{name}": _object(package, name) for name in names}
        found |= {name: _module(package, name) for name in inside}
    found["index"] = _all([name for name in packages() if name in found])
    REFERENCE.mkdir(exist_ok=True)
    for stale in {path.stem for path in REFERENCE.glob("*.md")} - found.keys():
        (REFERENCE / f"{stale}.md").unlink()
    for name, text in found.items():
        pages.write(REFERENCE / f"{name}.md", text)


def _all(names: list[str]) -> str:
    lines = ["# Python", "", "Every public name has a page: formula, arguments, shapes, units, errors, source.", ""]
    lines += ["| package | what it holds |", "|---|---|"]
    lines += [f"| [`{name}`]({name}.md) | {sentence(importlib.import_module(name))} |" for name in names]
    return "\n".join([*lines, "", "```{toctree}", ":hidden:", ":maxdepth: 1", "", *names, "```", ""])


def _index(package: str, names: dict[str, str], inside: dict[str, str]) -> str:
    lines = [f"# {package}", "", inspect.getdoc(importlib.import_module(package)) or "", ""]
    entries = {f"{package}.{name}": text for name, text in names.items()}
    for heading, found in (("", entries), ("Inside", inside)):
        if found:
            lines += [f"## {heading}", ""] if heading else []
            lines += ["| name | what it is |", "|---|---|"]
            lines += [f"| [`{name.removeprefix(f'{package}.')}`]({name}.md) | {text} |" for name, text in found.items()]
            lines += [""]
    return "\n".join(lines)


def _object(package: str, name: str) -> str:
    each = getattr(importlib.import_module(package), name)
    if inspect.isclass(each):
        return _page(package, name, f".. autoclass:: {package}.{name}\n   :members:\n")
    return _page(package, name, f".. autofunction:: {package}.{name}\n")


def _module(package: str, name: str) -> str:
    members = ", ".join(_inside(_imported(name), package))
    return _page(package, name.removeprefix(f"{package}."), f".. automodule:: {name}\n   :members: {members}\n")


def _page(package: str, title: str, directive: str) -> str:
    """A page that its package's table leads to: hundreds of them have no place in the menu of every page."""
    above = f"---\norphan: true\n---\n# {title}\n\nIn [`{package}`]({package}.md).\n"
    return f"{above}\n```{{eval-rst}}\n{directive}```\n"


def _inside(module: object, package: str) -> list[str]:
    """What a module has to tell beside the names that have pages."""
    return [name for name in vars(module) if _is_own(module, name) and name not in public(package)]


def _is_own(module: object, name: str) -> bool:
    each = vars(module)[name]
    described = (inspect.isclass(each) or inspect.isfunction(each)) and bool(each.__doc__)
    return not name.startswith("_") and described and each.__module__ == module.__name__  # type: ignore[attr-defined]


def _imported(name: str) -> object | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        # For a trainer that is not installed.
        return None


if __name__ == "__main__":
    write()
