"""How reliable predicted maps are: those of the odd pieces of rest against those of the even."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.connectome import intraclass_correlation, profile_agreement
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import build_path
from bids_dtg.files.text import write_json, write_tsv

_DESC = "mapReliability"
_COLUMNS = {
    "contrast": "Label of the contrast",
    "r": "Correlation over voxels of the maps predicted from the odd and the even pieces of rest",
    "icc": "Intraclass correlation ICC(1,1) of the two maps, which a difference in level lowers "
    "too: of half the rest; of all of it about 2 ICC / (1 + ICC)",
}


def write_map_reliability(
    entities: Mapping[str, str],
    contrasts: Sequence[Contrast],
    halves: tuple[NDArray[np.float32], NDArray[np.float32]],
    output: DerivativeDataset,
) -> Iterator[PurePosixPath]:
    """Write a row a contrast; yield the paths of the table and its dictionary.

    Parameters
    ----------
    entities
        What the names of the set share.
    contrasts
        Rows of the maps.
    halves
        (contrasts, voxels) each, of the odd and of the even pieces.
    output
        Where the files go.
    """
    # float64: over 160,000 voxels, rounding would show in the fourth digit.
    odd, even = (half.astype(np.float64) for half in halves)
    figures = zip(profile_agreement(odd, even), intraclass_correlation(odd, even), strict=True)
    rows = [
        [contrast.label, f"{r:.4f}", f"{icc:.4f}"]
        for contrast, (r, icc) in zip(contrasts, figures, strict=True)
    ]
    named = {**entities, "desc": _DESC}
    path = build_path(named, "qc", ".tsv")
    write_tsv(output.path(path), list(_COLUMNS), rows)
    yield path
    path = build_path(named, "qc", ".json")
    write_json(output.path(path), {name: {"Description": text} for name, text in _COLUMNS.items()})
    yield path
