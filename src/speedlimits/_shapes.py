"""Shapes of NumPy arrays that several modules name in their annotations."""

import numpy as np
from jaxtyping import Float

Times = Float[np.ndarray, " times"]
Modes = Float[np.ndarray, " modes"]
Vector = Float[np.ndarray, " dims"]
Matrix = Float[np.ndarray, "dims dims"]
Ensemble = Float[np.ndarray, "members dims"]
Path = Float[np.ndarray, "*batch states dims"]
