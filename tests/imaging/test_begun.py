"""A file that was begun gives the blocks of one that was not, or is not used."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_dtg.engine.head_start import begun, head_start
from bids_dtg.engine.machine import available_cores
from bids_dtg.errors import RunError
from bids_dtg.imaging.begun import WHOLE_FRAMES, inflate, read_plain_header, read_plain_mask
from bids_dtg.imaging.bold import read_bold_header, stream_voxels
from bids_dtg.imaging.sampling import LatticeSampling

pytestmark = pytest.mark.skipif(available_cores() < 2, reason="one core: nothing is begun")
AFFINE = np.array([[-2.0, 0, 0, 6], [0, 2, 0, -8], [0, 0, 2, -4], [0, 0, 0, 1]])
WANTED = np.array([7, 3, 0, 29])
COVERED = np.array([True, True, False, True])
FRAMES = 75


def write(path: Path, dtype: str = "<i2", frames: int = FRAMES) -> Path:
    values = np.random.default_rng(1).integers(0, 120, (5, 3, 2, frames)).astype(dtype)
    image = nib.Nifti1Image(values, AFFINE, dtype=values.dtype)
    image.header.set_slope_inter(0.5, 10)
    nib.save(image, path)
    return path


def read(path: Path, wanted=WANTED, watched=8) -> tuple[list, int]:
    """Return the blocks, and how many frames passed by whole."""
    seen = []
    blocks = stream_voxels(
        read_bold_header(path),
        LatticeSampling(wanted, COVERED),
        20,
        watch=lambda first, stored: seen.append((first, len(stored))),
        watched=watched,
    )
    found = [(first, block.copy()) for first, block in blocks]
    assert [first for first, _ in seen] == list(np.cumsum([0, *(n for _, n in seen)]))[:-1]
    return found, sum(number for _, number in seen)


def same(found: list, expected: list) -> bool:
    return len(found) == len(expected) and all(
        a[0] == b[0] and np.array_equal(a[1], b[1]) for a, b in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("dtype", ["<i2", "<u2", "<f4", "|u1"])
@pytest.mark.parametrize("frames", [WHOLE_FRAMES, WHOLE_FRAMES + 1, FRAMES])
def test_blocks_are_those_of_a_file_that_was_not_begun(tmp_path, dtype, frames):
    path = write(tmp_path / "bold.nii.gz", dtype, frames)
    expected, whole = read(path)
    assert whole == frames
    with head_start(partial(inflate, path=path, wanted=WANTED)):
        found, whole = read(path)
        assert whole == WHOLE_FRAMES
        assert same(found, expected)
        again, whole = read(path)  # a file that is read a second time is read here
        assert whole == frames
        assert same(again, expected)


@pytest.mark.parametrize("differs", ["voxels", "watched", "file", "path"])
def test_what_is_not_as_it_was_begun_is_read_anew(tmp_path, differs):
    path = write(tmp_path / "bold.nii.gz")
    other = write(tmp_path / "other.nii.gz") if differs == "path" else path
    wanted = WANTED[::-1] if differs == "voxels" else WANTED
    expected, _ = read(path, wanted)
    with head_start(partial(inflate, path=other, wanted=WANTED)):
        if differs == "file":
            begun().claim(lambda facts: False)  # it has looked at the file
            os.utime(path, (1, 1))
        found, whole = read(path, wanted, WHOLE_FRAMES + 1 if differs == "watched" else 8)
    assert whole == FRAMES
    assert same(found, expected)


@pytest.mark.parametrize("cut", [1, 6, 400])
def test_damage_is_said_as_of_a_file_that_was_not_begun(tmp_path, cut):
    path = write(tmp_path / "bold.nii.gz")
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(RunError, match=r"bold.nii.gz (is damaged|ends at frame)") as expected:
        read(path)
    with (
        head_start(partial(inflate, path=path, wanted=WANTED)),
        pytest.raises(RunError, match=r"bold.nii.gz (is damaged|ends at frame)") as found,
    ):
        read(path)
    assert str(found.value) == str(expected.value)


def test_header_and_mask_of_a_usual_file_are_as_others_read_them(tmp_path):
    path = write(tmp_path / "bold.nii.gz")
    plain, header = read_plain_header(path), read_bold_header(path)
    assert (plain.shape, plain.dtype, plain.offset) == (header.shape, header.dtype, header.offset)
    np.testing.assert_array_equal(plain.affine, header.affine)
    mask = np.arange(30).reshape(5, 3, 2) % 3 == 0
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), AFFINE), tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(read_plain_mask(tmp_path / "mask.nii.gz"), mask)


@pytest.mark.parametrize("kind", ["nifti2", "big endian", "no sform"])
def test_another_header_is_not_guessed_at(tmp_path, kind):
    path, values = tmp_path / "bold.nii.gz", np.zeros((2, 2, 2, 20), np.int16)
    image = (nib.Nifti2Image if kind == "nifti2" else nib.Nifti1Image)(values, AFFINE)
    if kind == "big endian":
        image = nib.Nifti1Image(values, AFFINE, nib.Nifti1Header(endianness=">"))
    if kind == "no sform":
        image.set_sform(None, 0)
        image.set_qform(AFFINE, 1)
    nib.save(image, path)
    with pytest.raises(ValueError, match="not the usual header"):
        read_plain_header(path)
