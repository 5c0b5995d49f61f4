from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.imaging.bold import MeanFrame, read_bold_header, stream_blocks, stream_voxels
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import NiftiHeader
from bids_dtg.imaging.placement import Placement
from bids_dtg.imaging.places import VoxelPlaces

SHAPE = (5, 6, 4, 23)
AFFINE = np.array([[-2.0, 0, 0, 6], [0, 2, 0, -8], [0, 0, 2, -4], [0, 0, 0, 1]])
MODEL = AFFINE @ np.diag([-1.0, 1, 1, 1])
MODEL[0, 3] = -2.0


def written(path, values, slope=None) -> NiftiHeader:
    image = nib.Nifti1Image(values, AFFINE, dtype=values.dtype)
    image.header.set_zooms((2, 2, 2, 2.0))
    if slope:
        image.header.set_slope_inter(*slope)
    nib.save(image, path)
    return read_bold_header(path)


def values_of(dtype: str) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 120, SHAPE).astype(dtype)


def seen(mean: MeanFrame, header: NiftiHeader, per_block: int) -> MeanFrame:
    """Let the whole file pass by."""
    first = 0
    for stored in stream_blocks(header, per_block):
        mean.add(first, stored)
        first += len(stored)
    return mean


@pytest.fixture(scope="module")
def header(tmp_path_factory) -> NiftiHeader:
    return written(tmp_path_factory.mktemp("mean") / "bold.nii.gz", values_of("<i2"))


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(
    keep=st.lists(st.booleans(), min_size=23, max_size=23),
    most=st.integers(1, 30),
    per_block=st.integers(1, 30),
)
def test_it_is_the_mean_of_the_first_kept_frames(header, keep, most, per_block):
    wanted = np.flatnonzero(keep)[:most]
    mean = seen(MeanFrame(header, np.array(keep), most), header, per_block)
    frames = values_of("<i2").reshape(-1, 23, order="F").T
    expected = frames[wanted].mean(axis=0) if len(wanted) else np.zeros(frames.shape[1])
    np.testing.assert_allclose(mean.stored, expected, rtol=1e-6)
    assert mean.frames == len(wanted)


@pytest.mark.parametrize("shift_mm", [0.0, 0.7])
def test_voxels_of_the_mean_are_the_mean_of_voxels(tmp_path, shift_mm):
    """A flipped lattice is looked up, a shifted one interpolated: both are linear."""
    header = written(tmp_path / "bold.nii.gz", values_of("<i2"), slope=(0.5, 10.0))
    affine = MODEL.copy()
    affine[:3, 3] += shift_mm
    places = VoxelPlaces(Grid((6, 6, 5), affine, "space"), np.arange(180))
    sampling, method = Placement.through(places, ()).in_file(header, "linear")
    assert method == ("linear" if shift_mm else "none")
    mean = MeanFrame(header, np.ones(23, bool), 8)
    frames = [block.copy() for _, block in stream_voxels(header, sampling, 5, watch=mean.add)]
    expected = np.concatenate(frames)[:8].mean(axis=0)
    assert expected.any()
    np.testing.assert_allclose(mean.at(sampling), expected, rtol=1e-5)
