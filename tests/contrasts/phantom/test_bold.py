from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.connectome import voxel_to_roi
from bids_dtg.contrasts.phantom.bold import draw_run
from bids_dtg.phantom.confounds import SignalRecorder, confounds_table
from bids_dtg.phantom.streams import Cohort

SIMPLE = ("trans_", "rot_", "cosine")


def recorded(run):
    """Return the run's frames, and its columns of confounds with 0 for n/a."""
    signals, blocks = SignalRecorder(run.anatomy), []
    for block in run.blocks():
        signals.add(block)
        blocks.append(block)
    columns, _ = confounds_table(
        run.motion,
        signals,
        non_steady=run.non_steady,
        repetition_time_s=run.repetition_time_s,
    )
    return np.concatenate(blocks), {name: np.nan_to_num(c) for name, c in columns.items()}


@pytest.fixture(scope="module")
def person(phantom):
    return phantom.person(Cohort.DEMO, 0)


def test_a_run_has_its_frames_and_is_the_same_again(person):
    one, again = (np.concatenate(list(draw_run(person, 70, 1.5).blocks())) for _ in range(2))
    assert one.shape == (70, person.phantom.anatomy.brain.sum())
    assert one.dtype == np.float32
    np.testing.assert_array_equal(one, again)
    other = np.concatenate(list(draw_run(person, 70, 1.5, run=1).blocks()))
    assert not np.allclose(one, other)


@pytest.mark.parametrize("repetition_time_s", [0.8, 1.5])
def test_neighbouring_frames_are_correlated(person, repetition_time_s):
    run = draw_run(person, 600, repetition_time_s)
    for values in (run.series, run.noise.reshape(600, -1)):
        lagged = (values[1:] * values[:-1]).mean() / (values**2).mean()
        assert lagged == pytest.approx(np.exp(-repetition_time_s / 2.2), abs=0.05)
    assert run.noise.var() == pytest.approx(1.0, abs=0.02)


def test_the_first_frames_are_brighter(person):
    frames = np.concatenate(list(draw_run(person, 60, 1.5).blocks()))
    brightness = frames.mean(axis=1)
    assert brightness[0] > brightness[1] > brightness[2:].max()


def test_the_mean_image_looks_like_bold(person):
    frames = np.concatenate(list(draw_run(person, 200, 1.5).blocks()))[2:]
    tsnr = frames.mean(axis=0) / frames.std(axis=0)
    assert 800 < frames.mean() < 1300
    assert 30 < np.median(tsnr) < 120
    # int16 with a step of 0.5 holds it.
    assert frames.min() > 0
    assert frames.max() < 16000


@pytest.mark.slow
def test_cleaning_recovers_the_person_s_connectome(person):
    phantom = person.phantom
    frames, columns = recorded(draw_run(person, 300, 1.5))
    maps = np.zeros((50, frames.shape[1]), np.float32)
    maps[:, phantom.anatomy.grey_in_brain] = phantom.roi_maps
    keep = np.arange(300) >= 2
    nuisance = np.stack([c for name, c in columns.items() if name.startswith(SIMPLE)], axis=1)
    expected = person.segments(4).mean(axis=0)

    def similarity(confounds):
        connectome = voxel_to_roi(frames, maps, confounds, keep)[:, phantom.anatomy.grey_in_brain]
        return np.corrcoef(connectome.ravel(), expected.ravel())[0, 1]

    # As close as a segment without any nuisance is, but for the frames' correlation in time.
    ideal = np.corrcoef(person.connectome(0, 4).ravel(), expected.ravel())[0, 1]
    assert similarity(nuisance) > ideal - 0.06
    assert similarity(nuisance) > similarity(None) + 0.05
