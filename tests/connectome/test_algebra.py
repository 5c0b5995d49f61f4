"""ROI series of places that are standardised in time, from one pass."""

from __future__ import annotations

import errno
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_route import clean, correlate, plain_series, regress
from tiny_bundle import write_tiny_bundle

from bids_dtg import measure_array
from bids_dtg.connectome import moments
from bids_dtg.connectome.connectome import cleaned_courses, run_connectomes
from bids_dtg.connectome.design import Removal, Retention, TemporalDesign
from bids_dtg.connectome.form import MARGINAL, PENALTY, Form
from bids_dtg.connectome.moments import RunVoxels, measure_run

VOXELS, GREY, SETS, TR = 210, 140, (2, 3), 2.0
FORM = Form("partial", SETS)


def example(seed, frames, *, spread=30.0):
    """BOLD whose voxels differ in their sd up to so many times, maps, confounds, frames kept."""
    rng = np.random.default_rng(seed)
    maps = np.abs(rng.standard_normal((sum(SETS), VOXELS))).astype(np.float32)
    confounds = rng.standard_normal((frames, 3)).cumsum(axis=0)
    confounds /= confounds.std(axis=0)
    bold = rng.standard_normal((frames, len(maps))) @ maps + rng.standard_normal((frames, VOXELS))
    bold += 2 * confounds @ rng.standard_normal((3, VOXELS))
    bold *= spread ** rng.random(VOXELS)
    return (1000 + bold).astype(np.float32), maps, confounds, rng.random(frames) < 0.9


def one_pass(bold, maps, design, *, way=None, size=32, form=FORM, brain=None):
    def blocks():
        block = np.empty((size, VOXELS), np.float32)
        for first in range(0, len(bold), size):
            held = block[: len(bold) - first]  # the memory of the block before
            held[:] = bold[first : first + size]
            yield first, held

    voxels = RunVoxels(
        maps,
        GREY,
        np.ones(VOXELS, bool),
        brain=brain,
        sets=form.sets,
        standardised=form.standardised,
    )
    cleaning = None if way is None else way.of(design)
    return run_connectomes(measure_run(blocks, design, voxels, cleaning=cleaning), form=form)


def assert_as_arrays(found, cleaned, scaled, maps, *, atol=2e-5):
    """Compare with a plain route: each set by itself, of grey-matter voxels times a scale."""
    first = 0
    for rois in SETS:
        rows = slice(first, first + rois)
        live = scaled.any(axis=0)
        series = plain_series(scaled[:, live], maps[rows, :GREY][:, live])
        expected = regress(cleaned, series, PENALTY)
        np.testing.assert_allclose(found.whole.r[rows], expected, atol=atol)
        first += rois


@pytest.mark.parametrize("way", [Removal, Retention])
@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10**6), st.integers(20, 400), st.sampled_from([16, 32, 50]))
def test_places_are_standardised_by_the_sd_of_all_kept_frames(way, seed, frames, size):
    bold, maps, confounds, keep = example(seed, frames)
    bold[:, 7] = 1000  # has no sd
    bold[:, 8] = 1000 + 5 * confounds[:, 0]  # has none after cleaning
    bold[: frames // 2, 9] = 1000  # varies later only
    design = TemporalDesign.build(confounds, list("abc"), keep, TR)
    found = one_pass(bold, maps, design, way=way, size=size)
    cleaned = clean(bold[keep][:, :GREY].astype(float), confounds[keep])
    cleaned[:, [7, 8]] = 0
    sd = cleaned.std(axis=0)
    assert_as_arrays(found, cleaned, cleaned / np.where(sd > 0, sd, 1), maps)
    assert not found.whole.r[:, [7, 8]].any()


@pytest.mark.parametrize("frames", [90, 400])
def test_an_array_is_standardised_as_by_numpy(tmp_path, frames):
    bundle = write_tiny_bundle(tmp_path / "model", connectome=Form("partial"))
    rng = np.random.default_rng(frames)
    bold = rng.standard_normal((*bundle.grid.shape, frames)) * 30 ** rng.random(bundle.grid.shape)[
        ..., None
    ] + np.linspace(900, 1000, frames)
    confounds, keep = rng.standard_normal((frames, 4)), rng.random(frames) < 0.9
    found = measure_array(
        *(bold, bundle.grid.affine, bundle),
        repetition_time_s=2.0,
        confounds=confounds,
        keep=keep,
    )
    cleaned = clean(bold[bundle.voxels.mask].T[keep], confounds[keep])
    inside = bundle.brain_voxels.mask[bundle.voxels.mask]
    scaled = (cleaned / cleaned.std(axis=0))[:, inside]
    series = plain_series(scaled, bundle.place_roi_maps[:, inside])
    np.testing.assert_allclose(found.r, regress(cleaned, series, PENALTY), atol=1e-5)


def test_without_room_for_frames_it_is_said_what_to_do(monkeypatch):
    class Full(io.BytesIO):
        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(moments, "SpooledTemporaryFile", lambda _: Full())
    bold, maps, *_ = example(1, 50)
    design = TemporalDesign.build(None, [], np.ones(50, bool), TR)
    with pytest.raises(ValueError, match=r"No space left on device\. To do: set TMPDIR"):
        one_pass(bold, maps, design)


@pytest.mark.parametrize("way", [Removal, Retention])
@pytest.mark.parametrize("form", [MARGINAL, FORM])
def test_grey_matter_outside_the_brain_has_a_connectome_and_no_part_in_the_series(way, form):
    bold, maps, confounds, _ = example(8, 60 if form is FORM else 150, spread=1.0)
    brain = np.arange(VOXELS) >= 12
    maps[:, ~brain] = 0
    design = TemporalDesign.build(confounds, list("abc"), np.ones(len(bold), bool), TR)
    found = one_pass(bold, maps, design, way=way, form=form, brain=brain)
    alone = np.where(brain, bold, np.nan).astype(np.float32)
    without = one_pass(alone, maps, design, way=way, form=form)
    assert found.covered.all()
    np.testing.assert_allclose(found.series, without.series, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.whole.r[:, 12:], without.whole.r[:, 12:], atol=1e-5)
    if form is MARGINAL:
        expected = correlate(clean(bold[:, :12].astype(float), confounds), found.series)
        np.testing.assert_allclose(found.whole.r[:, :12], expected, atol=1e-5)
    assert np.abs(found.whole.r[:, :12]).max() > 0.1


@pytest.mark.parametrize(("frames", "most"), [(150, 40), (150, 149), (60, 300)])
def test_courses_of_a_long_run_are_means_of_cleaned_frames(frames, most):
    """Means of frames in a row, times the root of their number: the variance of noise is kept."""
    bold, _, confounds, keep = example(6, frames)
    bold[:, 3] = 1000
    design = TemporalDesign.build(confounds, list("abc"), keep, TR)
    cleaning = Retention.of(design, most)

    def blocks():
        yield 0, bold.copy()

    order = np.random.default_rng(1).permutation(GREY)
    no_maps = np.zeros((0, VOXELS), np.float32)
    voxels = RunVoxels(no_maps, GREY, np.ones(VOXELS, bool), order=order)
    found = cleaned_courses(measure_run(blocks, design, voxels, cleaning=cleaning))
    cleaned = clean(bold[keep][:, :GREY].astype(float), confounds[keep])
    if len(cleaned) > most:
        edges = np.rint(np.linspace(0, len(cleaned), most + 1)).astype(int)
        parts = np.split(cleaned, edges[1:-1])
        cleaned = np.stack([part.sum(axis=0) / len(part) ** 0.5 for part in parts])
    assert found.shape == (GREY, len(cleaned))
    expected = np.empty_like(cleaned.T)
    expected[order] = cleaned.T
    np.testing.assert_allclose(found, expected, atol=2e-4 * cleaned.std())
    assert not found[order[3]].any()
