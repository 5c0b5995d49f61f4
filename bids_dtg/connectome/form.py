"""The form of a connectome: what each of its values says of a place and an ROI.

A model reads one form; the same sums of one pass give all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from bids_dtg.settings.option import find_row

Float = NDArray[np.float64]


@dataclass(frozen=True)
class FormRow:
    """How a form is made, and how it is written of."""

    name: str  # in cards, on the command line and in tables
    joint: bool  # whether all ROIs explain a place together; else each is taken alone
    statistic: str  # value of the BIDS entity stat- of a file of such values
    help: str  # what a value is, for ``--help``
    words: str  # what a model reads, for pages and methods texts


FORMS: Mapping[str, FormRow] = MappingProxyType(
    {
        row.name: row
        for row in (
            FormRow(
                name="marginal",
                joint=False,
                statistic="pearsoncorrelation",
                help="the correlation with each ROI's series alone, as published",
                words="the correlation of each place with each ROI's series (marginal form)",
            ),
            FormRow(
                name="partial",
                joint=True,
                statistic="partial",
                help="the coefficients of a regression on all ROIs' series together",
                words="the coefficients of a ridge regression of each place's series on all ROIs' "
                "series together, all of variance 1 (partial form; stage 2 of dual regression, "
                "Nickerson et al., 2017)",
            ),
        )
    }
)


@dataclass(frozen=True)
class Form:
    """A form, and how strong the ridge of a regression is.

    Examples
    --------
    >>> Form("partial").penalty(rois=50, dof=200.0)
    0.25
    """

    name: str = "marginal"  # a row of `FORMS`
    ridge: float = 1.0  # of a joint form: the penalty is so many times rois / dof

    def __post_init__(self) -> None:
        if not (math.isfinite(self.ridge) and self.ridge >= 0):
            raise ValueError(f"the ridge is a finite number, 0 or more, not {self.ridge}")
        find_row(FORMS, "--connectome", self.name)

    @property
    def row(self) -> FormRow:
        """Its row of the table."""
        return FORMS[self.name]

    def penalty(self, rois: int, dof: float) -> float:
        """Return the ridge penalty on coefficients of standardised series: ridge · rois / dof.

        Of n independent frames the least-squares coefficients of p regressors have errors whose
        variance is that of the residuals / n; where these coefficients are as large together as
        the residuals, p / n is the penalty that leaves the least squared error (Hoerl & Kennard
        1970, Technometrics 12: 55).

        Parameters
        ----------
        rois
            How many ROIs the regression has.
        dof
            Effective degrees of freedom of the series.
        """
        return self.ridge * rois / max(dof, 1.0)

    def mixing(self, roi_r: Float, dof: float) -> Float | None:
        """Return what turns correlations with ROIs into values of the form.

        Parameters
        ----------
        roi_r
            (rois, rois) Pearson r of the ROI series; a row of 0 for an ROI without signal.
        dof
            Effective degrees of freedom of the series.

        Returns
        -------
        (rois, rois): values = correlations (places, rois) @ mixing. None: they stay as they are.

        Examples
        --------
        >>> import numpy as np
        >>> Form("partial", ridge=0.0).mixing(np.array([[1.0, 0.6], [0.6, 1.0]]), 100.0).round(4)
        array([[ 1.5625, -0.9375],
               [-0.9375,  1.5625]])
        """
        if not self.row.joint:
            return None
        silent = np.diagonal(roi_r) == 0
        gram = roi_r + self.penalty(len(roi_r), dof) * np.eye(len(roi_r))
        # An ROI without signal correlates with nothing: its coefficients are 0 by any divisor.
        gram[silent, silent] = 1.0
        return np.asarray(np.linalg.pinv(gram, hermitian=True), np.float64)

    def marginal(
        self, values: NDArray[np.floating], roi_r: NDArray[np.floating], dof: float
    ) -> NDArray[np.floating]:
        """Return the correlations (rois, places) that values (rois, places) were made from."""
        if not self.row.joint:
            return values
        gram: NDArray[np.floating] = roi_r + self.penalty(len(roi_r), dof) * np.eye(len(roi_r))
        mixed: NDArray[np.floating] = gram.astype(values.dtype) @ values
        return mixed


MARGINAL = Form()
