"""The bytes of CIFTI-2 files, as Workbench writes them."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

# nibabel has no types.
_cifti: Any = nib.cifti2
_Nifti2Header: Any = nib.Nifti2Header
# Structures of the cortex, in the order of `SIDES`.
CORTEX = ("CIFTI_STRUCTURE_CORTEX_LEFT", "CIFTI_STRUCTURE_CORTEX_RIGHT")
_EXTENSION = 32  # of a NIfTI file: its axes are in CIFTI-2's XML


def cifti_head(matrix: Any, shape: tuple[int, int], intent: str) -> bytes:
    """Return the bytes before the values: the header, and the axes as XML.

    Parameters
    ----------
    matrix
        nibabel's `Cifti2Matrix` with the mappings of both axes.
    shape
        Of the values: rows and columns.
    intent
        Of the file, as NIfTI names it: nibabel writes that of an unknown kind, by which other
        programs do not know such a file.
    """
    header = _Nifti2Header(endianness="<")
    header.set_data_dtype("<f4")
    header.set_data_shape((1, 1, 1, 1, *shape))
    header.set_intent(intent)
    # An element a line, as Workbench writes them: NiiVue reads nothing else.
    xml = _cifti.Cifti2Header(matrix).to_xml().replace(b"><", b">\n<")
    header.extensions.append(nib.nifti1.Nifti1Extension(_EXTENSION, xml))
    stream = BytesIO()
    header.write_to(stream)
    return stream.getvalue().ljust(int(header["vox_offset"]), b"\0")


def cifti_values(values: NDArray[np.floating[Any]]) -> bytes:
    """Return the bytes of values, (rows, columns): as stored, rows are the fastest axis."""
    return np.asarray(values, "<f4").T.tobytes()
