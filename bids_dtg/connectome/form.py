"""The form of a connectome: how a value relates a voxel or parcel to an ROI.

A model reads one form; the sums of one pass give all forms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bids_dtg.array_types import Float64, Floats
_USUAL_ROIS = 50  # as published
# Ridge penalty of the partial form, for series of variance 1.
PENALTY = 0.06


# Description of each form for pages and methods texts, by its name in cards and tables.
_WORDS = {
    "marginal": "the marginal form of the connectome: the correlation of each voxel or parcel "
    "with each ROI's series",
    "partial": "the partial form of the connectome: the series of each voxel or parcel "
    "regressed on all ROIs' series together, all of variance 1, with a ridge (stage 2 of dual "
    "regression, Nickerson et al., 2017)",
}


@dataclass(frozen=True)
class Form:
    """A form, and its sets of ROIs."""

    name: str = "marginal"  # a key of `FORMS`
    # Number of ROIs in each of several sets, which are handled separately; () for a single set.
    sets: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.name not in _WORDS:
            raise ValueError(f"{self.name} is none of {', '.join(_WORDS)}")
        if self.sets and not self.joint:
            raise ValueError(f"the {self.name} form has one set of ROIs")

    @property
    def joint(self) -> bool:
        """Whether a voxel's series is regressed on all ROIs together instead of on each alone.

        If so, each voxel's series is standardised in time before ROI series are computed, as
        voxels with a large variance, for example near vessels, would dominate them.
        """
        return self.name == "partial"

    @property
    def statistic(self) -> str:
        """Value of the BIDS entity stat- in names of files with such values."""
        return "partial" if self.joint else "pearsoncorrelation"

    @property
    def words(self) -> str:
        """Description for pages and methods texts."""
        return _WORDS[self.name]

    @property
    def title(self) -> str:
        """Name, with the penalty if there is one."""
        return f"{self.name} (penalty {PENALTY:g})" if self.joint else self.name

    def set_rows(self, rois: int) -> tuple[slice, ...]:
        """Return the rows of each set; two sets may have the same number of ROIs.

        Examples
        --------
        >>> Form("partial", (2, 2)).set_rows(4), Form().set_rows(4)
        ((slice(0, 2, None), slice(2, 4, None)), (slice(0, 4, None),))
        """
        return rows_of(self.sets or (rois,))

    def set_name(self, rows: slice) -> str:
        """Return the name of a set in file names; empty if there is only one set."""
        return f"rois{rows.stop - rows.start}" if self.sets else ""

    def one_set(self, rois: int) -> slice:
        """Return the rows of the set whose number of ROIs is nearest to 50.

        Examples
        --------
        >>> Form("partial", (15, 25, 60)).one_set(100), Form().one_set(100)
        (slice(40, 100, None), slice(0, 100, None))
        """

        def distance(rows: slice) -> int:
            return abs(int(rows.stop - rows.start) - _USUAL_ROIS)

        return min(self.set_rows(rois), key=distance)

    def mixing(self, roi_r: Float64) -> Float64:
        """Return the matrix that turns correlations with ROIs into values of the partial form.

        Parameters
        ----------
        roi_r
            (rois, rois) Pearson r of the ROI series; a row of 0 for an ROI without signal.

        Returns
        -------
        (rois, rois), such that values = correlations (places, rois) @ mixing.

        Examples
        --------
        >>> import numpy as np
        >>> Form("partial").mixing(np.array([[1.0, 0.6], [0.6, 1.0]])).round(3)
        array([[ 1.388, -0.786],
               [-0.786,  1.388]])
        """
        import numpy as np

        gram = self._gram(roi_r)
        # An ROI without signal does not affect the others, and has coefficients of 0.
        with_signal = np.flatnonzero(np.diagonal(roi_r))
        among = np.ix_(with_signal, with_signal)
        mixing = np.zeros(gram.shape)
        mixing[among] = np.linalg.pinv(gram[among], hermitian=True)
        return mixing

    def marginal(self, values: Floats, roi_r: Floats) -> Floats:
        """Return the correlations (rois, places) from which values (rois, places) were computed."""
        if not self.joint:
            return values
        return self._gram(roi_r).astype(values.dtype) @ values

    def _gram(self, roi_r: Floats) -> Floats:
        """Return G + λ I, (rois, rois)."""
        import numpy as np

        gram: Floats = roi_r + PENALTY * np.eye(len(roi_r))
        if self.sets:
            set_of_roi = np.repeat(np.arange(len(self.sets)), self.sets)
            gram = np.where(set_of_roi[:, None] == set_of_roi, gram, 0.0)
        return gram


def rows_of(sets: Sequence[int]) -> tuple[slice, ...]:
    """Return the rows of each set of ROIs in a connectome, by their numbers.

    Examples
    --------
    >>> rows_of([2, 3])
    (slice(0, 2, None), slice(2, 5, None))
    """
    ends = accumulate(sets)
    return tuple(slice(end - rois, end) for rois, end in zip(sets, ends, strict=True))


MARGINAL = Form()
FORMS: Mapping[str, Form] = {name: Form(name) for name in _WORDS}  # of one set of ROIs
