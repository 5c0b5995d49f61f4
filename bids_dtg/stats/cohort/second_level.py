"""Tests of many people's maps: a mean or a difference at each voxel, with covariates.

The parametric maps are those of nilearn's `SecondLevelModel`. The correction for all voxels is
that of its `permuted_ols`, by the largest absolute t of the map under permutations after Freedman
and Lane; here draws are given, so that they can respect families.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.stats.cohort.pooled_fdr import PooledCounts, bins_of_t

Values = NDArray[np.floating[Any]]
Floats = NDArray[np.float64]

ALPHA = 0.05
_VOXELS, _DRAWS = 20_000, 250  # at once: 40 MB for each column of the design
_TIE = 1e-6  # what two equal statistics may differ by, as a share
_FLAT = 1e-10  # below this share of a map's size, what is left of it is rounding


@dataclass(frozen=True, eq=False)
class GroupDesign:
    """What is tested over people, and what is taken out.

    Examples
    --------
    >>> import numpy as np
    >>> GroupDesign.of_mean(4).tests_mean, GroupDesign(np.array([0.0, 1, 1, 0])).columns.shape
    (True, (4, 2))
    """

    tested: Floats  # (people,), of the column that is tested; all 1: their mean
    covariates: Floats | None = None  # (people, columns), without a constant

    @classmethod
    def of_mean(cls, people: int, covariates: Floats | None = None) -> GroupDesign:
        """Test the mean of people, at the mean of their covariates."""
        return cls(np.ones(people), covariates)

    @property
    def tests_mean(self) -> bool:
        """Whether the mean of the maps is tested, so that signs are flipped."""
        return bool(np.ptp(self.tested) == 0)

    @cached_property
    def centred(self) -> Floats:
        """The covariates less their means, (people, columns)."""
        if self.covariates is None:
            return np.empty((len(self.tested), 0))
        centred: Floats = self.covariates - self.covariates.mean(axis=0)
        return centred

    @cached_property
    def taken_out(self) -> Floats:
        """What else is in the model, (people, columns): centred covariates, then the constant."""
        if self.tests_mean:
            return self.centred
        return np.column_stack([self.centred, np.ones(len(self.centred))])

    @cached_property
    def columns(self) -> Floats:
        """The whole model, (people, columns), the tested column first."""
        return np.column_stack([self.tested, self.taken_out])

    @property
    def degrees_of_freedom(self) -> int:
        """How many are left for the noise."""
        people, columns = self.columns.shape
        return int(people - columns)

    def of(self, people: NDArray[np.bool_] | NDArray[np.intp]) -> GroupDesign:
        """Return the design of some of the people.

        Raises
        ------
        ValueError
            The tested column differs between people, and not between these.
        """
        own = None if self.covariates is None else self.covariates[people]
        some = GroupDesign(self.tested[people], own)
        if some.tests_mean and not self.tests_mean:
            raise ValueError(f"what is tested is the same for all {len(some.tested)} people")
        return some

    def require(self) -> None:
        """Refuse what cannot be estimated.

        Raises
        ------
        ValueError
            Columns depend on each other, or no degree of freedom is left.
        """
        columns = self.columns
        if self.degrees_of_freedom < 1:
            raise ValueError(f"{len(columns)} people for {columns.shape[1]} columns of a design")
        if np.linalg.matrix_rank(columns) < columns.shape[1]:
            raise ValueError("columns of the design depend on each other")


@dataclass(frozen=True, eq=False)
class GroupTest:
    """Parametric maps of one test, (voxels,) each."""

    effect: Floats  # of the tested column, in the maps' units a unit of the column
    t: Floats
    z: Floats  # with the p of t
    p: Floats  # two-sided, of each voxel alone
    degrees_of_freedom: int


@dataclass(frozen=True, eq=False)
class Corrected:
    """p of voxels, corrected for all voxels of the map by draws."""

    p: Floats  # (voxels,), family-wise, two-sided, never 0
    null: Floats  # (draws,), the largest value of the map in each
    q: Floats | None = None  # (voxels,), false discovery rate; None: not of this statistic

    @property
    def discoveries(self) -> NDArray[np.bool_]:
        """(voxels,), at a false discovery rate of 5 % over the voxels of this map."""
        return np.zeros(len(self.p), bool) if self.q is None else np.asarray(self.q <= ALPHA)

    @property
    def significant(self) -> NDArray[np.bool_]:
        """(voxels,), at 5 %."""
        return np.asarray(self.p <= ALPHA)

    @property
    def log10_p(self) -> Floats:
        """(voxels,), -log10 of p, as nilearn's ``logp``."""
        return -np.log10(self.p)


def fit_group(values: Values, design: GroupDesign) -> GroupTest:
    """Test a column of a design at each voxel by ordinary least squares.

    Parameters
    ----------
    values
        A map a person, (people, voxels).
    design
        Design of the group, with a row for each of the same people.

    Returns
    -------
    GroupTest
        As nilearn's `SecondLevelModel` makes of the same maps, by the same functions; some
        voxels are held at a time. Where people do not differ beyond the design, t is 0.

    Raises
    ------
    ValueError
        The design cannot be estimated, or is of other people.

    Examples
    --------
    >>> import numpy as np
    >>> maps = np.array([[1.0, 0.0], [3.0, 0.5], [2.0, -0.5], [2.0, 0.0]])
    >>> found = fit_group(maps, GroupDesign.of_mean(4))
    >>> found.effect, found.t.round(2), found.degrees_of_freedom
    (array([2., 0.]), array([4.9, 0. ]), 3)
    """
    from nilearn.glm.contrasts import compute_contrast
    from nilearn.glm.first_level import run_glm

    _require_fit(values, design)
    wanted = np.eye(design.columns.shape[1])[0]
    parts = []
    for start in range(0, values.shape[1], _VOXELS):
        block = np.asarray(values[:, start : start + _VOXELS], np.float64)
        labels, results = run_glm(block, design.columns, noise_model="ols")
        found = compute_contrast(labels, results, wanted, stat_type="t")
        known = _differs(block, design)
        t, z = (np.where(known, x, 0) for x in (found.stat(), found.z_score()))
        parts.append(np.stack([found.effect_size().ravel(), t, z]))
    effect, t, z = np.concatenate(parts, axis=1).astype(np.float64)
    return GroupTest(effect, t, z, _two_sided(t, design), design.degrees_of_freedom)


def correct_for_voxels(
    values: Values, design: GroupDesign, draws: NDArray[np.integer[Any]]
) -> Corrected:
    """Correct for all voxels of the map by its absolute t under permutations.

    Family-wise p is by the largest t of each permutation, the false discovery rate by how many
    voxels reach a t in each (`bids_dtg.stats.cohort.pooled_fdr`).

    Parameters
    ----------
    values
        A map a person, (people, voxels).
    design
        Design of the group, with a row for each of the same people.
    draws
        (draws, people): signs where the mean is tested, else orders, in which person i gets the
        residual of person order[i].

    Raises
    ------
    ValueError
        The design cannot be estimated, is of other people than maps or draws, or the draws are
        signs where orders are wanted.

    Notes
    -----
    Covariates are taken out of the maps first, and out of the permuted residuals again: Freedman &
    Lane 1983, J. Bus. Econ. Stat. 1: 292; Winkler et al. 2014, NeuroImage 92: 381. With the draws
    that nilearn's `permuted_ols` makes, the null values are its own; here all draws of a block of
    voxels are one product of matrices.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> maps = rng.standard_normal((12, 50))
    >>> maps[:, 0] += 4
    >>> signs = rng.choice([-1, 1], size=(199, 12))
    >>> found = correct_for_voxels(maps, GroupDesign.of_mean(12), signs)
    >>> np.flatnonzero(found.significant)
    array([0])
    """
    _require_fit(values, design)
    people = len(design.tested)
    if draws.ndim != 2 or draws.shape[1] != people:
        raise ValueError(f"draws {draws.shape}, expected (draws, {people})")
    if design.tests_mean != bool((np.abs(draws) == 1).all()):  # each order has a 0
        raise ValueError("a mean is tested with signs, everything else with orders")
    tested, others = _directions(design)
    null = np.zeros(len(draws))
    observed = np.empty(values.shape[1])
    counts, edges = PooledCounts(len(draws)), bins_of_t(design.degrees_of_freedom)
    for start in range(0, values.shape[1], _VOXELS):
        block = np.asarray(values[:, start : start + _VOXELS], np.float64)
        left = _residuals(block, others) * _differs(block, design)
        own = slice(start, start + block.shape[1])
        observed[own] = _absolute_t(tested[None], [o[None] for o in others.T], left, design)[0]
        for first in range(0, len(draws), _DRAWS):
            some = draws[first : first + _DRAWS]
            moved = _moved(tested, some, flip=design.tests_mean)
            beside = [_moved(other, some, flip=design.tests_mean) for other in others.T]
            found = _absolute_t(moved, beside, left, design)
            counts.add(found, edges, first=1 + first)
            largest = found.max(axis=1, initial=0.0)
            null[first : first + _DRAWS] = np.maximum(null[first : first + _DRAWS], largest)
    counts.add(observed[None], edges)
    return Corrected(_share_as_large(observed, null), null, counts.rates().q(observed, edges))


def enhance_clusters(
    values: Values,
    design: GroupDesign,
    places: VoxelPlaces,
    *,
    permutations: int,
    seed: int = 0,
) -> tuple[Floats, Corrected]:
    """Correct p by threshold-free cluster enhancement, with nilearn's `permuted_ols`.

    It permutes all people alike: not for people who are related or of several sites.

    Parameters
    ----------
    values
        A map a person, (people, voxels).
    design
        Design of the group, with a row for each of the same people.
    places
        The voxels: grid, and position of each.
    permutations, seed
        Number of permutations, and the seed of their draws.

    Returns
    -------
    tuple
        The enhanced map (voxels,) and its corrected p.

    Raises
    ------
    ValueError
        The design cannot be estimated, or is of other people.

    Notes
    -----
    Smith & Nichols 2009, NeuroImage 44: 83. Each permutation takes about a second at 2 mm.
    """
    from nilearn.image import index_img
    from nilearn.maskers import NiftiMasker
    from nilearn.mass_univariate import permuted_ols

    _require_fit(values, design)
    mask = index_img(places.image(np.ones((1, places.number), np.float32)), 0)
    others = design.centred
    found = permuted_ols(
        design.tested[:, None],
        np.asarray(values, np.float64),
        # Without the constant, which it adds: where it finds one, it flips signs.
        others if others.shape[1] else None,
        n_perm=permutations,
        random_state=seed % (1 << 32),
        masker=NiftiMasker(mask_img=mask).fit(),
        tfce=True,
    )
    enhanced = np.asarray(found["tfce"], np.float64)[0]
    p = 10.0 ** -np.asarray(found["logp_max_tfce"], np.float64)[0]
    return enhanced, Corrected(p, np.ravel(found["h0_max_tfce"]).astype(np.float64))


def _require_fit(values: Values, design: GroupDesign) -> None:
    if values.ndim != 2 or len(values) != len(design.tested):
        raise ValueError(f"maps {values.shape} of {len(design.tested)} people in the design")
    design.require()


def _two_sided(t: Floats, design: GroupDesign) -> Floats:
    from scipy.stats import t as student

    return np.asarray(2 * student.sf(np.abs(t), design.degrees_of_freedom))


def _directions(design: GroupDesign) -> tuple[Floats, Floats]:
    """Return the tested column without the others, of length 1, and the others orthonormal."""
    others = np.linalg.qr(design.taken_out)[0]
    left = design.tested - others @ (others.T @ design.tested)
    return left / np.linalg.norm(left), others


def _differs(block: Floats, design: GroupDesign) -> NDArray[np.bool_]:
    """Return whether each voxel has residual variance beyond rounding."""
    basis = np.linalg.qr(design.columns)[0]
    left = np.linalg.norm(block - basis @ (basis.T @ block), axis=0)
    return np.asarray(left > _FLAT * np.linalg.norm(block, axis=0))


def _residuals(block: Floats, others: Floats) -> Floats:
    """Take out the others and scale each voxel to length 1; 0 where nothing is left."""
    left = block - others @ (others.T @ block)
    length = np.linalg.norm(left, axis=0)
    scaled: Floats = left / np.where(length > 0, length, 1)
    return scaled


def _moved(column: Floats, draws: NDArray[np.integer[Any]], *, flip: bool) -> Floats:
    """Move the column instead of the residuals, (draws, people): the same products, and less."""
    moved = np.empty(draws.shape)
    if flip:
        moved[:] = draws * column
        return moved
    np.put_along_axis(moved, draws.astype(np.intp), np.broadcast_to(column, draws.shape), axis=1)
    return moved


def _absolute_t(
    tested: Floats, others: Sequence[Floats], left: Floats, design: GroupDesign
) -> Floats:
    """Return |t| (draws, voxels) of moved columns, (draws, people) each."""
    explained = (tested @ left) ** 2
    noise = 1 - explained
    for other in others:
        noise -= (other @ left) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        squared = explained * design.degrees_of_freedom / np.maximum(noise, 0)
    found: Floats = np.sqrt(np.where(explained > 0, squared, 0))
    return found


def _share_as_large(observed: Floats, null: Floats) -> Floats:
    """Return (as large + 1) / (draws + 1) at each voxel; what rounding tells apart is equal."""
    below = np.searchsorted(np.sort(null), observed * (1 - _TIE), side="left")
    return np.asarray((len(null) - below + 1.0) / (len(null) + 1.0), np.float64)
