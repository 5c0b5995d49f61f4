"""A file that was begun gives the blocks of one that was not, or is not used."""

from __future__ import annotations

import mmap
import os
import signal
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_dtg.engine.machine import available_cores
from bids_dtg.errors import RunError
from bids_dtg.imaging import begun
from bids_dtg.imaging.begun import WHOLE_FRAMES, begun_frames, inflating
from bids_dtg.imaging.bold import read_bold_header, stream_voxels
from bids_dtg.imaging.sampling import LatticeSampling

pytestmark = pytest.mark.skipif(available_cores() < 2, reason="one core: nothing is begun")
AFFINE = np.array([[-2.0, 0, 0, 6], [0, 2, 0, -8], [0, 0, 2, -4], [0, 0, 0, 1]])
WANTED = np.array([7, 3, 0, 29])
COVERED = np.array([True, True, False, True])
FRAMES = 75


@pytest.fixture(autouse=True)
def _small_files_are_worth_it(monkeypatch):
    monkeypatch.setattr(begun, "_LEAST_BYTES", 0)


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


@pytest.mark.parametrize("dtype", ["<i2", "<f4"])
@pytest.mark.parametrize("frames", [WHOLE_FRAMES, WHOLE_FRAMES + 1, FRAMES])
def test_blocks_are_those_of_a_file_that_was_not_begun(tmp_path, dtype, frames):
    path = write(tmp_path / "bold.nii.gz", dtype, frames)
    expected, whole = read(path)
    assert whole == frames
    with inflating(lambda: (path, WANTED)):
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
    with inflating(lambda: (other, WANTED)):
        if differs == "file":
            # asked for other voxels, it says no once it has looked at the file
            elsewhere = LatticeSampling(WANTED[::-1], COVERED)
            assert begun_frames(read_bold_header(path), elsewhere, 8) is None
            os.utime(path, (1, 1))
        found, whole = read(path, wanted, WHOLE_FRAMES + 1 if differs == "watched" else 8)
    assert whole == FRAMES
    assert same(found, expected)


@pytest.mark.parametrize("cut", [1, 6, 400])
def test_damage_is_said_as_of_a_file_that_was_not_begun(tmp_path, cut):
    path = write(tmp_path / "bold.nii.gz")
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(RunError, match=r"bold.nii.gz (cannot be read|ends at frame)") as expected:
        read(path)
    with (
        inflating(lambda: (path, WANTED)),
        pytest.raises(RunError, match=r"bold.nii.gz (cannot be read|ends at frame)") as found,
    ):
        read(path)
    assert str(found.value) == str(expected.value)


def missing():
    raise RunError("it cannot be found")


@pytest.mark.parametrize(
    "find", [lambda: None, missing, lambda: os.kill(os.getpid(), signal.SIGKILL), "does not fit"]
)
def test_what_is_not_found_or_does_not_fit_is_left_to_others(tmp_path, monkeypatch, find, capfd):
    path = write(tmp_path / "bold.nii.gz")
    expected, _ = read(path)
    monkeypatch.setattr(begun, "_PATIENCE_SECONDS", 0.2)
    if find == "does not fit":
        monkeypatch.setattr(begun, "_MOST_BYTES", mmap.PAGESIZE // 4)
    with inflating((lambda: (path, WANTED)) if find == "does not fit" else find):
        assert same(read(path)[0], expected)
    assert capfd.readouterr() == ("", "")
