"""GIFTI files: the points and triangles of a surface, and values at its vertices."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal
from xml.parsers.expat import ExpatError

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError
from bids_dtg.imaging.header import READ_ERRORS, require_file

Hemisphere = Literal["L", "R"]

# nibabel has no types.
_gifti: Any = nib.gifti
_load: Any = nib.load
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
        Missing, damaged or not a surface.
    """
    image = _read(path)
    points = image.agg_data("NIFTI_INTENT_POINTSET")
    faces = image.agg_data("NIFTI_INTENT_TRIANGLE")
    if np.ndim(points) != 2 or np.ndim(faces) != 2:
        raise RunError(f"{path} has no points and triangles", expected="a .surf.gii file")
    return np.asarray(points, np.float64), np.asarray(faces, np.intp)


def read_metric(path: Path) -> NDArray[np.float32]:
    """Read one value a vertex, (vertices,).

    Raises
    ------
    RunError
        Missing, damaged, or not one map.
    """
    arrays = _read(path).darrays
    if len(arrays) != 1 or arrays[0].data.ndim != 1:
        shapes = ", ".join(str(array.data.shape) for array in arrays) or "nothing"
        raise RunError(f"{path} holds {shapes}", expected="one map, a value a vertex")
    return np.asarray(arrays[0].data, np.float32)


def encode_metrics(
    maps: NDArray[np.floating[Any]], hemisphere: Hemisphere, *, description: str = ""
) -> bytes:
    """Make a complete .func.gii file of maps (n, vertices); the same bytes for the same input.

    It names the structure, which Connectome Workbench requires.
    """
    image = _gifti.GiftiImage(
        meta=_gifti.GiftiMetaData({"AnatomicalStructurePrimary": _STRUCTURES[hemisphere]}),
        darrays=[
            _gifti.GiftiDataArray(
                np.asarray(row, np.float32),
                intent="NIFTI_INTENT_NONE",
                datatype="NIFTI_TYPE_FLOAT32",
                meta=_gifti.GiftiMetaData({"Name": description}),
            )
            for row in maps
        ],
    )
    content: bytes = image.to_bytes()
    return content


def _read(path: Path) -> Any:
    require_file(path)
    try:
        image = _load(path)
    except (*READ_ERRORS, ExpatError, nib.filebasedimages.ImageFileError, ValueError) as err:
        raise RunError(f"{path} cannot be read: {err}", expected="a GIFTI file") from err
    if not isinstance(image, _gifti.GiftiImage):
        raise RunError(f"{path} is no GIFTI file", expected="a .gii file")
    return image
