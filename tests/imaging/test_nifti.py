"""NIfTI files: what a header says, volumes in, and maps out as bytes."""

from __future__ import annotations

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_dtg.errors import RunError
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import (
    encode_integers,
    lies_on_lattice,
    read_header,
    read_mask,
    read_volume,
)
from bids_dtg.imaging.places import VoxelPlaces

AFFINE = np.array([[-2.0, 0, 0, 6], [0, 2, 0, -8], [0, 0, 2, -4], [0, 0, 0, 1]])
GRID = Grid((5, 6, 4), AFFINE)
MASK = np.random.default_rng(0).random(GRID.shape) < 0.4
PLACES = VoxelPlaces.within(GRID, MASK)


def decode(content: bytes) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_bytes(gzip.decompress(content))


# --- where voxels lie: two forms that may contradict each other


def write_forms(path: Path, sform, s_code: int, qform, q_code: int) -> Path:
    image = nib.Nifti1Image(np.zeros((10, 12, 9, 5), np.int16), AFFINE)
    image.set_sform(sform, s_code)
    image.set_qform(qform, q_code)
    nib.save(image, path)
    return path


def moved(millimetres: float) -> np.ndarray:
    affine = AFFINE.copy()
    affine[1, 3] += millimetres
    return affine


MIRRORED = AFFINE @ np.diag([-1.0, 1, 1, 1])


@pytest.mark.parametrize(
    ("sform", "s_code", "qform", "q_code", "wanted", "apart"),
    [
        (AFFINE, 4, AFFINE, 4, AFFINE, 0),
        (
            AFFINE,
            4,
            moved(0.9),
            4,
            AFFINE,
            0,
        ),  # less than half a voxel: rounding, not meaning
        (AFFINE, 4, moved(30), 1, AFFINE, 30),  # the qform is that of the scanner
        (AFFINE, 4, moved(30), 0, AFFINE, 0),
        (AFFINE, 0, moved(30), 1, moved(30), 0),
    ],
)
def test_the_sform_is_used_where_it_has_a_code(
    tmp_path, sform, s_code, qform, q_code, wanted, apart
):
    header = read_header(write_forms(tmp_path / "a.nii", sform, s_code, qform, q_code))
    np.testing.assert_allclose(header.affine, wanted, atol=1e-5)
    assert header.forms_differ_mm == pytest.approx(apart, abs=1e-4)


@pytest.mark.parametrize(
    ("sform", "s_code", "qform", "q_code", "fact"),
    [
        (AFFINE, 4, MIRRORED, 4, "contradicts itself"),
        (AFFINE, 4, MIRRORED, 1, "contradicts itself"),
        (AFFINE, 1, moved(30), 1, "its sform and qform put a voxel 30 mm apart"),
        (AFFINE, 0, AFFINE, 0, "does not state the positions of its voxels"),
        (np.diag([1e38, 2, 2, 1]), 4, AFFINE, 0, r"has an affine with 1e\+38 mm"),
        (moved(1e38), 4, AFFINE, 0, r"has an affine with 1e\+38 mm"),
    ],
)
def test_contradictions_are_refused(tmp_path, sform, s_code, qform, q_code, fact):
    with pytest.raises(RunError, match=rf"a\.nii\.gz.*{fact}"):
        read_header(write_forms(tmp_path / "a.nii.gz", sform, s_code, qform, q_code))


def test_what_nibabel_says_of_a_header_names_the_file_once(tmp_path, capfd):
    path = write_forms(tmp_path / "a.nii", AFFINE, 4, AFFINE, 0)
    content = bytearray(path.read_bytes())
    content[80:84] = bytes(4)  # the first size of a voxel
    path.write_bytes(content)
    for _ in range(2):
        read_header(path)
    (line,) = capfd.readouterr().err.splitlines()
    assert f"{path}: nibabel says: pixdim[1,2,3] should be non-zero" in line


def test_only_voxels_that_coincide_lie_on_the_grid(tmp_path):
    path, half_shifted = tmp_path / "a.nii", Grid((3, 3, 3), moved(0.5))
    nib.save(nib.Nifti1Image(np.zeros((10, 12, 9, 5), np.int16), AFFINE), path)
    assert (lies_on_lattice(path, GRID), lies_on_lattice(path, half_shifted)) == (
        True,
        False,
    )
    path.write_bytes(b"damaged")
    assert not lies_on_lattice(path, GRID)


# --- out


def test_the_header_says_where_and_what_the_map_is():
    facts = {"intent": "z score", "description": "A z", "facts": {"Of": "ü"}}
    image = decode(PLACES.encode(np.ones(MASK.sum()), **facts))
    header = image.header
    assert (header["qform_code"], header["sform_code"]) == (4, 4)
    np.testing.assert_allclose(image.get_sform(), AFFINE)
    np.testing.assert_allclose(image.get_qform(), AFFINE, atol=1e-6)
    assert header.get_zooms() == (2, 2, 2)
    assert header.get_xyzt_units()[0] == "mm"
    assert int(header["intent_code"]) == 5
    assert bytes(header["descrip"]).rstrip(b"\0") == b"A z"
    assert json.loads(header.extensions[0].text) == {"Of": "ü"}
    assert header.get_data_dtype() == np.float32


def test_several_maps_make_one_4d_file_without_a_time_stamp():
    values = (
        np.random.default_rng(1).standard_normal((3, MASK.sum())).astype(np.float32)
    )
    content = PLACES.encode(values, intent="correlation")
    image = decode(content)
    assert image.shape == (5, 6, 4, 3)
    assert image.header.get_xyzt_units() == ("mm", "sec")
    np.testing.assert_array_equal(np.asarray(image.dataobj)[MASK].T, values)
    assert content == PLACES.encode(values, intent="correlation")
    assert content[4:8] == bytes(4)


def test_threads_and_what_memory_held_before_change_no_byte():
    volume = np.random.default_rng(2).standard_normal((60, 60, 60)).round(2)
    places = VoxelPlaces.within(Grid(volume.shape, AFFINE), volume > -1)
    values = volume[volume > -1].astype(np.float32)

    def encoded(number: int) -> bytes:
        junk = np.random.default_rng(number).bytes(100_000 * (1 + number))
        del junk  # its memory is taken again
        return places.encode(values)

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(encoded, range(8)))) == 1


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16"])
@pytest.mark.parametrize("quick", [False, True])
def test_whole_numbers_are_stored_as_they_are_and_scaled_by_the_header(dtype, quick):
    volume = np.random.default_rng(0).integers(0, 100, GRID.shape).astype(dtype)
    content = encode_integers(
        volume, GRID, slope=0.25, quick=quick, description="labels"
    )
    image = decode(content)
    assert image.get_data_dtype() == np.dtype(dtype)
    np.testing.assert_allclose(image.get_fdata(), volume * 0.25)
    np.testing.assert_allclose(image.affine, AFFINE)


# --- in


@pytest.mark.parametrize("dtype", ["u1", "<i2", ">i2", "<f4", ">f8"])
def test_volumes_of_any_stored_type_are_read(tmp_path, dtype):
    values = np.random.default_rng(2).integers(0, 100, GRID.shape).astype(dtype)
    header = nib.Nifti1Header(endianness=">" if dtype[0] == ">" else "<")
    nib.save(
        nib.Nifti1Image(values, AFFINE, header, dtype=dtype), tmp_path / "a.nii.gz"
    )
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii.gz")[0], values)


def test_scaled_volumes_are_scaled(tmp_path):
    image = nib.Nifti1Image(np.linspace(-1, 1, MASK.size).reshape(GRID.shape), AFFINE)
    image.set_data_dtype(np.int16)
    nib.save(image, tmp_path / "a.nii")
    volume, _ = read_volume(tmp_path / "a.nii")
    assert volume.dtype == np.float32
    np.testing.assert_allclose(
        volume, nib.load(tmp_path / "a.nii").get_fdata(), rtol=1e-6
    )


def test_a_mask_with_a_larger_view_and_flipped_storage_lands_on_the_grid(tmp_path):
    larger = np.pad(MASK, ((1, 2), (0, 1), (2, 0)))[::-1]
    origin = AFFINE @ np.array([larger.shape[0] - 1 - 1, 0, -2, 1])
    affine = AFFINE @ np.diag([-1, 1, 1, 1.0])
    affine[:3, 3] = origin[:3]
    nib.save(nib.Nifti1Image(larger.astype(np.uint8), affine), tmp_path / "m.nii.gz")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.nii.gz", GRID), MASK)


def test_files_that_cannot_be_used_are_named(tmp_path):
    path = tmp_path / "m.nii.gz"
    nib.save(
        nib.Nifti1Image(np.ones((3, 3, 3), np.uint8), np.diag([3, 3, 3, 1.0])), path
    )
    with pytest.raises(RunError, match=r"m\.nii\.gz has voxels of 3 x 3 x 3 mm"):
        read_mask(path, GRID)
    content = nib.Nifti1Image(np.ones(GRID.shape, np.float32), AFFINE).to_bytes()
    path.write_bytes(gzip.compress(content[:-8]))
    with pytest.raises(RunError, match=r"m\.nii\.gz holds 472 bytes.*Expected: 480"):
        read_volume(path)
    wrong_checksum = bytearray(gzip.compress(content))
    wrong_checksum[-8] ^= 1
    path.write_bytes(wrong_checksum)
    with pytest.raises(RunError, match=r"m\.nii\.gz cannot be read"):
        read_volume(path)
