from __future__ import annotations

import numpy as np
import pytest
from plain_route import clean

from bids_dtg.connectome.connectome import JoinedRuns, run_connectomes
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.form import MARGINAL, PENALTY, Form
from bids_dtg.connectome.moments import RunVoxels, measure_run

PLACES, ROIS = 40, 5
SETS = Form("partial", (2, 3))


def measured(seed, frames, form, *, scatter=True):
    """A run's connectomes, and what cleaning has left of its places, (frames, places)."""
    rng = np.random.default_rng(seed)
    maps = np.random.default_rng(9).random((ROIS, PLACES)).astype(np.float32)
    bold = rng.normal(100 * seed, 1 + seed, (frames, PLACES)).astype(np.float32)
    bold += rng.normal(size=(frames, ROIS)) @ maps
    bold[:, 7] = 3.0 if seed == 1 else bold[:, 7]  # without data in the first run
    confounds = rng.standard_normal((frames, 3))
    design = TemporalDesign.build(confounds, list("abc"), np.ones(frames, bool), 2.0)
    voxels = RunVoxels(
        maps, PLACES, np.ones(PLACES, bool), sets=form.sets, standardised=form.standardised
    )
    moments = measure_run(lambda: (block for block in [(0, bold.copy())]), design, voxels)
    left = clean(bold, confounds)
    left[:, left.std(axis=0) < 1e-4] = 0.0
    return run_connectomes(moments, form=form, scatter=scatter), left


@pytest.mark.parametrize("form", [MARGINAL, Form("partial"), SETS], ids=lambda f: f.title)
def test_joined_runs_have_the_connectome_of_their_frames_behind_each_other(form):
    runs = [measured(seed, frames, form) for seed, frames in ((1, 120), (2, 90), (3, 150))]
    joined = JoinedRuns()
    for run, _ in runs:
        joined.add(run.whole)
    found = joined.connectome()
    series = np.concatenate([run.series - run.series.mean(axis=0) for run, _ in runs])
    places = np.concatenate([left - left.mean(axis=0) for _, left in runs])
    series /= np.linalg.norm(series, axis=0)
    places /= np.linalg.norm(places, axis=0)
    expected, gram = series.T @ places, series.T @ series
    if form.joint:
        of_one_set = np.ones((ROIS, ROIS))
        if form.sets:
            of_one_set[:2, 2:] = of_one_set[2:, :2] = 0
        expected = np.linalg.solve((gram + PENALTY * np.eye(ROIS)) * of_one_set, expected)
        np.testing.assert_allclose(found.roi_r, gram, atol=1e-6)
    np.testing.assert_allclose(found.r, expected, atol=2e-5)
    assert (found.frames, found.seconds) == (360, 720.0)
    assert found.residual_dof == pytest.approx(360 - 12)


def test_halves_are_joined_like_runs():
    run, _ = measured(2, 120, MARGINAL)
    joined = JoinedRuns()
    joined.add(run.odd)
    joined.add(run.even)
    assert np.corrcoef(joined.connectome().r.ravel(), run.whole.r.ravel())[0, 1] > 0.99
    assert np.abs(run.odd.r - run.whole.r).max() > 0.05
