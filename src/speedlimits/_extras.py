"""Packages that an extra brings, and what to say where one is missing."""

# By the name that is imported: the package, and its extra.
EXTRAS = {
    "torch": ("torch", "train"),
    "sklearn": ("scikit-learn", "train"),
    "threadpoolctl": ("threadpoolctl", "train"),
    "pooch": ("pooch", "train"),
    "uvicorn": ("uvicorn", "serve"),
}


def missing(what: str, error: BaseException) -> str | None:
    """Say that something needs a package that is not installed.

    Args:
        what: the command or name that was asked for.
        error: that its import ended with.

    Returns:
        One line with what to run; None if the error is no missing package of an extra.
    """
    if isinstance(error, ModuleNotFoundError) and (found := EXTRAS.get((error.name or "").partition(".")[0])):
        package, extra = found
        return f"`{what}` needs {package}: pip install 'speedlimits[{extra}]'"
    return None
