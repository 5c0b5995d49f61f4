"""Sets of ROI maps that are combinations of the largest set's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.connectome.connectome import run_connectomes
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.form import Form
from bids_dtg.connectome.moments import RunVoxels, measure_run
from bids_dtg.contrasts.analyses.roi_maps import combination

SETS = (2, 3, 6)
PLACES = 9000
GREY = 200
FRAMES = 160


def nested(rng, places=PLACES):
    """Maps of all sets, as ICA of the first of the same components makes them."""
    components = rng.standard_normal((max(SETS), places))
    turns = [np.linalg.qr(rng.standard_normal((rois, rois)))[0] for rois in SETS]
    maps = [turn @ components[: len(turn)] for turn in turns]
    return np.concatenate(maps).astype(np.float32)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10**6))
def test_smaller_sets_are_combinations_of_the_largest(seed):
    maps = nested(np.random.default_rng(seed))
    rows, combine = combination(maps, SETS)
    assert rows == slice(5, 11)
    np.testing.assert_allclose(combine @ maps[rows], maps, atol=1e-5)
    np.testing.assert_array_equal(combine[rows], np.eye(6))


@pytest.mark.parametrize("place", [10, 5000, PLACES - 1])
def test_a_map_that_differs_at_one_place_is_no_combination(place):
    maps = nested(np.random.default_rng(1))
    maps[3, place] += 0.1
    assert combination(maps, SETS) is None


def test_one_set_and_sets_of_their_own_have_no_combinations():
    maps = np.random.default_rng(2).standard_normal((11, PLACES))
    assert combination(maps, SETS) is None
    assert combination(maps, (11,)) is None


def test_sums_with_the_largest_set_serve_all_sets():
    rng = np.random.default_rng(3)
    maps = nested(rng, GREY)
    courses, drift = (
        rng.standard_normal((FRAMES, 6)),
        np.linspace(-1.0, 1.0, FRAMES)[:, None],
    )
    bold = 100 + courses @ maps[5:] + rng.standard_normal((FRAMES, GREY)) + 50 * drift
    bold = (bold * 10 ** rng.random(GREY)).astype(np.float32)
    keep = rng.random(FRAMES) < 0.9
    design = TemporalDesign.build(drift, ("drift",), keep, tr_seconds=2.0)
    rows, combine = combination(maps, SETS)

    def connectomes(roi_maps, **options):
        voxels = RunVoxels(
            roi_maps,
            GREY,
            np.ones(GREY, bool),
            form=Form("partial", SETS),
            order=np.random.default_rng(4).permutation(GREY),
            **options,
        )
        blocks = lambda: ((t, bold[t : t + 32].copy()) for t in range(0, FRAMES, 32))  # noqa: E731
        return run_connectomes(
            measure_run(blocks, design, voxels, segments=design.segments())
        )

    combined, expected = connectomes(maps[rows], combine=combine), connectomes(maps)
    np.testing.assert_allclose(combined.whole.r, expected.whole.r, atol=1e-5)
    np.testing.assert_allclose(combined.whole.roi_r, expected.whole.roi_r, atol=1e-5)
    for name in ("agreement", "roi_coverage", "roi_r"):
        np.testing.assert_allclose(
            getattr(combined, name), getattr(expected, name), atol=1e-4
        )
    assert combined.whole.r.shape == (11, GREY)
