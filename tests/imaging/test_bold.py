"""BOLD files: the repetition time, frames as they are stored, and the mean of the first."""

from __future__ import annotations

import gzip
import multiprocessing
import sys
import threading
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bids_dtg.errors import RunError
from bids_dtg.imaging.bold import (
    MeanFrame,
    decide_repetition_time,
    head_start,
    read_bold_header,
    stream_blocks,
    stream_voxels,
)
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_volume
from bids_dtg.imaging.placement import Placement
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.sampling import LatticeSampling

SHAPE = (5, 6, 4, 23)
AFFINE = np.array([[-2.0, 0, 0, 6], [0, 2, 0, -8], [0, 0, 2, -4], [0, 0, 0, 1]])


def stored_values(dtype: str = "<i2", largest: int = 120) -> np.ndarray:
    return np.random.default_rng(0).integers(0, largest, SHAPE).astype(dtype)


def write(path, values, *, kind=nib.Nifti1Image, tr=2.0, unit="sec", slope=None):
    header = kind.header_class(endianness=">" if values.dtype.str[0] == ">" else "<")
    image = kind(values, AFFINE, header, dtype=values.dtype)
    image.header.set_zooms((2, 2, 2, tr)[: values.ndim])
    image.header.set_xyzt_units("mm", unit)
    if slope:
        image.header.set_slope_inter(*slope)
    nib.save(image, path)
    return path


def changed(path: Path, at: int, value: np.ndarray) -> Path:
    content = bytearray(path.read_bytes())
    content[at : at + value.nbytes] = value.tobytes()
    path.write_bytes(content)
    return path


def frames_of(path, per_block=7) -> np.ndarray:
    """(frames, file voxels) of the whole file, each block checked to be no longer than asked."""
    header = read_bold_header(path)
    blocks = [block.copy() for block in stream_blocks(header, per_block)]
    assert max(map(len, blocks)) <= per_block
    assert {block.dtype for block in blocks} == {header.dtype}
    return np.concatenate(blocks)


def readers() -> list[str]:
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith("read ")
    ]


# --- frames


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("name", ["bold.nii", "bold.nii.gz"])
@pytest.mark.parametrize(
    "dtype", ["|u1", "<i2", ">i2", "<u2", "<i4", "<f4", ">f4", "<f8", "<i8"]
)
def test_frames_come_as_stored(tmp_path, kind, name, dtype):
    values = stored_values(dtype)
    path = write(tmp_path / name, values, kind=kind)
    header = read_bold_header(path)
    assert header.shape == SHAPE
    assert header.dtype == np.dtype(dtype)
    np.testing.assert_allclose(header.affine, AFFINE)
    # (i, j, k, t) -> (t, file voxels), i fastest
    np.testing.assert_array_equal(
        frames_of(path), values.reshape(-1, SHAPE[3], order="F").T
    )


def test_frames_that_are_wanted_together_come_so_while_memory_allows_it(tmp_path):
    """Frames of 10 MB: six of them are below 64 MiB."""
    path = write(tmp_path / "bold.nii.gz", np.zeros((125, 100, 100, 9), "<f8"))
    header = read_bold_header(path)
    for together, wanted in ((2, [2, 2, 2, 2, 1]), (16, [6, 3])):
        assert [
            len(block) for block in stream_blocks(header, 32, together=together)
        ] == wanted


@pytest.mark.parametrize(
    ("slope", "inter"), [(0.0, 0.0), (0.0, 3.0), (np.nan, np.nan), (0.5, 10.0)]
)
def test_scaling_is_read_and_a_slope_of_0_or_nan_means_none(tmp_path, slope, inter):
    path = write(tmp_path / "bold.nii", stored_values())
    header = read_bold_header(changed(path, 112, np.array([slope, inter], "<f4")))
    assert (header.slope, header.inter) == ((0.5, 10.0) if slope == 0.5 else (1.0, 0.0))


def test_gzip_of_several_members_and_trailing_zeros_is_read(tmp_path):
    values = stored_values()
    raw = write(tmp_path / "bold.nii", values).read_bytes()
    path = tmp_path / "members.nii.gz"
    path.write_bytes(gzip.compress(raw[:1000]) + gzip.compress(raw[1000:]) + bytes(50))
    np.testing.assert_array_equal(
        frames_of(path), values.reshape(-1, SHAPE[3], order="F").T
    )


def test_wanted_voxels_are_gathered_and_scaled_in_full_blocks(tmp_path):
    values = stored_values()
    path = changed(
        write(tmp_path / "bold.nii", values), 112, np.array([0.5, 10.0], "<f4")
    )
    sampling = LatticeSampling(np.array([3, 0, 119]), np.array([True, True, True]))
    streamed = stream_voxels(read_bold_header(path), sampling, 10)
    blocks = [(first, block.copy()) for first, block in streamed]
    assert [(first, len(block)) for first, block in blocks] == [
        (0, 10),
        (10, 10),
        (20, 3),
    ]
    wanted = values.reshape(-1, SHAPE[3], order="F").T[:, [3, 0, 119]] * 0.5 + 10
    np.testing.assert_array_equal(
        np.concatenate([block for _, block in blocks]), wanted
    )


@pytest.mark.parametrize("stop", ["raise", "close"])
def test_the_reader_ends_when_the_consumer_stops_early(tmp_path, stop):
    header = read_bold_header(write(tmp_path / "bold.nii.gz", stored_values()))
    blocks = stream_blocks(header, 1)
    next(blocks)
    assert readers()
    if stop == "raise":
        with pytest.raises(KeyError):
            blocks.throw(KeyError("consumer"))
    else:
        blocks.close()
    assert not readers()


needs_fork = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")


@pytest.fixture
def begun(monkeypatch, tmp_path):
    """A file whose blocks have one frame each, more than a head start fills."""
    monkeypatch.setattr("bids_dtg.imaging.bold.available_cores", lambda: 2)
    monkeypatch.setattr("bids_dtg.imaging.bold._FRAMES", 1)
    return write(tmp_path / "bold.nii.gz", stored_values())


@needs_fork
def test_frames_of_a_head_start_are_taken_once(begun):
    wanted = frames_of(begun, 1)
    with head_start(begun):
        blocks = stream_blocks(read_bold_header(begun))
        frames = [next(blocks).copy()]
        assert not readers()  # a process reads
        frames += [block.copy() for block in blocks]
        np.testing.assert_array_equal(np.concatenate(frames), wanted)
        np.testing.assert_array_equal(frames_of(begun), wanted)
    with head_start(begun) as end:
        end()
        np.testing.assert_array_equal(frames_of(begun), wanted)


@needs_fork
def test_a_head_start_that_was_killed_is_an_error(begun):
    with head_start(begun):
        (child,) = multiprocessing.active_children()
        child.kill()
        with pytest.raises(
            RunError, match=r"the process that read .*bold\.nii\.gz died"
        ):
            frames_of(begun, 1)


# --- files that are refused


@pytest.mark.parametrize(
    "after", [b"garbage here", b"x", b"\x1f\x8b\x08\0", b"\0\0y", b"\x1f\x8b" * 20]
)
def test_bytes_after_a_gzip_stream_are_told_as_that(tmp_path, after):
    raw = write(tmp_path / "bold.nii", stored_values(largest=30000)).read_bytes()
    path = tmp_path / "longer.nii.gz"
    for allowed in (b"", b"\0\0", gzip.compress(b"\0"), b"\0" + gzip.compress(b"")):
        path.write_bytes(gzip.compress(raw) + allowed)
        assert sum(map(len, stream_blocks(read_bold_header(path)))) == 23
    path.write_bytes(gzip.compress(raw) + after)
    with pytest.raises(
        RunError, match=r"longer\.nii\.gz has other bytes after the end"
    ):
        list(stream_blocks(read_bold_header(path)))
    path.write_bytes(gzip.compress(raw)[:-20])  # within the stream
    with pytest.raises(RunError, match="ends at frame"):
        list(stream_blocks(read_bold_header(path)))


@pytest.mark.parametrize("ahead", [False, pytest.param(True, marks=needs_fork)])
@pytest.mark.parametrize("frame", [7, 22])
def test_a_truncated_gzip_is_told_by_its_frame(tmp_path, monkeypatch, frame, ahead):
    monkeypatch.setattr("bids_dtg.imaging.bold._FRAMES", 7)
    raw = write(tmp_path / "bold.nii", stored_values(largest=30000)).read_bytes()
    deflate = zlib.compressobj(1, zlib.DEFLATED, 31)
    head = deflate.compress(raw[: 352 + frame * 240 + 10]) + deflate.flush(
        zlib.Z_FULL_FLUSH
    )
    path = tmp_path / "cut.nii.gz"
    path.write_bytes(head)
    # What inflates last, less than a frame of a real run, may be lost at the cut.
    told = rf"cut\.nii\.gz ends at frame ({frame}|{frame - 1}) of 23"
    with (
        head_start(path if ahead else None),
        pytest.raises(RunError, match=told) as refused,
    ):
        frames_of(path)
    assert refused.value.remedy == "fetch or make the file again"
    assert not readers()


@pytest.mark.parametrize("shape", [SHAPE, (40, 40, 40, 12)])
def test_a_wrong_checksum_is_told(tmp_path, shape):
    values = np.random.default_rng(0).integers(0, 30000, shape).astype("<i2")
    path = write(tmp_path / "bold.nii.gz", values)
    content = bytearray(path.read_bytes())
    content[-8] ^= 255
    path.write_bytes(content)
    with pytest.raises(
        RunError,
        match=r"bold\.nii\.gz cannot be read.*CRC.* To do: fetch or make it again",
    ):
        frames_of(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "Empty file"),
        (b"short", "cannot be read as NIfTI"),
        (gzip.compress(b"x" * 600, mtime=0), "cannot be read as NIfTI"),
        (b"\x1f\x8b\x08" + b"x" * 600, "cannot be read as NIfTI"),
        (b"/annex/objects/MD5E-s1--abc.nii.gz\n", "git-annex.*datalad get"),
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
        (70, np.array([32], "<i2"), "values of type complex64.*real numbers"),
        (280, np.full(4, np.nan, "<f4"), "affine"),
        (40, np.array([3, 5, 6, 4], "<i2"), "sizes 5 x 6 x 4.*at least two frames"),
        (
            40,
            np.array([4, 5, 6, 4, 1], "<i2"),
            "sizes 5 x 6 x 4 x 1.*at least two frames",
        ),
        (0, np.array([340], "<i4"), "sizeof_hdr is 340, not 348 or 540"),
        (344, np.array([b"ni1"]), "its magic is b'ni1"),
        (108, np.array([0], "<f4"), "vox_offset is 0, not 352"),
        (108, np.array([1e12], "<f4"), "vox_offset is 1e"),
        (108, np.array([np.nan], "<f4"), "vox_offset is nan"),
    ],
)
def test_headers_of_no_run_are_told(tmp_path, at, value, told):
    path = changed(write(tmp_path / "bold.nii", stored_values()), at, value)
    with pytest.raises(RunError, match=rf"bold\.nii.*({told})"):
        read_bold_header(path)


@pytest.mark.parametrize("name", ["bold.nii", "bold.nii.gz"])
def test_only_zeros_may_follow_the_last_frame(tmp_path, name):
    raw = write(tmp_path / "whole.nii", stored_values()).read_bytes()
    path = tmp_path / name
    for after in (bytes(700), raw[352:], bytes(2**19) + b"x"):
        path.write_bytes(
            gzip.compress(raw + after) if name.endswith("gz") else raw + after
        )
        if after.strip(b"\0"):
            told = rf"{name} goes on after the 5 x 6 x 4 x 23 values of its header"
            for reader in (frames_of, read_volume):
                with pytest.raises(RunError, match=told):
                    reader(path)
        else:
            assert len(frames_of(path)) == SHAPE[3]


def test_what_is_no_file_is_told(tmp_path):
    path = tmp_path / "bold.nii.gz"
    with pytest.raises(RunError, match=r"bold\.nii\.gz cannot be read: No such file"):
        read_bold_header(path)
    with pytest.raises(RunError, match="cannot be read: it is a folder"):
        read_bold_header(tmp_path)
    path.symlink_to(tmp_path / ".git/annex/objects/x")
    with pytest.raises(RunError, match=r"datalad get .*bold\.nii\.gz"):
        read_bold_header(path)


# --- the time between frames: what a sidecar and a header state, alone and against each other


BOLD, SIDECAR = Path("sub-01_bold.nii.gz"), Path("sub-01_bold.json")
PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6}
times, units = st.floats(0.05, 20.0), st.sampled_from(list(PER_SECOND))


def decide(header: tuple, stated: float | None, *makers: tuple[str, str]):
    sidecar = None if stated is None else SIDECAR
    return decide_repetition_time(BOLD, header, sidecar, stated, makers)


def words(header: tuple) -> str:
    return f"{header[0]:g} {header[1]}"


@pytest.mark.parametrize(
    ("tr", "unit", "seconds"),
    [
        (0.72, "sec", 0.72),
        (720, "msec", 0.72),
        (720000, "usec", 0.72),
        (1.0, "sec", 1.0),
        (2.0, "unknown", 2.0),
        (1.0, "unknown", None),  # what programs leave that do not know the time
        (0, "sec", None),
        (0, "unknown", None),
        (2.0, "hz", None),
        (np.nan, "sec", None),
        (np.inf, "msec", None),
        (1e-9, "sec", None),
    ],
)
def test_a_header_alone_is_converted_by_its_unit(tmp_path, tr, unit, seconds):
    header = read_bold_header(
        write(tmp_path / "bold.nii", stored_values(), tr=tr, unit=unit)
    )
    if seconds is None:
        with pytest.raises(
            RunError, match=r"bold\.nii\.gz has no repetition time, neither in"
        ):
            decide(header.time, None)
        assert "header states no repetition time" in decide(header.time, 0.8)[1][0]
    else:
        decided, (note,) = decide(header.time, None)
        assert decided == seconds
        assert "header's" in note


@given(seconds=times, unit=units, share=st.floats(-0.049, 0.049))
def test_sidecar_wins_within_5_percent(seconds, unit, share):
    header = seconds * (1 + share) * PER_SECOND[unit], unit
    tr, notes = decide(header, seconds)
    assert tr == seconds
    apart = abs(share) * seconds
    assume(abs(apart - 1e-3) > 1e-5)
    told = [f"({seconds:g} s) was used; the header has" in note for note in notes]
    assert told == ([True] if apart > 1e-3 else [])


@given(seconds=times, unit=units, factor=st.floats(1e-3, 0.949) | st.floats(1.051, 1e4))
def test_other_times_are_refused_with_both_values_and_files(seconds, unit, factor):
    header = max(seconds * factor, 1e-4) * PER_SECOND[unit], unit
    assume(abs(factor - 1000) > 2)
    with pytest.raises(RunError) as caught:
        decide(header, seconds)
    for part in (
        f"{SIDECAR} states a RepetitionTime of {seconds:g} s",
        str(BOLD),
        words(header),
    ):
        assert part in str(caught.value)


# fmriprep 1725 (until March 2022), fmriprep 3216, xcp_d 967, fmripost-aroma 119; NiBabies shares
# the code of the first two.
@pytest.mark.parametrize(
    ("header", "stated", "maker"),
    [
        ((1000.0, "s"), 1.0, ("", "")),
        ((float(np.float32(735.0)), "s"), 0.735, ("", "")),
        ((1.0, "s"), 2.0, ("fMRIPrep", "23.2.0")),
        ((1.0, "s"), 2.0, ("fMRIPrep", "23.2.0a2")),
        ((1000.0, "ms"), 2.0, ("XCP-D", "0.5.0")),
        ((1.0, "s"), 2.0, ("xcp_d", "0+unknown")),
        ((1.0, "s"), 2.0, ("NiBabies", "24.0.0rc1")),
        ((1.0, "s"), 2.0, ("fMRIPost-AROMA", "0.1.11")),
    ],
)
def test_headers_that_programs_wrote_wrong_give_way_to_the_sidecar(
    header, stated, maker
):
    tr, (note,) = decide(header, stated, ("another", "1"), maker)
    assert tr == stated
    assert (
        f"({stated:g} s) was used; the header has {words(header)}: some releases"
        in note
    )


@pytest.mark.parametrize(
    "maker",
    [
        ("fMRIPrep", "23.1.4"),
        ("fMRIPrep", "23.2.1"),
        ("XCP-D", "0.6.1"),
        ("XCP-D", "26.0.1"),
        ("fMRIPrep", ""),
        ("fMRIPrep", "9" * 5000),
        ("C-PAC", "1.8.7"),
    ],
)
def test_a_header_of_one_second_by_other_programs_is_refused(maker):
    """Two hundred frames in 3.3 minutes are not read as 6.7 minutes."""
    with pytest.raises(
        RunError, match=r"states a RepetitionTime of 2 s, but .* states 1 s"
    ):
        decide((1.0, "s"), 2.0, maker)


@given(seconds=times, unit=units)
def test_number_without_a_unit_may_be_in_any(seconds, unit):
    value = seconds * PER_SECOND[unit]
    if value != 1:
        assert decide((value, None), seconds) == (seconds, ())


@pytest.mark.parametrize(
    ("header", "stated", "told"),
    [
        (
            (800.0, "s"),
            None,
            r"bold\.nii\.gz: no sidecar.*at most 20.*is it in milliseconds\?",
        ),
        ((20.1, None), None, r"bold\.nii\.gz: no sidecar.*at most 20"),
        *(
            ((2.0, "s"), stated, r"bold\.json: RepetitionTime is .*at most 20")
            for stated in (20.1, 800.0, 0.0, -2.0, float("nan"))
        ),
    ],
)
def test_times_outside_the_bounds_are_refused(header, stated, told):
    with pytest.raises(RunError, match=told):
        decide(header, stated)


# --- the mean of the first frames


MODEL = AFFINE @ np.diag([-1.0, 1, 1, 1])
MODEL[0, 3] = -2.0


@pytest.fixture(scope="module")
def header(tmp_path_factory):
    path = tmp_path_factory.mktemp("mean") / "bold.nii.gz"
    return read_bold_header(write(path, stored_values(), slope=(0.5, 10.0)))


@settings(deadline=None, max_examples=20)
@given(
    keep=st.lists(st.booleans(), min_size=23, max_size=23),
    most=st.integers(1, 30),
    per_block=st.integers(1, 30),
)
def test_it_is_the_mean_of_the_first_kept_frames(header, keep, most, per_block):
    wanted = np.flatnonzero(keep)[:most]
    mean, first = MeanFrame(header, np.array(keep), most), 0
    for stored in stream_blocks(header, per_block):
        mean.add(first, stored)
        first += len(stored)
    frames = stored_values().reshape(-1, 23, order="F").T
    expected = frames[wanted].mean(axis=0) if len(wanted) else np.zeros(frames.shape[1])
    np.testing.assert_allclose(mean.stored, expected, rtol=1e-6)
    assert mean.frames == len(wanted)


@pytest.mark.parametrize("shift_mm", [0.0, 0.7])
def test_voxels_of_the_mean_are_the_mean_of_voxels(header, shift_mm):
    """A flipped lattice is looked up, a shifted one interpolated: both are linear."""
    affine = MODEL.copy()
    affine[:3, 3] += shift_mm
    places = VoxelPlaces(Grid((6, 6, 5), affine, "space"), np.arange(180))
    sampling, method = Placement.through(places, ()).in_file(header, "linear")
    assert method == ("linear" if shift_mm else "none")
    mean = MeanFrame(header, np.ones(23, bool), 8)
    frames = [
        block.copy() for _, block in stream_voxels(header, sampling, 5, watch=mean.add)
    ]
    expected = np.concatenate(frames)[:8].mean(axis=0)
    assert expected.any()
    np.testing.assert_allclose(mean.at(sampling), expected, rtol=1e-5)


def test_values_that_are_no_number_are_0_in_the_mean(tmp_path):
    values = stored_values("<f4")
    values[0, 0, 0] = np.nan
    header = read_bold_header(write(tmp_path / "bold.nii", values))
    mean = MeanFrame(header, np.ones(23, bool), 4)
    mean.add(0, next(stream_blocks(header)))
    assert mean.at(LatticeSampling(np.array([0]), np.array([True])))[0] == 0
