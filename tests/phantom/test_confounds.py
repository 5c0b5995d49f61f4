from __future__ import annotations

import itertools

import numpy as np
import pytest

from bids_dtg.phantom.confounds import SignalRecorder, confounds_table
from bids_dtg.phantom.motion import draw_motion

FRAMES, STEADY = 240, 238


@pytest.fixture(scope="module")
def table(phantom):
    rng = np.random.default_rng(3)
    signals = SignalRecorder(phantom.anatomy)
    signals.add(rng.normal(1000, 10, (FRAMES, phantom.anatomy.brain.sum())).astype(np.float32))
    motion = draw_motion(rng, FRAMES)
    return motion, *confounds_table(motion, signals, non_steady=2, repetition_time_s=1.5)


def test_the_24_motion_columns_are_there_and_what_they_say(table):
    motion, columns, _ = table
    for a, axis in enumerate("xyz"):
        for kind, values in (("trans", motion.translation_mm), ("rot", motion.rotation_rad)):
            name = f"{kind}_{axis}"
            derivative = columns[f"{name}_derivative1"]
            np.testing.assert_array_equal(columns[name], values[:, a])
            np.testing.assert_array_equal(columns[f"{name}_power2"], values[:, a] ** 2)
            assert np.isnan(derivative[0])
            np.testing.assert_array_equal(derivative[1:], np.diff(values[:, a]))
            np.testing.assert_array_equal(
                columns[f"{name}_derivative1_power2"][1:], derivative[1:] ** 2
            )


def test_cosines_are_orthonormal_and_slow(table):
    cosines = np.stack([c for name, c in table[1].items() if name.startswith("cosine")], axis=1)
    assert cosines.shape == (FRAMES, int(2 * STEADY * 1.5 / 128))
    np.testing.assert_array_equal(cosines[:2], 0.0)
    np.testing.assert_allclose(cosines.T @ cosines, np.eye(cosines.shape[1]), atol=1e-12)
    np.testing.assert_allclose(cosines.sum(axis=0), 0.0, atol=1e-12)


def test_only_first_frames_and_derivatives_are_missing(table):
    for name, column in table[1].items():
        assert np.isfinite(column[1:]).all(), name
        led_by_nan = "derivative1" in name or name in {
            *("framewise_displacement", "dvars", "std_dvars"),
        }
        assert np.isnan(column[0]) == led_by_nan, name


def test_outliers_mark_one_frame_each(table):
    motion, columns, _ = table
    steady = [c for name, c in columns.items() if name.startswith("non_steady_state_outlier")]
    np.testing.assert_array_equal(np.stack(steady), np.eye(FRAMES)[:2])
    marked = sum(c for name, c in columns.items() if name.startswith("motion_outlier"))
    moved = motion.framewise_displacement_mm > 0.5
    assert moved.any()
    assert (marked[moved] == 1).all()


def test_components_are_described(table):
    _, columns, sidecar = table
    names = [name for name in columns if name.startswith("a_comp_cor")]
    assert list(sidecar) == names
    assert len(names) == 6
    assert {entry["Mask"] for entry in sidecar.values()} == {"combined"}
    explained = [entry["VarianceExplained"] for entry in sidecar.values()]
    assert explained == sorted(explained, reverse=True)


@pytest.mark.parametrize("cuts", [(0, 17), (0, 1, 5, 17)])
def test_signals_are_those_of_the_whole_run(phantom, cuts):
    anatomy = phantom.anatomy
    frames = np.random.default_rng(0).normal(100, 5, (17, anatomy.brain.sum())).astype(np.float32)
    recorder = SignalRecorder(anatomy)
    for start, end in itertools.pairwise(cuts):
        recorder.add(frames[start:end])
    for column, tissue in enumerate((anatomy.fluid, anatomy.white, anatomy.brain)):
        expected = frames[:, tissue[anatomy.brain]].mean(axis=1)
        np.testing.assert_allclose(recorder.tissue_means[:, column], expected, rtol=1e-5)
    expected = np.sqrt((np.diff(frames, axis=0) ** 2).mean(axis=1))
    np.testing.assert_allclose(recorder.dvars[1:], expected, rtol=1e-4)
    assert np.isnan(recorder.dvars[0])
    assert recorder.sample.shape[0] == 17
