"""Files of spatial transforms that lead from a model's space to a run's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TransformFile:
    """A transform file, and which way round it is used.

    A file named `from-A_to-B` resamples images of A onto B: it maps points of B
    to points of A. A run's transforms are listed in the order in which they meet
    a point of the model's space; the last gives a point of the BOLD file's space.
    """

    path: Path  # ITK text (.txt, .tfm), composite (.h5), or displacement field (.nii.gz)
    inverse: bool = False  # use the file's inverse: it maps points the other way
    # Only for a warp field of FSL: the image that it warps, whose header gives its coordinates.
    warped: Path | None = None
