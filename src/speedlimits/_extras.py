"""Packages that the extra `train` brings, and what to say where one is missing."""

# As they are imported: scikit-learn has another name there.
TRAIN = {"torch": "torch", "sklearn": "scikit-learn", "threadpoolctl": "threadpoolctl", "pooch": "pooch"}


def missing(what: str, error: BaseException) -> str | None:
    """Say that something needs a package that is not installed.

    Args:
        what: the command or name that was asked for.
        error: that its import ended with.

    Returns:
        One line with what to run; None if the error is no missing package of the extra ``train``.
    """
    if isinstance(error, ModuleNotFoundError) and (package := TRAIN.get((error.name or "").partition(".")[0])):
        return f"`{what}` needs {package}: pip install 'speedlimits[train]'"
    return None
