"""The failures a caller may want to catch; bad arguments raise ValueError instead."""


class SpeedLimitsError(Exception):
    """Base of all failures this package raises on purpose; the message is one line."""


class DivergenceError(SpeedLimitsError):
    """Training left the finite numbers, or its loss exploded."""


class RunFolderError(SpeedLimitsError):
    """A run folder, or a saved trajectory, is missing, damaged, in use or of another run."""


class DataError(SpeedLimitsError):
    """A data set is missing, damaged, or cannot be downloaded."""


def last_line(error: BaseException) -> str:
    """An exception as the last line of its traceback has it, on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
