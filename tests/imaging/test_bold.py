from __future__ import annotations

import gzip
import threading
import zlib

import nibabel as nib
import numpy as np
import pytest

from bids_dtg.errors import RunError
from bids_dtg.imaging.bold import (
    decide_repetition_time,
    read_bold_header,
    stream_blocks,
    stream_voxels,
)
from bids_dtg.imaging.sampling import LatticeSampling

SHAPE = (5, 6, 4, 23)
AFFINE = np.array([[-2.0, 0, 0, 6], [0, 2, 0, -8], [0, 0, 2, -4], [0, 0, 0, 1]])


def stored_values(dtype: str = "<i2") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 120, SHAPE).astype(dtype)


def write(path, values, *, kind=nib.Nifti1Image, tr=2.0, unit="sec", slope=None):
    header = kind.header_class(endianness=">" if values.dtype.str[0] == ">" else "<")
    image = kind(values, AFFINE, header, dtype=values.dtype)
    image.header.set_zooms((2, 2, 2, tr)[: values.ndim])
    image.header.set_xyzt_units("mm", unit)
    if slope:
        image.header.set_slope_inter(*slope)
    nib.save(image, path)
    return path


def frames_of(path, per_block=7) -> np.ndarray:
    """(frames, file voxels) of the whole file, each block checked to be no longer than asked."""
    header = read_bold_header(path)
    blocks = [block.copy() for block in stream_blocks(header, per_block)]
    assert max(map(len, blocks)) <= per_block
    assert {block.dtype for block in blocks} == {header.dtype}
    return np.concatenate(blocks)


def readers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("read ")]


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("name", ["bold.nii", "bold.nii.gz"])
@pytest.mark.parametrize("dtype", ["|u1", "<i2", ">i2", "<u2", "<i4", "<f4", ">f4", "<f8", "<i8"])
def test_frames_come_as_stored(tmp_path, kind, name, dtype):
    values = stored_values(dtype)
    path = write(tmp_path / name, values, kind=kind)
    header = read_bold_header(path)
    assert header.shape == SHAPE
    assert header.dtype == np.dtype(dtype)
    np.testing.assert_allclose(header.affine, AFFINE)
    # (i, j, k, t) -> (t, file voxels), i fastest
    np.testing.assert_array_equal(frames_of(path), values.reshape(-1, SHAPE[3], order="F").T)


def test_frames_that_are_wanted_together_come_so_while_memory_allows_it(tmp_path):
    """Frames of 10 MB: six of them are below 64 MiB."""
    path = write(tmp_path / "bold.nii.gz", np.zeros((125, 100, 100, 9), "<f8"))
    header = read_bold_header(path)
    for together, wanted in ((2, [2, 2, 2, 2, 1]), (16, [6, 3])):
        assert [len(block) for block in stream_blocks(header, 32, together=together)] == wanted


@pytest.mark.parametrize(
    ("tr", "unit", "seconds"),
    [
        (0.72, "sec", 0.72),
        (720, "msec", 0.72),
        (720000, "usec", 0.72),
        (0, "sec", None),
        (1.0, "unknown", None),  # what programs leave that do not know the time
        (2.0, "unknown", 2.0),
        (1.0, "sec", 1.0),
        (2.0, "hz", None),
        (np.nan, "sec", None),
        (np.inf, "msec", None),
        (1e-9, "sec", None),
    ],
)
def test_the_tr_is_in_seconds(tmp_path, tr, unit, seconds):
    path = write(tmp_path / "bold.nii", stored_values(), tr=tr, unit=unit)
    header = read_bold_header(path)
    if seconds is None:
        with pytest.raises(RunError, match="has no repetition time"):
            decide_repetition_time(path, header.time, None, None)
    else:
        assert decide_repetition_time(path, header.time, None, None)[0] == seconds


@pytest.mark.parametrize(
    ("slope", "inter"), [(0.0, 0.0), (0.0, 3.0), (np.nan, np.nan), (0.5, 10.0)]
)
def test_scaling_is_read_and_a_slope_of_0_or_nan_means_none(tmp_path, slope, inter):
    path = write(tmp_path / "bold.nii", stored_values())
    content = bytearray(path.read_bytes())
    content[112:120] = np.array([slope, inter], "<f4").tobytes()
    path.write_bytes(content)
    header = read_bold_header(path)
    assert (header.slope, header.inter) == ((0.5, 10.0) if slope == 0.5 else (1.0, 0.0))


@pytest.mark.parametrize("split", [100, 1000])
def test_gzip_of_several_members_and_trailing_zeros_is_read(tmp_path, split):
    values = stored_values()
    raw = write(tmp_path / "bold.nii", values).read_bytes()
    path = tmp_path / "members.nii.gz"
    path.write_bytes(gzip.compress(raw[:split]) + gzip.compress(raw[split:]) + bytes(50))
    np.testing.assert_array_equal(frames_of(path), values.reshape(-1, SHAPE[3], order="F").T)


def test_wanted_voxels_are_gathered_and_scaled_in_full_blocks(tmp_path):
    values = stored_values()
    path = write(tmp_path / "bold.nii.gz", values)
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[112:120] = np.array([0.5, 10.0], "<f4").tobytes()
    path.write_bytes(gzip.compress(bytes(content)))
    header = read_bold_header(path)
    sampling = LatticeSampling(np.array([3, 0, 119]), np.array([True, True, True]))
    blocks = [(first, block.copy()) for first, block in stream_voxels(header, sampling, 10)]
    assert [(first, len(block)) for first, block in blocks] == [(0, 10), (10, 10), (20, 3)]
    wanted = values.reshape(-1, SHAPE[3], order="F").T[:, [3, 0, 119]] * 0.5 + 10
    np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), wanted)


@pytest.mark.parametrize("stop", ["break", "raise", "close"])
def test_the_reader_ends_when_the_consumer_stops_early(tmp_path, stop):
    header = read_bold_header(write(tmp_path / "bold.nii.gz", stored_values()))
    blocks = stream_blocks(header, 1)
    next(blocks)
    assert readers()
    if stop == "raise":
        with pytest.raises(KeyError):
            blocks.throw(KeyError("consumer"))
    elif stop == "close":
        blocks.close()
    else:
        for _ in blocks:
            break
        del blocks
    assert not readers()


@pytest.mark.parametrize("frame", [7, 22])
def test_a_truncated_gzip_is_told_by_its_frame(tmp_path, frame):
    values = np.random.default_rng(0).integers(0, 30000, SHAPE).astype("<i2")
    raw = write(tmp_path / "bold.nii", values).read_bytes()
    deflate = zlib.compressobj(1, zlib.DEFLATED, 31)
    head = deflate.compress(raw[: 352 + frame * 240 + 10]) + deflate.flush(zlib.Z_FULL_FLUSH)
    path = tmp_path / "cut.nii.gz"
    path.write_bytes(head)
    # What inflates last, less than a frame of a real run, may be lost at the cut.
    told = rf"cut\.nii\.gz ends at frame ({frame}|{frame - 1}) of 23"
    with pytest.raises(RunError, match=told):
        frames_of(path)
    assert not readers()


@pytest.mark.parametrize("shape", [SHAPE, (40, 40, 40, 12)])
def test_a_wrong_checksum_is_told(tmp_path, shape):
    values = np.random.default_rng(0).integers(0, 30000, shape).astype("<i2")
    path = write(tmp_path / "bold.nii.gz", values)
    content = bytearray(path.read_bytes())
    content[-8] ^= 255
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"bold\.nii\.gz cannot be read.*CRC"):
        frames_of(path)


def test_a_short_uncompressed_file_is_told_before_reading(tmp_path):
    path = write(tmp_path / "bold.nii", stored_values())
    path.write_bytes(path.read_bytes()[: 352 + 5 * 240 + 1])
    with pytest.raises(RunError, match=r"bold\.nii ends at frame 5 of 23"):
        read_bold_header(path)


@pytest.mark.parametrize(
    ("shape", "told"), [((5, 6, 4), "5 x 6 x 4"), ((5, 6, 4, 1), "5 x 6 x 4"), ((5, 6), "5 x 6")]
)
def test_files_that_are_no_runs_are_told_by_their_sizes(tmp_path, shape, told):
    path = write(tmp_path / "bold.nii.gz", np.zeros(shape, "<i2"))
    with pytest.raises(RunError, match=rf"sizes {told}.*at least two frames"):
        read_bold_header(path)


@pytest.mark.parametrize("dtype", ["<c8", "rgb"])
def test_values_that_are_no_numbers_of_a_line_are_refused(tmp_path, dtype):
    kind = [("R", "u1"), ("G", "u1"), ("B", "u1")] if dtype == "rgb" else dtype
    path = tmp_path / "bold.nii"
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, kind), AFFINE), path)
    with pytest.raises(RunError, match=r"bold\.nii holds values of type.*real numbers"):
        read_bold_header(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "Empty file"),
        (b"short", "cannot be read as NIfTI"),
        (b"x" * 600, "cannot be read as NIfTI"),
        (gzip.compress(b"x" * 600, mtime=0), "cannot be read as NIfTI"),
        (b"\x1f\x8b\x08" + b"x" * 600, "cannot be read as NIfTI"),
        (b"/annex/objects/MD5E-s1--abc.nii.gz\n", "git-annex.*datalad get"),
        (b"../../../.git/annex/objects/zV/8w/x/x", "git-annex.*datalad get"),
        (b"version https://git-lfs.github.com/spec/v1\n", "LFS pointer"),
    ],
)
def test_files_that_are_no_images_are_told(tmp_path, content, told):
    path = tmp_path / "bold.nii.gz"
    path.write_bytes(content)
    with pytest.raises(RunError, match=rf"bold\.nii\.gz.*({told})"):
        read_bold_header(path)


@pytest.mark.parametrize(
    ("at", "value", "told"),
    [
        (42, np.array([-5], "<i2"), "sizes|cannot be read as NIfTI"),
        (70, np.array([9999], "<i2"), "cannot be read as NIfTI"),
        (108, np.array([1e30], "<f4"), "ends at frame 0"),
        (280, np.full(4, np.nan, "<f4"), "affine"),
    ],
)
def test_damaged_headers_are_told(tmp_path, at, value, told):
    path = write(tmp_path / "bold.nii", stored_values())
    content = bytearray(path.read_bytes())
    content[at : at + value.nbytes] = value.tobytes()
    path.write_bytes(content)
    with pytest.raises(RunError, match=rf"bold\.nii.*({told})"):
        read_bold_header(path)


def test_a_broken_link_says_how_to_fetch_it(tmp_path):
    path = tmp_path / "bold.nii.gz"
    path.symlink_to(tmp_path / ".git/annex/objects/x")
    with pytest.raises(RunError, match=r"datalad get .*bold\.nii\.gz"):
        read_bold_header(path)


def test_a_missing_file_and_a_folder_are_told(tmp_path):
    with pytest.raises(RunError, match=r"none\.nii cannot be read: No such file"):
        read_bold_header(tmp_path / "none.nii")
    with pytest.raises(RunError, match="cannot be read: it is a folder"):
        read_bold_header(tmp_path)
