"""First-level analysis of one run: its design, the fit by nilearn, and runs put together.

A design has the conditions convolved with a model of the haemodynamic response, slow cosines,
confounds, a column for each frame that is censored, and a constant; nilearn makes it and fits it
(`make_first_level_design_matrix`, `run_glm`, `compute_contrast`; Abraham et al. 2014,
doi:10.3389/fninf.2014.00014), so that results are those of its `FirstLevelModel`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.inputs.task.model_file import GlmModel
from bids_dtg.inputs.task.trials import Trials
from bids_dtg.stats.fixed_effects import inverse_variance

Floats = NDArray[np.float64]
Array = NDArray[np.float32]

CENSORED = "censored_frame"  # prefix of the names of columns for single frames
# A contrast is estimable if it lies in the space of the design's rows, up to rounding.
_ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Design:
    """The design of a run."""

    columns: tuple[str, ...]  # names; conditions have their own
    values: Floats  # (frames, columns)
    conditions: tuple[str, ...]  # those of the columns that are responses to conditions
    task_columns: int  # how many come first that are of conditions, derivatives included

    @cached_property
    def rank(self) -> int:
        """Number of independent columns."""
        return int(np.linalg.matrix_rank(self._scaled))

    @property
    def counted(self) -> NDArray[np.bool_]:
        """(frames,), False for frames that a censoring column removes."""
        own = [
            number
            for number, name in enumerate(self.columns)
            if number >= self.task_columns and name.startswith(CENSORED)
        ]
        # nilearn adds rounding errors to all columns where some are the same or 0.
        return np.asarray(~(np.abs(self.values[:, own]) > 0.5).any(axis=1), bool)

    @property
    def residual_dof(self) -> int:
        """Frames less independent columns."""
        return len(self.values) - self.rank

    def vector(self, weights: Mapping[str, float]) -> Floats:
        """Return the weights of all columns, (columns,), of those of conditions.

        Raises
        ------
        KeyError
            A condition has no column.
        """
        vector = np.zeros(len(self.columns))
        for name, weight in weights.items():
            if name not in self.conditions:
                raise KeyError(name)
            vector[self.columns.index(name)] = weight
        return vector

    def is_estimable(self, vector: Floats) -> bool:
        """Return whether a contrast is estimable: no other weights give the same fit."""
        scaled = vector / self._norms
        rows = np.linalg.pinv(self._scaled) @ self._scaled
        return bool(np.allclose(scaled @ rows, scaled, atol=_ROUNDING * np.abs(scaled).max()))

    def efficiency(self, vector: Floats) -> float:
        """Return the efficiency 1 / c(X'X)⁻c' of a contrast c (Dale 1999): larger is better."""
        scaled = vector / self._norms
        spread = scaled @ np.linalg.pinv(self._scaled.T @ self._scaled) @ scaled
        return float(1.0 / spread)

    def inflation(self, vector: Floats) -> float:
        """Return the ratio of a contrast's variance to that without correlated columns.

        The variance inflation factor of a contrast: 1 is best, above 5 columns overlap too much
        to be separated (Mumford et al. 2015, doi:10.1371/journal.pone.0126255). Columns are
        centred, except the constant.
        """
        centred = self.values - self.values.mean(axis=0)
        varies = np.linalg.norm(centred, axis=0) > 1e-9 * self._norms
        x, c = centred[:, varies], vector[varies]
        lengths = np.linalg.norm(x, axis=0)
        x, c = x / lengths, c / lengths
        return float(c @ np.linalg.pinv(x.T @ x) @ c / (c @ c))

    @cached_property
    def _norms(self) -> Floats:
        norms: Floats = np.linalg.norm(self.values, axis=0)
        return np.where(norms > 0, norms, 1.0)

    @property
    def _scaled(self) -> Floats:
        return self.values / self._norms


def make_design(
    trials: Trials,
    model: GlmModel,
    *,
    frames: int,
    tr_seconds: float,
    slice_time_ref: float = 0.0,
    confounds: Floats | None = None,
    confound_names: Sequence[str] = (),
) -> Design:
    """Make the design of a run.

    Parameters
    ----------
    trials
        Trials of the run, with onsets and durations.
    model
        What is estimated, and how.
    frames, tr_seconds
        Length of the run, and seconds a frame.
    slice_time_ref
        When a frame's slices were taken, as a share of a frame: 0.5 after fMRIPrep's correction.
    confounds, confound_names
        (frames, confounds) without NaN, and their names. Where some are cosines, as fMRIPrep's
        table has them, no others are added.

    Examples
    --------
    >>> trials = Trials(np.array([4.0, 40.0]), np.array([10.0, 10.0]), ("go", "stop"))
    >>> model = GlmModel("gonogo", {"goVsStop": {"go": 1.0, "stop": -1.0}})
    >>> design = make_design(trials, model, frames=60, tr_seconds=2.0)
    >>> design.columns, design.residual_dof
    (('go', 'stop', 'drift_1', 'constant'), 56)
    """
    import pandas as pd
    from nilearn.glm.first_level import make_first_level_design_matrix

    # Conditions may have any name: nilearn warns of names that are no variables of Python.
    known = sorted(set(trials.condition))
    plain = {name: f"condition{number:04d}" for number, name in enumerate(known)}
    events = pd.DataFrame(
        {
            "onset": trials.onset_s,
            "duration": trials.duration_s,
            "trial_type": [plain[name] for name in trials.condition],
        }
    )
    # nilearn changes a design whose columns have sizes too different: none decides on an effect.
    if confounds is not None:
        sizes = np.abs(confounds).max(axis=0, initial=0.0)
        confounds = confounds / np.where(sizes > 0, sizes, 1.0)
    times = tr_seconds * (np.arange(frames) + slice_time_ref)
    has_cosines = any(name.startswith("cosine") for name in confound_names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of impulses and correlated columns: both are reported
        made = make_first_level_design_matrix(
            times,
            events,
            hrf_model=model.hrf,
            drift_model="cosine" if model.high_pass and not has_cosines else None,
            high_pass=model.high_pass or 0.01,
            add_regs=confounds if confound_names else None,
            add_reg_names=list(confound_names) if confound_names else None,
        )
    own = {word: name for name, word in plain.items()}
    columns = tuple(_named(str(name), own) for name in made.columns)
    task_columns = sum(_is_of_condition(str(name), own) for name in made.columns)
    return Design(columns, made.to_numpy(np.float64), tuple(known), task_columns)


_WORD = len("condition0000")


def _is_of_condition(column: str, own: Mapping[str, str]) -> bool:
    return column[:_WORD] in own


def _named(column: str, own: Mapping[str, str]) -> str:
    """Return the condition of a column's name, which may have a suffix such as _derivative."""
    return own.get(column[:_WORD], column[:_WORD]) + column[_WORD:]


@dataclass(frozen=True, eq=False)
class Estimate:
    """Effect, variance and z of a contrast at some places."""

    effect: Array  # (places,), in percent of a voxel's mean
    variance: Array  # (places,), of the effect
    z: Array  # (places,)


@dataclass(frozen=True, eq=False)
class RunFit:
    """Estimates of a run."""

    estimates: Mapping[str, Estimate]  # by label of the contrast
    dof: float  # residual degrees of freedom
    # (places,), share of the variance about the mean that the design explains, censored frames
    # left out
    r_squared: Array
    task_r_squared: Array  # (places,), share that conditions add to the other columns


def fit_run(
    series: Array,
    design: Design,
    contrasts: Mapping[str, Floats],
    noise_model: str = "ar1",
    *,
    at_once: int = 16_384,
) -> RunFit:
    """Fit a design to a run's series, as nilearn's `FirstLevelModel` does.

    Each voxel is divided by its mean and multiplied by 100 (`mean_scaling`), fitted by least
    squares after whitening by its own first-order autocorrelation (`ar1`), and contrasts are
    tested by t, which is converted to z with the same p.

    Parameters
    ----------
    series
        (frames, places), finite, of places that change and whose mean is not 0.
    design
        Design of the run, from `make_design`.
    contrasts
        Weights of the design's columns, (columns,), by label.
    noise_model
        ``ar1``, or ``ols``: white noise.
    at_once
        Places that are fitted at a time: their residuals are in memory, and no others.

    Raises
    ------
    ValueError
        Design and series have different numbers of frames.
    """
    from nilearn.glm.first_level import mean_scaling, run_glm

    frames, places = series.shape
    if len(design.values) != frames:
        raise ValueError(f"a design of {len(design.values)} frames, and a series of {frames}")
    made = {label: np.empty((3, places), np.float32) for label in contrasts}
    explained, dof = np.empty((2, places), np.float32), float(design.residual_dof)
    for first in range(0, places, at_once):
        part = slice(first, first + at_once)
        scaled, _ = mean_scaling(series[:, part].astype(np.float64), 0)
        labels, results = run_glm(scaled, design.values, noise_model, n_jobs=1)
        dof = float(next(iter(results.values())).df_residuals)
        for label, vector in contrasts.items():
            made[label][:, part] = _contrast(labels, results, vector)
        explained[:, part] = _explained(scaled, design)
    estimates = {label: Estimate(*values) for label, values in made.items()}
    return RunFit(estimates, dof, explained[0], explained[1])


def _contrast(labels: Any, results: Any, vector: Floats) -> Floats:
    """Return effect, variance and z of a contrast, (3, places)."""
    from nilearn.glm import compute_contrast

    found = compute_contrast(labels, results, vector, stat_type="t")
    parts = (found.effect_size(), found.effect_variance(), found.z_score())
    stacked: Floats = np.stack([np.reshape(part, -1) for part in parts])
    return stacked


def _explained(scaled: Floats, design: Design) -> Floats:
    """Return the share of variance of all columns, and of conditions given others, (2, places)."""
    scaled, values = scaled[design.counted], design.values[design.counted]
    centred = scaled - scaled.mean(axis=0)
    total = np.maximum((centred**2).sum(axis=0), np.finfo(np.float64).tiny)
    shares = []
    for columns in (values, values[:, design.task_columns :]):
        basis = _basis(columns - columns.mean(axis=0))
        shares.append(((basis.T @ centred) ** 2).sum(axis=0) / total)
    return np.stack([shares[0], shares[0] - shares[1]])


def _basis(columns: Floats) -> Floats:
    """Return an orthonormal basis of what columns span, (frames, rank)."""
    lengths = np.linalg.norm(columns, axis=0)
    kept = columns[:, lengths > 0] / lengths[lengths > 0]
    vectors, values, _ = np.linalg.svd(kept, full_matrices=False)
    basis: Floats = vectors[:, values > 1e-10 * values.max(initial=0)]
    return basis


def combine_runs(estimates: Sequence[Estimate], dofs: Sequence[float]) -> Estimate:
    """Put the runs of a contrast together by fixed effects, weighted by inverse variance.

    As nilearn's `compute_fixed_effects` with `precision_weighted`: the degrees of freedom of the
    runs add up.

    Parameters
    ----------
    estimates
        Of the same places, one a run.
    dofs
        Residual degrees of freedom of each run.

    Examples
    --------
    >>> one = Estimate(*np.float32([[2.0], [1.0], [1.9]]))
    >>> both = combine_runs([one, one], [100, 100])
    >>> float(both.effect[0]), float(both.variance[0]), round(float(both.z[0]), 2)
    (2.0, 0.5, 2.8)
    """
    from nilearn.glm import Contrast

    if len(estimates) == 1:
        return estimates[0]
    effect, variance = inverse_variance(
        [run.effect for run in estimates], [run.variance for run in estimates]
    )
    with np.errstate(invalid="ignore"):  # NaN where a run has no variance
        found = Contrast(
            effect[None].astype(np.float64), variance.astype(np.float64), dim=1, dof=sum(dofs)
        )
        return Estimate(effect, variance, np.asarray(found.z_score(), np.float32).reshape(-1))
