from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.connectome.design import TemporalDesign

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
    scaled = table[keep] / np.abs(table[keep]).max(axis=0)
    wanted = projector(np.hstack([np.ones((keep.sum(), 1)), scaled]))
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
    with pytest.raises(
        ValueError, match="40 frames are kept, too few for 39 columns and"
    ):
        build(noise(60))
    with pytest.raises(
        ValueError, match=r"^0 frames are kept, too few for 0 columns and an"
    ):
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


@pytest.mark.parametrize(("frames", "count"), [(7, 1), (8, 2), (23, 5)])
def test_halves_of_short_segments_have_two_frames(frames, count):
    design = TemporalDesign.build(None, [], np.ones(frames, bool), 100.0)
    segments = design.segments(100.0)
    assert len(segments.sets) == count
    lengths = np.diff(segments.edges)
    assert min(lengths[list(pieces)].sum() for pieces in segments.sets) >= 4


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
    segments = TemporalDesign.build(None, [], np.ones(240, bool), 2.0).segments(
        480.0 / count
    )
    assert segments.sets == sets
    frames = np.diff(segments.edges)
    assert [frames[list(pieces)].sum() for pieces in sets] == [240 // count] * count
    assert frames[list(segments.odd)].sum() == frames[list(segments.even)].sum() == 120
    assert sorted(segments.odd + segments.even) == list(segments.whole)
