"""The failures a caller may want to catch; bad arguments raise ValueError instead."""


class SpeedLimitsError(Exception):
    """Base of all failures this package raises on purpose; the message is one line."""


class DivergenceError(SpeedLimitsError):
    """Training left the finite numbers, or its loss exploded."""


class RunFolderError(SpeedLimitsError):
    """A run folder, or a saved trajectory, is missing, damaged, in use or of another run."""


class DataError(SpeedLimitsError):
    """A data set is missing, damaged, or cannot be downloaded."""
