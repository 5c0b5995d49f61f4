"""Series at grayordinates: as nibabel reads them, whatever their type, length and order."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from cifti_people import brain_models, save_maps, save_series, tiny_series

from bids_dtg.errors import RunError
from bids_dtg.imaging.surfaces.dtseries import read_series_header, stream_series

AXIS = brain_models()


def read(path, rows, frames_per_block=64):
    header = read_series_header(path)
    blocks = [
        (first, block.copy()) for first, block in stream_series(header, rows, frames_per_block)
    ]
    assert [first for first, _ in blocks] == list(range(0, header.frames, frames_per_block))
    return np.concatenate([block for _, block in blocks])


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<i2"])
def test_values_are_those_of_nibabel(tmp_path, dtype):
    path = save_series(tmp_path / "a.dtseries.nii", tiny_series(len(AXIS), 70).astype(dtype), AXIS)
    header = read_series_header(path)
    assert (header.frames, header.dtype, header.time.seconds) == (70, np.dtype(dtype), 10.0)
    assert header.places.axis == AXIS
    expected = nib.load(path).get_fdata(dtype=np.float32)
    np.testing.assert_array_equal(read(path, np.arange(len(AXIS))), expected)
    rows = np.random.default_rng(0).permutation(len(AXIS))[:33]
    np.testing.assert_array_equal(read(path, rows, 16), expected[:, rows])


def test_scaled_integers(tmp_path):
    path = save_series(tmp_path / "a.dtseries.nii", np.arange(480).reshape(3, 160) % 99, AXIS)
    content = bytearray(path.read_bytes())
    header = nib.Nifti2Header(bytes(content[:540]))
    header["scl_slope"], header["scl_inter"] = 0.5, -3.0
    content[:540] = header.binaryblock
    path.write_bytes(bytes(content))
    found = read(path, np.arange(160))
    np.testing.assert_allclose(found, (np.arange(480).reshape(3, 160) % 99) * 0.5 - 3.0)
    np.testing.assert_allclose(found, nib.load(path).get_fdata())


def test_a_long_run_is_read_in_parts_and_memory_is_bounded(tmp_path):
    values = tiny_series(len(AXIS), 90)
    path = save_series(tmp_path / "a.dtseries.nii", values, AXIS)
    header = read_series_header(path)
    most = 4 * 40 * 160  # of 40 frames
    blocks = list(stream_series(header, np.arange(160), 16, most_bytes=most))
    assert [len(block) for _, block in blocks] == [16, 14] * 3
    np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), values)


def test_files_that_are_no_run_are_one_line(tmp_path):
    path = save_series(tmp_path / "a.dtseries.nii", tiny_series(len(AXIS), 9), AXIS)
    content = path.read_bytes()
    for length, message in (
        (300, "cannot be read"),
        (2000, "cannot be read"),
        (len(content) - 4, rf"{len(content) - 4} bytes of {len(content)}\. Expected: the whole"),
    ):
        path.write_bytes(content[:length])
        with pytest.raises(RunError, match=message):
            read_series_header(path)
    maps = save_maps(tmp_path / "maps.dtseries.nii", np.ones((1, len(AXIS))), AXIS)
    with pytest.raises(RunError, match=r"has a ScalarAxis of 1\. Expected: a run"):
        read_series_header(maps)
    volume = tmp_path / "volume.dtseries.nii"
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2)), np.eye(4)), tmp_path / "v.nii")
    volume.write_bytes((tmp_path / "v.nii").read_bytes())
    with pytest.raises(RunError, match=r"volume\.dtseries\.nii cannot be read"):
        read_series_header(volume)
    one = save_series(tmp_path / "one.dtseries.nii", np.ones((1, len(AXIS)), "f4"), AXIS)
    with pytest.raises(RunError, match="has a SeriesAxis of 1"):
        read_series_header(one)
    with pytest.raises(RunError, match=r"gone\.dtseries\.nii"):
        read_series_header(tmp_path / "gone.dtseries.nii")


def test_a_mesh_that_is_not_fslr(tmp_path):
    axis = nib.cifti2.BrainModelAxis.from_surface(np.arange(9), 10_242, "cortex_left")
    path = save_series(tmp_path / "a.dtseries.nii", np.ones((4, 9), "f4"), axis)
    with pytest.raises(RunError, match="a mesh of 10242 vertices, fsLR's has 32492"):
        read_series_header(path)


def test_a_file_cut_after_its_header_was_read(tmp_path):
    path = save_series(tmp_path / "a.dtseries.nii", tiny_series(len(AXIS), 9), AXIS)
    header = read_series_header(path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(RunError, match=r"a\.dtseries\.nii ends early"):
        list(stream_series(header, np.arange(len(AXIS))))
