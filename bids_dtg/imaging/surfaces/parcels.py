"""Parcels as grayordinates, and files of values of parcels or between them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import ForeignFileError, RunError
from bids_dtg.files.foreign import read_bytes
from bids_dtg.imaging.header import require_file
from bids_dtg.imaging.surfaces.cifti import FAULTS
from bids_dtg.imaging.surfaces.grayordinates import standard_grayordinates
from bids_dtg.imaging.surfaces.parcel_places import encode_scalars

_cifti: Any = nib.cifti2  # nibabel has no types
FORM_ENTITIES = {"space": "fsLR", "den": "91k"}  # of files of parcels as grayordinates
_MOST_BYTES = 2**28
_STRUCTURE = "CIFTI_STRUCTURE_"
_SCALARS = "NIFTI_INTENT_CONNECTIVITY_PARCELLATED_SCALAR"
_BETWEEN = "NIFTI_INTENT_CONNECTIVITY_PARCELLATED"


@dataclass(frozen=True, eq=False)
class ParcelForm:
    """Which vertices and voxels of the grayordinates each parcel of an atlas has."""

    axis: Any  # nibabel's `ParcelsAxis`, in the order of the atlas
    source: str  # name of the file that it is from; empty: the grayordinates' own structures

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the parcels."""
        matrix = _cifti.Cifti2Matrix()
        matrix.append(self.axis.to_mapping(0))
        return hashlib.sha256(matrix.to_xml()).hexdigest()


def structures_form(names: Sequence[str]) -> ParcelForm | None:
    """Return the form of parcels that are structures of the standard grayordinates.

    None where a name is not that of a structure.

    Examples
    --------
    >>> form = structures_form(["BRAIN_STEM", "AMYGDALA_LEFT"])
    >>> [len(voxels) for voxels in form.axis.voxels]
    [3472, 315]
    >>> structures_form(["V1"]) is None
    True
    """
    known = {name.removeprefix(_STRUCTURE): part for name, part in _structures().items()}
    if not names or not set(names) <= set(known):
        return None
    whole = standard_grayordinates().axis
    return ParcelForm(_axis([(name, whole[known[name]]) for name in names]), "")


def read_form(path: Path, names: Sequence[str]) -> ParcelForm:
    """Read the parcels of a label file, by their names.

    Parameters
    ----------
    path
        A ``.dlabel.nii`` file.
    names
        Of the parcels, in order.

    Raises
    ------
    RunError
        It is missing or damaged, no such file, or lacks one of the names.
    """
    require_file(path)
    expected = "a .dlabel.nii file"
    try:
        image = _cifti.Cifti2Image.from_bytes(read_bytes(path, _MOST_BYTES))
        labels, places = (image.header.get_axis(axis) for axis in (0, 1))
        if not isinstance(labels, _cifti.LabelAxis) or not isinstance(
            places, _cifti.BrainModelAxis
        ):
            raise RunError(f"{path} holds no labels of grayordinates", expected=expected)
        keys: Mapping[str, int] = {name: key for key, (name, _) in labels.label[0].items()}
        found = np.asarray(image.dataobj)[0]
    except ForeignFileError as err:
        raise err.as_kind(RunError) from err
    except FAULTS as err:
        raise RunError(f"{path} cannot be read: {err}", expected=expected) from err
    parts = [(name, found == keys[name]) for name in names if name in keys]
    if lacking := sorted(set(names) - {name for name, where in parts if where.any()}):
        raise RunError(
            f"{path} has no parcel {lacking[0]} ({len(lacking)} of {len(names)} are not there)",
            expected="the names of the atlas' table",
        )
    return ParcelForm(_axis([(name, places[where]) for name, where in parts]), path.name)


def encode_pscalar(
    values: NDArray[np.floating[Any]], names: Sequence[str], form: ParcelForm
) -> bytes:
    """Make a complete .pscalar.nii file.

    Parameters
    ----------
    values
        (maps, parcels), stored as float32.
    names
        Names of the maps, one a row.
    form
        The parcels.
    """
    return encode_scalars(values, _cifti.ScalarAxis(list(names)), form.axis, _SCALARS)


def encode_pconn(values: NDArray[np.floating[Any]], form: ParcelForm) -> bytes:
    """Make a complete .pconn.nii file of values between parcels, (parcels, parcels)."""
    return encode_scalars(values, form.axis, form.axis, _BETWEEN)


def _structures() -> dict[str, slice]:
    return dict(standard_grayordinates().structures)


def _axis(parts: Sequence[tuple[str, Any]]) -> Any:
    return _cifti.ParcelsAxis.from_brain_models(parts)
