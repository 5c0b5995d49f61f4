from __future__ import annotations

import itertools
from collections import defaultdict

import nibabel as nib
import numpy as np
import pytest

from bids_dtg.phantom.anatomy import load_anatomy
from bids_dtg.phantom.run import (
    confounds_table,
    draw_motion,
    encode_bold,
    encode_mask,
    framewise_displacement_mm,
    recording_signals,
)


@pytest.fixture(scope="module")
def anatomy():
    return load_anatomy(1)


def test_a_run_reads_back_within_half_a_step(anatomy, tmp_path):
    rng = np.random.default_rng(0)
    frames = rng.uniform(0, 3000, (3, anatomy.brain.sum())).astype(np.float32)
    arguments = {"frames": 3, "repetition_time_s": 0.72}
    data = encode_bold([frames[:2], frames[2:]], anatomy, **arguments)
    assert data == encode_bold([frames], anatomy, **arguments)
    path = tmp_path / "bold.nii.gz"
    path.write_bytes(data)
    image = nib.load(path)
    assert image.shape == (91, 109, 91, 3)
    assert image.get_data_dtype() == np.int16
    assert image.header.get_zooms()[3] == pytest.approx(0.72)
    assert bytes(image.header["descrip"]).startswith(b"SIMULATED")
    assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (4, 4)
    # The model grid's first voxel, in mm, is where the full field of view has it.
    corner = np.linalg.inv(image.affine) @ [*anatomy.grid.affine[:3, 3], 1]
    np.testing.assert_allclose(corner[:3], (7, 9, 0))
    volume = np.asarray(image.dataobj)
    inside = volume[7:83, 9:102, 0:78]
    assert np.abs(inside[anatomy.brain].T - frames).max() <= 1.0 + 1e-3
    volume[7:83, 9:102, 0:78][anatomy.brain] = 0
    assert not volume.any()


def test_a_mask_reads_back(anatomy, tmp_path):
    path = tmp_path / "mask.nii.gz"
    path.write_bytes(encode_mask(anatomy))
    volume = np.asarray(nib.load(path).dataobj)
    assert volume.dtype == np.uint8
    np.testing.assert_array_equal(volume[7:83, 9:102, 0:78], anatomy.brain)
    assert volume.sum() == anatomy.brain.sum()


def test_coarser_voxels_are_written_on_their_own_grid(tmp_path):
    coarse = load_anatomy(4)
    frames = np.full((2, coarse.brain.sum()), 1000, np.float32)
    path = tmp_path / "bold.nii.gz"
    path.write_bytes(encode_bold([frames], coarse, frames=2, repetition_time_s=1.5))
    image = nib.load(path)
    np.testing.assert_array_equal(image.affine, coarse.grid.affine)
    np.testing.assert_allclose(image.header.get_zooms(), (8, 8, 8, 1.5))
    np.testing.assert_array_equal(image.get_fdata()[..., 1], 1000 * coarse.brain)


FRAMES, STEADY = 240, 238


@pytest.fixture(scope="module")
def table(phantom):
    rng = np.random.default_rng(3)
    frames = rng.normal(1000, 10, (FRAMES, phantom.anatomy.brain.sum())).astype(
        np.float32
    )
    signals = signals_of([frames], phantom.anatomy)
    motion, _ = draw_motion(rng, FRAMES)
    return motion, *confounds_table(motion, signals, 1.5)


def signals_of(blocks, anatomy):
    signals = defaultdict(list)
    assert len([*recording_signals(blocks, anatomy, signals)]) == len(blocks)
    return signals


def test_the_24_motion_columns_are_there_and_what_they_say(table):
    motion, columns, _ = table
    for a, axis in enumerate("xyz"):
        for kind, values in zip(("trans", "rot"), np.hsplit(motion, 2), strict=True):
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
    cosines = np.stack(
        [c for name, c in table[1].items() if name.startswith("cosine")], axis=1
    )
    assert cosines.shape == (FRAMES, int(2 * STEADY * 1.5 / 128))
    np.testing.assert_array_equal(cosines[:2], 0.0)
    np.testing.assert_allclose(
        cosines.T @ cosines, np.eye(cosines.shape[1]), atol=1e-12
    )
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
    steady = [
        c for name, c in columns.items() if name.startswith("non_steady_state_outlier")
    ]
    np.testing.assert_array_equal(np.stack(steady), np.eye(FRAMES)[:2])
    marked = sum(c for name, c in columns.items() if name.startswith("motion_outlier"))
    moved = framewise_displacement_mm(motion) > 0.5
    assert moved.any()
    assert (marked[moved] == 1).all()


@pytest.mark.parametrize("cuts", [(0, 17), (0, 1, 5, 17)])
def test_signals_are_those_of_the_whole_run(phantom, cuts):
    anatomy = phantom.anatomy
    frames = (
        np.random.default_rng(0)
        .normal(100, 5, (17, anatomy.brain.sum()))
        .astype(np.float32)
    )
    blocks = [frames[start:end] for start, end in itertools.pairwise(cuts)]
    signals = {
        name: np.concatenate(parts)
        for name, parts in signals_of(blocks, anatomy).items()
    }
    for column, tissue in enumerate((anatomy.fluid, anatomy.white, anatomy.brain)):
        expected = frames[:, tissue[anatomy.brain]].mean(axis=1)
        np.testing.assert_allclose(signals["means"][:, column], expected, rtol=1e-5)
    expected = (np.diff(frames, axis=0) ** 2).mean(axis=1)
    np.testing.assert_allclose(signals["changes"], [0, *expected], rtol=2e-4)
    assert signals["voxels"].shape[0] == 17


def test_framewise_displacement_adds_up_shifts_and_turns_at_50_mm():
    shifts = np.array([[0.0, 0, 0], [0.1, -0.2, 0], [0.1, -0.2, 0]])
    turns = np.array([[0.0, 0, 0], [0, 0, 0], [0, 0.002, -0.001]])
    fd = framewise_displacement_mm(np.hstack([shifts, turns]))
    assert np.isnan(fd[0])
    np.testing.assert_allclose(fd[1:], [0.3, 0.15])


def test_heads_move_little_but_for_jerks():
    runs = [draw_motion(np.random.default_rng(seed), 300) for seed in range(30)]
    moved = [(framewise_displacement_mm(motion), jerks) for motion, jerks in runs]
    jerked = np.concatenate([fd[jerks] for fd, jerks in moved])
    still = [np.delete(fd, [0, *jerks, *(jerks + 1) % 300]) for fd, jerks in moved]
    assert 0.05 < np.median(np.concatenate(still)) < 0.3
    assert np.nanmin(jerked) > 0.3
    assert 30 < len(jerked) < 180  # expected: 108
