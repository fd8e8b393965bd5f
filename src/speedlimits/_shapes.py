"""Shapes of NumPy arrays that several modules name in their annotations."""

import numpy as np
from jaxtyping import Float, Float64

Times = Float[np.ndarray, " times"]
Modes = Float[np.ndarray, " modes"]
Vector = Float[np.ndarray, " dims"]
Matrix = Float[np.ndarray, "dims dims"]
Records = Float64[np.ndarray, " records"]
Members = Float[np.ndarray, " members"]
Ensemble = Float[np.ndarray, "members dims"]
Path = Float[np.ndarray, "*batch states dims"]
# Parameters that are numbers give a number; arrays of parameters give an array of their common shape.
Values = Float64[np.ndarray, "*points"] | np.float64
