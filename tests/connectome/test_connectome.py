from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from plain_route import plain_connectome, plain_series

from bids_dtg.cleaning.design import stop_band
from bids_dtg.connectome.connectome import profile_agreement, run_connectomes
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.form import MARGINAL, Form
from bids_dtg.connectome.moments import RunVoxels, measure_run


def sums(bold, maps, design, grey, *, size=32, seconds=432.0):
    def blocks():
        for first in range(0, len(bold), size):
            yield first, bold[first : first + size].copy()

    valid = np.ones(bold.shape[1], bool)
    return measure_run(
        blocks, design, RunVoxels(maps, grey, valid), segments=design.segments(seconds)
    )


def one_pass(bold, maps, design, grey, **options):
    return run_connectomes(sums(bold, maps, design, grey, **options))


def drifting_run(rng, frames, voxels, rois, *, drift):
    """BOLD of sd 10 about 1000 with confounded drifts of `drift` times that; maps; confounds."""
    maps = np.abs(rng.standard_normal((rois, voxels))).astype(np.float32)
    confounds = rng.standard_normal((frames, 6)).cumsum(axis=0)
    confounds /= confounds.std(axis=0)
    signal = rng.standard_normal((frames, rois)) @ maps
    noise = rng.standard_normal((frames, voxels)) * 3
    drifts = confounds @ rng.standard_normal((6, voxels))
    bold = 1000 + 10 * (signal / signal.std() + noise / 3) + 10 * drift * drifts
    return bold.astype(np.float32), maps, confounds


def test_missing_voxels_are_as_maps_cut_to_the_others():
    rng = np.random.default_rng(4)
    bold, maps, confounds = drifting_run(rng, 90, 150, 4, drift=1)
    absent = rng.random(150) < 0.3
    bold[:, absent] = 0
    design = TemporalDesign.build(confounds, list("abcdef"), np.ones(90, bool), 2.0)
    result = one_pass(bold, maps, design, 150)
    plain = plain_connectome(bold[:, ~absent], maps[:, ~absent], confounds)
    np.testing.assert_allclose(result.whole.r[:, ~absent], plain, atol=2e-5)
    assert not result.whole.r[:, absent].any()
    np.testing.assert_array_equal(result.covered, ~absent)
    assert result.coverage == pytest.approx(1 - absent.mean())
    share = np.abs(maps[:, ~absent]).sum(axis=1) / np.abs(maps).sum(axis=1)
    np.testing.assert_allclose(result.roi_coverage, share, rtol=1e-6)


def test_maps_that_add_up_to_a_constant_are_solved_as_by_pinv():
    """A parcellation: demeaned maps are dependent."""
    rng = np.random.default_rng(5)
    label = rng.integers(0, 4, 150)
    maps = (label == np.arange(4)[:, None]).astype(np.float32)
    bold = (100 + rng.standard_normal((80, 4)) @ maps + rng.standard_normal((80, 150))).astype("f4")
    design = TemporalDesign.build(None, [], np.ones(80, bool), 2.0)
    result = one_pass(bold, maps, design, 150)
    np.testing.assert_allclose(result.whole.r, plain_connectome(bold, maps), atol=2e-5)


def test_a_roi_without_covered_voxels_correlates_with_nothing():
    bold, maps, _ = drifting_run(np.random.default_rng(6), 60, 50, 3, drift=0)
    maps[1], maps[1, :5], bold[:, :5] = 0, 1, 0
    design = TemporalDesign.build(None, [], np.ones(60, bool), 2.0)
    result = one_pass(bold, maps, design, 50)
    assert not result.whole.r[1].any()
    assert result.roi_coverage[1] == 0
    assert result.whole.r[0].any()


def test_a_voxel_that_the_confounds_explain_is_undefined():
    bold, maps, confounds = drifting_run(np.random.default_rng(7), 60, 50, 3, drift=0)
    bold[:, 9] = 1000 + 50 * confounds[:, 0]
    design = TemporalDesign.build(confounds, list("abcdef"), np.ones(60, bool), 2.0)
    assert not one_pass(bold, maps, design, 50).whole.r[:, 9].any()


def test_a_roi_that_the_confounds_explain_is_undefined():
    bold, maps, _ = drifting_run(np.random.default_rng(7), 60, 50, 3, drift=0)
    series = plain_series(bold.astype(float), maps)
    design = TemporalDesign.build(series[:, :1], ["roi"], np.ones(60, bool), 2.0)
    result = one_pass(bold, maps, design, 50)
    assert not result.whole.r[0].any()
    assert not result.roi_r[0].any()
    assert result.whole.r[1].any()


def test_agreement_is_the_correlation_of_profiles():
    rng = np.random.default_rng(9)
    odd, even = rng.standard_normal((2, 5, 6))
    expected = [np.corrcoef(one, other)[0, 1] for one, other in zip(odd, even, strict=True)]
    np.testing.assert_allclose(profile_agreement(odd, even), expected)
    np.testing.assert_allclose(profile_agreement(odd, 2 * odd + 1), 1)
    np.testing.assert_allclose(profile_agreement(odd, -odd), -1)
    assert not profile_agreement(odd, np.ones_like(odd)).any()


def test_reliability_is_the_median_over_covered_voxels_and_knows_its_limits():
    bold, maps, _ = drifting_run(np.random.default_rng(8), 200, 150, 4, drift=0)
    bold[:, :40] = 0
    design = TemporalDesign.build(None, [], np.ones(200, bool), 2.0)
    result = one_pass(bold, maps, design, 100)
    agreement = profile_agreement(result.odd.r.T, result.even.r.T)
    np.testing.assert_allclose(result.agreement, agreement, atol=1e-5)
    assert result.reliability == pytest.approx(np.median(agreement[40:]), abs=1e-5)
    assert np.isnan(one_pass(bold, maps[:2], design, 100).reliability)
    assert np.isnan(one_pass(np.zeros_like(bold), maps, design, 100).reliability)


def test_segments_alone_are_the_same_and_hold_no_other_part():
    bold, maps, _ = drifting_run(np.random.default_rng(8), 200, 150, 4, drift=0)
    design = TemporalDesign.build(None, [], np.ones(200, bool), 2.0)
    for seconds, count in ((400.0, 1), (200.0, 2), (130.0, 3)):
        moments = sums(bold, maps, design, 100, seconds=seconds)
        full, lean = run_connectomes(moments), run_connectomes(moments, every_part=False, threads=2)
        assert len(lean.segments) == count
        for one, other in zip(full.segments, lean.segments, strict=True):
            np.testing.assert_array_equal(one.r, other.r)
        np.testing.assert_array_equal(full.agreement, lean.agreement)
        assert (lean.odd, lean.even) == (None, None)
        assert lean.whole is (lean.segments[0] if count == 1 else None)


@pytest.mark.parametrize("form", [MARGINAL, Form("partial")])
def test_voxels_may_be_summed_in_another_order_than_they_are_wanted_in(form):
    rng = np.random.default_rng(9)
    bold, maps, _ = drifting_run(rng, 200, 150, 4, drift=0)
    bold[:, 7] = 1000  # not covered
    design = TemporalDesign.build(None, [], np.ones(200, bool), 2.0)
    order = rng.permutation(100)
    mixed = np.r_[order, 100:150]
    voxels = RunVoxels(maps[:, mixed], 100, np.ones(150, bool), order=order)

    def blocks():
        yield 0, bold[:, mixed].copy()

    found = run_connectomes(measure_run(blocks, design, voxels), form=form)
    expected = run_connectomes(sums(bold, maps, design, 100, size=200), form=form)
    assert not expected.covered[7]
    np.testing.assert_allclose(found.whole.r, expected.whole.r, atol=1e-5)
    for name in ("covered", "agreement", "tsnr"):
        values, wanted = getattr(found, name), getattr(expected, name)
        np.testing.assert_allclose(values, wanted, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("way", ["few columns", "a band"])
def test_residual_dof_of_parts_add_up_to_frames_less_rank(way):
    rng = np.random.default_rng(8)
    bold, maps, confounds = drifting_run(rng, 240, 60, 4, drift=1)
    keep = rng.random(240) < 0.9
    band = stop_band(240, 2.0, high_pass_hz=0.01, low_pass_hz=0.1)
    used = band if way == "a band" else None
    design = TemporalDesign.build(confounds, list("abcdef"), keep, 2.0, stop_band=used)
    result = one_pass(bold, maps, design, 60, seconds=150.0)
    assert len(result.segments) == 3
    assert result.whole.residual_dof == pytest.approx(keep.sum() - design.rank)
    for parts in (result.segments, (result.odd, result.even)):
        total = sum(part.residual_dof for part in parts)
        assert total == pytest.approx(result.whole.residual_dof)


def test_residual_dof_of_runs_cleaned_elsewhere_is_less_by_what_that_took():
    bold, maps, _ = drifting_run(np.random.default_rng(1), 120, 50, 3, drift=0)
    keep = np.ones(120, bool)
    design = TemporalDesign.build(None, [], keep, 2.0)
    result = one_pass(bold, maps, replace(design, lost_before=40.0), 50, seconds=120.0)
    assert result.whole.residual_dof == 79
    assert sum(segment.residual_dof for segment in result.segments) == pytest.approx(79)
    unknown = replace(design, lost_before=np.nan)
    assert np.isnan(one_pass(bold, maps, unknown, 50).whole.residual_dof)
