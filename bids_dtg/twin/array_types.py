"""Types of arrays in this slice; comments on fields and parameters tell what their axes are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Singles = NDArray[np.float32]
Floats = NDArray[np.floating[Any]]  # of any precision
Indices = NDArray[np.intp]
Integers = NDArray[np.integer[Any]]  # of any size
Codes = NDArray[np.int8]  # numbers of tasks, conditions or buttons; -1: none
Flags = NDArray[np.bool_]
Values = NDArray[Any]
