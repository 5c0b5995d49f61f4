"""Reliability of predicted maps: agreement of maps from odd and even pieces of rest.

Both maps of a person contain what the model predicts for everybody, so they agree even if
nothing individual repeats. Over many people, the mean map is known and can be subtracted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.connectome import intraclass_correlation, profile_agreement
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import build_path
from bids_dtg.files.text import read_rows, write_json, write_tsv
from bids_dtg.report.contents import AverageFiles
from bids_dtg.report.quality import number

ODD, EVEN = HALVES = ("oddHalf", "evenHalf")  # values of desc- of the maps
LEAST_PEOPLE = 3  # with fewer, the mean map contains too much of each person
MOSTLY_THE_MEAN = (
    "most of this is the mean map, which the model predicts for everybody; the group level "
    "subtracts it"
)
_GROUP_TABLE = "group/desc-mapReliability_qc.tsv"
_DESC = "mapReliability"
_COLUMNS = {
    "contrast": "Label of the contrast",
    "r": "Correlation over voxels of the maps predicted from the odd and the even pieces of rest",
    "icc": "Intraclass correlation ICC(1,1) of the two maps, which a difference in level also "
    "lowers. It is that of half the rest; that of all of it is about 2 ICC / (1 + ICC)",
}


def write_map_reliability(
    entities: Mapping[str, str],
    contrasts: Sequence[Contrast],
    halves: tuple[NDArray[np.float32], NDArray[np.float32]],
    output: DerivativeDataset,
) -> Iterator[PurePosixPath]:
    """Write a row for each of the contrasts; yield the paths of the table and its dictionary."""
    # float64: over 160,000 voxels, rounding would show in the fourth digit.
    rows_of = [contrast.index for contrast in contrasts]
    data = ~np.isnan(halves[0] + halves[1]).any(axis=0)
    odd, even = (half[rows_of][:, data].astype(np.float64) for half in halves)
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


def read_map_reliability(made: AverageFiles) -> dict[str, float]:
    """Return the r of an average's halves by contrast; nothing where there are no halves."""
    path = made.maps[0].path.with_name(f"{made.title}_desc-{_DESC}_qc.tsv")
    figures = {row.get("contrast") or "": number(row.get("r")) for row in read_rows(path)}
    return {label: r for label, r in figures.items() if r is not None}


@dataclass(frozen=True)
class HalfAgreement:
    """Agreement of half-maps of a contrast over many people."""

    contrast: str  # label
    people: int  # number with both half-maps
    r: float  # of a person's two half-maps over voxels, mean over people
    deviation_r: float  # the same after subtracting the mean over people from each half
    deviation_r_sd: float  # standard deviation over people


_GROUP_COLUMNS = {
    "contrast": "Label of the contrast",
    "people": "Participants with maps predicted from the odd and from the even pieces of rest",
    "r": "Correlation over voxels of a participant's two half-maps, mean over participants",
    "deviation_r": "The same after subtracting the mean over participants of the odd half-maps "
    "from the odd ones, and that of the even ones from the even ones, mean over participants: how "
    "well a participant's deviation from the group mean repeats within the scanned rest",
    "deviation_r_sd": "Standard deviation of the latter over participants",
}


def agreement_of_halves(
    contrast: str, odd: NDArray[np.float32], even: NDArray[np.float32]
) -> HalfAgreement:
    """Compare the half-maps of many people, with and without their mean map.

    Examples
    --------
    Maps that are the same for everybody but for noise:

    >>> rng = np.random.default_rng(0)
    >>> shared = 5 * rng.standard_normal(2000)
    >>> odd, even = (shared + rng.standard_normal((20, 2000)) for _ in range(2))
    >>> found = agreement_of_halves("faces", odd, even)
    >>> round(found.r, 2), abs(round(found.deviation_r, 1))
    (0.96, 0.0)
    """
    whole = profile_agreement(odd, even)
    own = profile_agreement(odd - odd.mean(axis=0), even - even.mean(axis=0))
    return HalfAgreement(
        contrast, len(odd), float(whole.mean()), float(own.mean()), float(own.std(ddof=1))
    )


def write_group_reliability(found: Sequence[HalfAgreement], output: DerivativeDataset) -> None:
    """Write a row for each contrast; remove an earlier table if there is nothing to write.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    path = output.path(_GROUP_TABLE)
    if not found:
        path.unlink(missing_ok=True)
        path.with_suffix(".json").unlink(missing_ok=True)
        return
    rows = [
        [f"{value:.4f}" if isinstance(value, float) else value for value in astuple(one)]
        for one in found
    ]
    write_tsv(path, [field.name for field in fields(HalfAgreement)], rows)
    write_json(
        path.with_suffix(".json"),
        {name: {"Description": text} for name, text in _GROUP_COLUMNS.items()},
    )
