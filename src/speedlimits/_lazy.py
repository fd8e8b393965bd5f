"""Public names of a package, each imported when it is first used, with errors that name the argument."""

from collections.abc import Callable
from importlib import import_module

from speedlimits._extras import missing


def lazy(
    package: str, names: dict[str, str], modules: str = ""
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """Make what a package needs to export names without importing their modules.

    A type checker does not run this code, so the package shows it the same names as imports::

        if TYPE_CHECKING:
            from speedlimits.theory.power_law import PowerLaw as PowerLaw
            from speedlimits.theory.power_law import phase_diagram as phase_diagram
        else:
            __getattr__, __dir__, __all__ = lazy(__name__, {"power_law": "PowerLaw phase_diagram"})

    Args:
        package: the package's ``__name__``.
        names: for each module, relative to the package, the public names it holds, with spaces between them.
        modules: submodules that can be used without an import of their own, with spaces between them.

    Returns:
        The package's ``__getattr__``, ``__dir__`` and ``__all__``; the last has the names alone.

    Raises:
        ValueError: if a name is also a module: Python would replace the one by the other when it imports the module.
        ImportError: by the package's ``__getattr__``, where a name needs a package of an extra; the message
            says how to install it.
    """
    home = {name: module for module, held in names.items() for name in held.split()}
    submodules = modules.split()
    # Of "flow.gradient_flow" Python sets "flow" on the package, and nothing else.
    taken = {module.partition(".")[0] for module in (*names, *submodules)}
    if clashes := taken & home.keys():
        raise ValueError(f"`names` must differ from the modules of {package}; found {min(clashes)!r} in both.")

    def get(name: str) -> object:
        if name in home:
            # Not before: it imports NumPy, and a file of that name in the current folder must not come instead.
            from speedlimits._arguments import named

            try:
                module = import_module(f"{package}.{home[name]}")
            except ModuleNotFoundError as error:
                if message := missing(name, error):
                    raise ImportError(message, name=error.name) from None
                raise
            # The module holds the same object: pickles find it there.
            setattr(module, name, named(getattr(module, name)))
            return getattr(module, name)
        if name in submodules:
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def list_names() -> list[str]:
        return sorted([*home, *submodules])

    return get, list_names, sorted(home)
