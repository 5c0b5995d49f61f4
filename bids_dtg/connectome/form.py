"""The form of a connectome: what each of its values says of a place and an ROI.

A model reads one form; the same sums of one pass give all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bids_dtg.settings.option import find_row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Float = NDArray[np.float64]
# An eigenvalue of the ROIs' correlations below this share of the largest is rounding.
_DEPENDENT = 1e-10
_USUAL_ROIS = 50  # as published
_MOST_SHRUNK = 0.99  # share of correlations that hold next to nothing


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
                words="the marginal form of the connectome: the correlation of each place with "
                "each ROI's series",
            ),
            FormRow(
                name="partial",
                joint=True,
                statistic="partial",
                help="the coefficients of a regression on all ROIs' series together",
                words="the partial form of the connectome: each place's series regressed on all "
                "ROIs' series together, all of variance 1, with a ridge (stage 2 of dual "
                "regression, Nickerson et al., 2017)",
            ),
        )
    }
)


@dataclass(frozen=True)
class Form:
    """A form, and how strong the ridge of a regression is.

    Examples
    --------
    >>> import numpy as np
    >>> roi_r = np.array([[1.0, 0.3], [0.3, 1.0]])
    >>> [round(Form("partial").penalty(roi_r, dof), 3) for dof in (100.0, 400.0)]
    [0.102, 0.024]
    """

    name: str = "marginal"  # a row of `FORMS`
    ridge: float = 1.0  # of a joint form: the penalty is so many times that of `penalty`
    # Whether each place's series is standardised in time before ROI series are solved: else places
    # of a large variance, as near vessels, make most of them.
    standardised: bool = False
    # The penalty for everybody; None: as `penalty` finds it, times the ridge.
    fixed: float | None = None
    # Numbers of ROIs of several sets, each solved and regressed on by itself; (): all are one set.
    sets: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.ridge) and self.ridge >= 0):
            raise ValueError(f"the ridge is a finite number, 0 or more, not {self.ridge}")
        find_row(FORMS, "--connectome", self.name)
        if self.sets and self.fixed is None:
            raise ValueError("several sets of ROIs have a fixed penalty")

    def to_json(self) -> dict[str, Any]:
        """Return the fields for cards and sidecars; of earlier forms, those of earlier versions."""
        facts: dict[str, Any] = {"name": self.name, "ridge": self.ridge}
        facts |= {} if self.fixed is None else {"penalty": self.fixed}
        return facts | ({"standardised": True} if self.standardised else {})

    def one_set(self, rois: int) -> slice:
        """Return the rows of the set that has nearest to 50 of so many ROIs.

        Examples
        --------
        >>> Form("partial", fixed=0.06, sets=(15, 25, 60)).one_set(100), Form().one_set(100)
        (slice(40, 100, None), slice(0, 100, None))
        """
        if not self.sets:
            return slice(0, rois)
        number = min(range(len(self.sets)), key=lambda n: abs(self.sets[n] - _USUAL_ROIS))
        first = sum(self.sets[:number])
        return slice(first, first + self.sets[number])

    def set_rows(self, rois: int) -> dict[str, slice]:
        """Return the rows of each set by its name; the only set has none.

        Examples
        --------
        >>> Form("partial", fixed=0.06, sets=(2, 3)).set_rows(5), Form().set_rows(4)
        ({'rois2': slice(0, 2, None), 'rois3': slice(2, 5, None)}, {'': slice(0, 4, None)})
        """
        if not self.sets:
            return {"": slice(0, rois)}
        found, first = {}, 0
        for number in self.sets:
            found[f"rois{number}"] = slice(first, first + number)
            first += number
        return found

    @property
    def title(self) -> str:
        """Name, and the ridge where there is one."""
        if not self.row.joint:
            return self.name
        places = ", places standardised" if self.standardised else ""
        ridge = f"ridge {self.ridge:g}" if self.fixed is None else f"penalty {self.fixed:g}"
        return f"{self.name} ({ridge}{places})"

    @property
    def penalty_words(self) -> str:
        """What `penalty` computes, for sidecars and methods texts."""
        if self.fixed is not None:
            return f"{self.fixed:g} for everybody"
        times = "" if self.ridge == 1 else f"{self.ridge:g} times "
        return (
            f"{times}s / (1 - s), where s is the share by which the correlations of "
            "the ROIs' series are best shrunk towards 0, given the effective degrees of freedom of "
            "the segment (Schäfer & Strimmer, 2005)"
        )

    @property
    def row(self) -> FormRow:
        """Its row of the table."""
        return FORMS[self.name]

    def penalty(self, roi_r: NDArray[np.floating], dof: float) -> float:
        """Return the ridge penalty λ on coefficients of standardised series: ridge · s / (1 - s).

        Of few frames the correlations G of the ROI series are uncertain. The share s by which
        they are best shrunk towards 0 is the sum of their variances, (1 - g²)² / (dof - 1) each,
        over the sum of their squares (Schäfer & Strimmer 2005, Stat. Appl. Genet. Mol. Biol.
        4: 32); and (1 - s) G + s I is (1 - s) times G + λ I. Frames depend on each other, so
        effective degrees of freedom stand for their number. A fixed λ is that of everybody.

        Parameters
        ----------
        roi_r
            (rois, rois) Pearson r of the ROI series; a row of 0 for an ROI without signal.
        dof
            Effective degrees of freedom of the series.
        """
        import numpy as np  # --help imports this module, and has no use for it

        if self.fixed is not None:
            return self.fixed
        live = np.flatnonzero(np.diagonal(roi_r))
        among = np.asarray(roi_r, np.float64)[np.ix_(live, live)]
        squares = among[~np.eye(len(live), dtype=bool)] ** 2
        uncertain = float(((1 - squares) ** 2).sum()) / max(dof - 1, 1.0)
        total = float(squares.sum())
        share = min(uncertain / total, _MOST_SHRUNK) if total > 0 else 0.0
        return self.ridge * share / (1 - share)

    def mixing(self, roi_r: Float, dof: float) -> Float | None:
        """Return the matrix that turns correlations with ROIs into values of the form.

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
        return self._inverse(roi_r, dof) if self.row.joint else None

    def marginal(
        self, values: NDArray[np.floating], roi_r: NDArray[np.floating], dof: float
    ) -> NDArray[np.floating]:
        """Return the correlations (rois, places) that values (rois, places) were made from."""
        if not self.row.joint:
            return values
        mixed: NDArray[np.floating] = self._gram(roi_r, dof).astype(values.dtype) @ values
        return mixed

    def change(self, to: Form, roi_r: NDArray[np.floating], dof: float) -> NDArray[np.floating]:
        """Return the matrix that turns values of this form into values with another ridge.

        Parameters
        ----------
        to
            The form of the returned connectome.
        roi_r, dof
            Correlations of the ROI series (rois, rois) and effective dof, as for `mixing`.

        Returns
        -------
        (rois, rois): new values = change @ values (rois, places).

        Raises
        ------
        ValueError
            The forms differ in more than the ridge, or have none.

        Examples
        --------
        >>> import numpy as np
        >>> roi_r = np.array([[1.0, 0.5], [0.5, 1.0]])
        >>> Form("partial", ridge=0.0).change(Form("partial", ridge=1.0), roi_r, 4.0).round(3)
        array([[0.238, 0.095],
               [0.095, 0.238]])
        """
        if self.name != to.name or not self.row.joint:
            raise ValueError(
                f"connectomes of the {self.name} form cannot be changed to the {to.name} form: "
                "only the ridge of a joint form can"
            )
        return to._inverse(roi_r, dof) @ self._gram(roi_r, dof)

    def _gram(self, roi_r: NDArray[np.floating], dof: float) -> NDArray[np.floating]:
        """Return G + λ I, (rois, rois)."""
        import numpy as np

        gram: NDArray[np.floating] = roi_r + self.penalty(roi_r, dof) * np.eye(len(roi_r))
        if self.sets:
            number = np.repeat(np.arange(len(self.sets)), self.sets)
            gram = np.where(number[:, None] == number, gram, 0.0)
        return gram

    def _inverse(self, roi_r: NDArray[np.floating], dof: float) -> Float:
        """Return (G + λ I)⁻¹, (rois, rois)."""
        import numpy as np

        gram = self._gram(roi_r, dof)
        # An ROI without signal has no part in the others, and coefficients of 0.
        live = np.flatnonzero(np.diagonal(roi_r))
        among = np.ix_(live, live)
        found = np.zeros(gram.shape)
        # Series that depend on each other, as those of a parcellation, have no unique coefficients
        # without a penalty: the smallest are taken.
        found[among] = np.linalg.pinv(gram[among], rcond=_DEPENDENT, hermitian=True)
        return found


MARGINAL = Form()
