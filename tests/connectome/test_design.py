from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_route import clean
from scipy.signal import lfilter

from bids_dtg.cleaning.design import stop_band
from bids_dtg.connectome.design import TemporalDesign, effective_dof

KEEP = np.ones(40, bool)


def noise(columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((40, columns))


def build(table: np.ndarray, keep: np.ndarray = KEEP) -> TemporalDesign:
    names = [f"c{index}" for index in range(table.shape[1])]
    return TemporalDesign.build(table, names, keep, 2.0)


def projector(columns: np.ndarray) -> np.ndarray:
    return columns @ np.linalg.pinv(columns)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 8), st.floats(1e-8, 1e8))
def test_the_basis_spans_intercept_and_confounds_at_any_scale(seed, columns, scale):
    rng = np.random.default_rng(seed)
    table = rng.standard_normal((40, columns)) * scale ** rng.uniform(-1, 1, columns)
    keep = rng.random(40) < 0.8
    design = build(table, keep)
    basis = design.basis
    np.testing.assert_allclose(basis.T @ basis, np.eye(columns + 1), atol=1e-12)
    kept = table[keep] / np.abs(table[keep]).max(axis=0)
    wanted = projector(np.hstack([np.ones((keep.sum(), 1)), kept]))
    np.testing.assert_allclose(basis @ basis.T, wanted, atol=1e-9)


def test_missing_values_are_filled_and_named():
    table = noise(2)
    table[0, 1] = np.nan
    design = build(table)
    assert design.columns["filled"] == ("c1",)
    table[0, 1] = np.nanmean(table[:, 1])
    np.testing.assert_allclose(design.basis, build(table).basis, atol=1e-12)
    assert "c1" in design.notes[0]


@pytest.mark.parametrize("value", [0.0, 1e6, np.nan])
def test_constant_and_empty_columns_are_left_out(value):
    table = noise(3)
    table[:, 1] = value
    design = build(table)
    assert design.columns["constant"] == ("c1",)
    assert design.rank == 3
    np.testing.assert_allclose(design.basis, build(table[:, [0, 2]]).basis, atol=1e-12)


def test_the_later_of_dependent_columns_is_left_out():
    table = noise(3)
    table = np.hstack([table, table[:, :1] * 1e5 + 3, table[:, 1:2] - table[:, 2:3]])
    design = build(table)
    assert design.columns["dependent"] == ("c3", "c4")
    assert design.decisions["rank"] == 4


def test_the_decisions_count_frames():
    keep = KEEP.copy()
    keep[:4] = False
    decisions = build(noise(1), keep).decisions
    assert decisions["frames"] == 40
    assert decisions["frames_kept"] == 36
    assert decisions["frames_censored"] == 4
    assert decisions["seconds_kept"] == 72


def test_too_few_frames_are_counted():
    with pytest.raises(ValueError, match="40 frames are kept, too few for 39 confound columns"):
        build(noise(60))
    with pytest.raises(ValueError, match=r"^0 frames are kept, too few for an intercept: at least"):
        TemporalDesign.build(None, [], np.zeros_like(KEEP), 2.0)


@pytest.mark.parametrize(
    ("seconds", "count"), [(80, 1), (432, 1), (640, 1), (660, 2), (864, 2), (3456, 8)]
)
def test_segments_are_the_nearest_whole_number(seconds, count):
    frames = 400
    design = TemporalDesign.build(None, [], np.ones(frames, bool), seconds / frames)
    segments = design.segments()
    assert len(segments.sets) == count
    assert segments.edges[0] == 0
    assert segments.edges[-1] == frames
    lengths = [np.diff(segments.edges)[list(pieces)].sum() for pieces in segments.sets]
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize(
    ("count", "sets"),
    [
        (1, ((0, 1),)),
        (2, ((0,), (1,))),
        (3, ((0,), (1, 2), (3,))),
        (4, ((0,), (1,), (2,), (3,))),
    ],
)
def test_pieces_make_segments_and_two_equal_halves(count, sets):
    segments = TemporalDesign.build(None, [], np.ones(240, bool), 2.0).segments(480.0 / count)
    assert segments.sets == sets
    frames = np.diff(segments.edges)
    assert [frames[list(pieces)].sum() for pieces in sets] == [240 // count] * count
    assert frames[list(segments.odd)].sum() == frames[list(segments.even)].sum() == 120
    assert sorted(segments.odd + segments.even) == list(segments.whole)


# --- effective degrees of freedom, against simulation and against the formula of AR(1)


FRAMES, TR = 300, 2.0


def built(*, columns=0, band=False, censored=0.0, seed=0):
    rng = np.random.default_rng(seed)
    confounds = rng.standard_normal((FRAMES, columns)).cumsum(axis=0)
    stop = stop_band(FRAMES, TR, high_pass_hz=0.01, low_pass_hz=0.1)
    keep = rng.random(FRAMES) >= censored
    names = [f"c{number}" for number in range(columns)]
    return TemporalDesign.build(confounds, names, keep, TR, stop_band=stop if band else None)


def ar1(design, coefficient, series, seed=1):
    """AR(1) noise, cleaned: (frames kept, series)."""
    rng = np.random.default_rng(seed)
    white = rng.standard_normal((FRAMES + 200, series))
    course = lfilter([1.0], [1.0, -coefficient], white, axis=0)[200:][design.keep]
    return course - design.basis @ (design.basis.T @ course)


DESIGNS = {
    "mean only": {},
    "confounds": {"columns": 24},
    "censored": {"columns": 12, "censored": 0.2},
    "band": {"band": True},
    "band, confounds": {"band": True, "columns": 24},
}


@pytest.mark.parametrize("options", DESIGNS.values(), ids=DESIGNS)
@pytest.mark.parametrize("coefficient", [0.0, 0.5])
def test_correlations_of_independent_series_vary_as_it_says(options, coefficient):
    design = built(**options)
    series = ar1(design, coefficient, 400)
    r = np.corrcoef(series.T)[np.triu_indices(400, 1)]
    assert effective_dof(series, design) == pytest.approx(1 / r.var(), rel=0.2)


def test_it_is_not_more_than_the_residual_and_unknown_where_that_is():
    design = built()
    alternating = ar1(design, -0.6, 50)
    assert effective_dof(alternating, design) <= design.residual_dof()
    assert np.isnan(effective_dof(np.zeros((FRAMES, 3)), design))


def test_ica_aroma_counts_as_columns_do():
    rng = np.random.default_rng(3)
    mixing = rng.standard_normal((FRAMES, 30))
    bad = np.arange(30) < 12
    design = TemporalDesign.build(None, [], np.ones(FRAMES, bool), TR, mixing=mixing, noise=bad)
    white = rng.standard_normal((FRAMES, 100))
    left = clean(white - design.noise @ (design.noise_weights @ white), None)
    assert 0.9 * design.residual_dof() <= effective_dof(left, design) <= design.residual_dof()
