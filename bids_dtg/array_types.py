"""Names of types of arrays; comments on fields and parameters tell what their axes are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]  # of any precision
Indices = NDArray[np.intp]
Integers = NDArray[np.integer[Any]]  # of any size
Mask = NDArray[np.bool_]
Codes = NDArray[np.int8]  # numbers that stand for names; -1: none
Values = NDArray[Any]  # numbers of any type
