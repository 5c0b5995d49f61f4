from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest

from bids_dtg.errors import RunError
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import encode_integers, read_mask, read_volume
from bids_dtg.imaging.places import VoxelPlaces

AFFINE = np.array([[-2.0, 0, 0, 6], [0, 2, 0, -8], [0, 0, 2, -4], [0, 0, 0, 1]])
GRID = Grid((5, 6, 4), AFFINE)


def random_mask(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(GRID.shape) < 0.4


def decode(content: bytes) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_bytes(gzip.decompress(content))


def test_the_header_says_where_and_what_the_map_is():
    mask = random_mask()
    image = decode(
        VoxelPlaces.within(GRID, mask).encode(
            np.ones(mask.sum()), intent="z score", description="A z"
        )
    )
    header = image.header
    assert (header["qform_code"], header["sform_code"]) == (4, 4)
    np.testing.assert_allclose(image.get_sform(), AFFINE)
    np.testing.assert_allclose(image.get_qform(), AFFINE, atol=1e-6)
    assert header.get_zooms() == (2, 2, 2)
    assert header.get_xyzt_units()[0] == "mm"
    assert int(header["intent_code"]) == 5
    assert bytes(header["descrip"]).rstrip(b"\0") == b"A z"
    assert header.get_data_dtype() == np.float32


def test_several_maps_make_one_4d_file():
    mask = random_mask()
    values = np.random.default_rng(1).standard_normal((3, mask.sum())).astype(np.float32)
    image = decode(VoxelPlaces.within(GRID, mask).encode(values, intent="correlation"))
    assert image.shape == (5, 6, 4, 3)
    assert image.header.get_xyzt_units() == ("mm", "sec")
    np.testing.assert_array_equal(np.asarray(image.dataobj)[mask].T, values)


def test_equal_maps_give_equal_bytes_without_a_time_stamp():
    mask = random_mask()
    first, second = (VoxelPlaces.within(GRID, mask).encode(np.ones(mask.sum())) for _ in range(2))
    assert first == second
    assert first[4:8] == bytes(4)


@pytest.mark.parametrize("dtype", ["u1", "<i2", ">i2", "<f4", ">f8"])
def test_volumes_of_any_stored_type_are_read(tmp_path, dtype):
    values = np.random.default_rng(2).integers(0, 100, GRID.shape).astype(dtype)
    header = nib.Nifti1Header(endianness=">" if dtype[0] == ">" else "<")
    nib.save(nib.Nifti1Image(values, AFFINE, header, dtype=dtype), tmp_path / "a.nii.gz")
    read, _ = read_volume(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read, values)


def test_scaled_volumes_are_scaled(tmp_path):
    values = np.linspace(-1, 1, GRID.shape[0] * 24).reshape(GRID.shape)
    image = nib.Nifti1Image(values, AFFINE)
    image.set_data_dtype(np.int16)
    nib.save(image, tmp_path / "a.nii")
    read, _ = read_volume(tmp_path / "a.nii")
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, nib.load(tmp_path / "a.nii").get_fdata(), rtol=1e-6)


def test_a_mask_with_a_larger_view_and_flipped_storage_lands_on_the_grid(tmp_path):
    mask = random_mask(3)
    larger = np.pad(mask, ((1, 2), (0, 1), (2, 0)))[::-1]
    origin = AFFINE @ np.array([larger.shape[0] - 1 - 1, 0, -2, 1])
    affine = AFFINE @ np.diag([-1, 1, 1, 1.0])
    affine[:3, 3] = origin[:3]
    nib.save(nib.Nifti1Image(larger.astype(np.uint8), affine), tmp_path / "m.nii.gz")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.nii.gz", GRID), mask)


def test_a_mask_on_another_lattice_is_named(tmp_path):
    path = tmp_path / "m.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((3, 3, 3), np.uint8), np.diag([3, 3, 3, 1.0])), path)
    with pytest.raises(RunError, match=r"m\.nii\.gz has voxels of 3 x 3 x 3 mm"):
        read_mask(path, GRID)


def test_a_truncated_volume_is_named(tmp_path):
    nib.save(nib.Nifti1Image(np.ones(GRID.shape, np.float32), AFFINE), tmp_path / "a.nii")
    cut = tmp_path / "cut.nii"
    cut.write_bytes((tmp_path / "a.nii").read_bytes()[:-8])
    with pytest.raises(RunError, match=r"cut\.nii holds 472 bytes.*Expected: 480"):
        read_volume(cut)


def test_a_wrong_checksum_is_named(tmp_path):
    path = tmp_path / "a.nii.gz"
    whole = bytearray(gzip.compress(nib.Nifti1Image(np.ones((4, 5, 6)), np.eye(4)).to_bytes()))
    whole[-8] ^= 1
    path.write_bytes(whole)
    with pytest.raises(RunError, match="cannot be read"):
        read_volume(path)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16"])
def test_whole_numbers_are_stored_as_they_are_and_scaled_by_the_header(dtype):
    rng = np.random.default_rng(0)
    volume = rng.integers(0, 100, GRID.shape).astype(dtype)
    content = encode_integers(volume, GRID, slope=0.25, description="labels")
    image = decode(content)
    assert image.get_data_dtype() == np.dtype(dtype)
    np.testing.assert_allclose(image.get_fdata(), volume * 0.25)
    np.testing.assert_allclose(image.affine, AFFINE)
    assert content == encode_integers(volume, GRID, slope=0.25, description="labels")
