"""GIFTI files: the points and triangles of a surface, and values at its vertices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import ForeignFileError, RunError
from bids_dtg.files.foreign import reading
from bids_dtg.imaging.header import require_file

Hemisphere = Literal["L", "R"]

# nibabel has no types.
_gifti: Any = nib.gifti
_STRUCTURES = {"L": "CortexLeft", "R": "CortexRight"}


def read_surface(path: Path) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Read a surface.

    Returns
    -------
    points
        (vertices, 3), RAS+ mm.
    faces
        (triangles, 3), numbers of vertices.

    Raises
    ------
    RunError
        Missing, damaged or not a surface: points must be finite, and triangles join three of them.
    """
    require_file(path)
    try:
        with reading(path):
            image = _gifti.GiftiImage.from_filename(path)
            if image is None:
                raise RunError(f"{path} has no GIFTI element")
            points, faces = image.agg_data(("pointset", "triangle"))
    except ForeignFileError as err:
        raise err.as_kind(RunError, expected="a GIFTI file") from err
    if np.ndim(points) != 2 or np.ndim(faces) != 2:
        raise RunError(f"{path} has no points and triangles", expected="a .surf.gii file")
    if points.shape[1] != 3 or faces.shape[1] != 3 or not np.isfinite(points).all():
        raise RunError(
            f"{path} has points {points.shape} and triangles {faces.shape}",
            expected="three finite coordinates a point, and three points a triangle",
        )
    if faces.size and not 0 <= faces.min() <= faces.max() < len(points):
        raise RunError(
            f"{path} has triangles of the points {faces.min()} to {faces.max()}",
            expected=f"0 to {len(points) - 1}, its points",
        )
    return np.asarray(points, np.float64), np.asarray(faces, np.intp)


def encode_metrics(
    maps: NDArray[np.floating[Any]], hemisphere: Hemisphere, *, names: Sequence[str]
) -> bytes:
    """Make a complete .func.gii file of maps (n, vertices); the same bytes for the same input.

    It names the structure, which Connectome Workbench requires, and each map.
    """
    image = _gifti.GiftiImage(
        meta=_gifti.GiftiMetaData({"AnatomicalStructurePrimary": _STRUCTURES[hemisphere]}),
        darrays=[
            _gifti.GiftiDataArray(
                np.asarray(row, np.float32),
                intent="NIFTI_INTENT_NONE",
                datatype="NIFTI_TYPE_FLOAT32",
                encoding="GIFTI_ENCODING_B64BIN",  # maps hardly shrink, and that takes long
                meta=_gifti.GiftiMetaData({"Name": name}),
            )
            for name, row in zip(names, maps, strict=True)
        ],
    )
    content: bytes = image.to_bytes()
    return content
