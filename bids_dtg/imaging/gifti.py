"""GIFTI files: the points and triangles of a surface, and values at its vertices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal
from xml.parsers.expat import ExpatError

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import ForeignFileError, RunError
from bids_dtg.files.foreign import read_bytes
from bids_dtg.imaging.header import READ_ERRORS, require_file

Hemisphere = Literal["L", "R"]

# nibabel has no types.
_gifti: Any = nib.gifti
_MOST_BYTES = 2**28
# nibabel looks unknown names of types and intents up in tables, and takes elements for filled.
_DAMAGED = (
    *(*READ_ERRORS, ExpatError, nib.filebasedimages.ImageFileError),
    *(ValueError, TypeError, LookupError, AttributeError),
)
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
    image = _read(path)
    points = image.agg_data("NIFTI_INTENT_POINTSET")
    faces = image.agg_data("NIFTI_INTENT_TRIANGLE")
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


def read_metrics(path: Path) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Read maps and their names.

    Returns
    -------
    names
        Of the maps, in order; empty for one without a name.
    maps
        (maps, vertices).

    Raises
    ------
    RunError
        Missing, damaged, no map, or maps of different meshes.
    """
    arrays = _read(path).darrays
    shapes = {array.data.shape for array in arrays}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        listed = ", ".join(map(str, sorted(shapes))) or "nothing"
        raise RunError(f"{path} holds {listed}", expected="maps, a value a vertex")
    names = tuple(str(array.metadata.get("Name", "")) for array in arrays)
    return names, np.stack([array.data for array in arrays]).astype(np.float32, copy=False)


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


def _read(path: Path) -> Any:
    require_file(path)
    try:
        image = _gifti.GiftiImage.from_bytes(read_bytes(path, _MOST_BYTES))
    except ForeignFileError as err:
        raise err.as_kind(RunError) from err
    except _DAMAGED as err:
        raise RunError(f"{path} cannot be read: {err}", expected="a GIFTI file") from err
    if image is None:
        raise RunError(f"{path} has no GIFTI element", expected="a GIFTI file")
    return image
