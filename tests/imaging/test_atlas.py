"""Atlases: nearest parcel at each voxel, names, and what is refused."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from huge_images import declare
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.errors import SettingsError
from bids_dtg.imaging.atlas import parcel_means, read_atlas
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces

GRID = Grid((4, 5, 6), np.array([[-2.0, 0, 0, 8], [0, 2, 0, -10], [0, 0, 2, 4], [0, 0, 0, 1]]))
MASK = np.ones(GRID.shape, bool)
PLACES = VoxelPlaces.within(GRID, MASK)


def _save(path, volume, affine=GRID.affine, dtype=np.int16):
    nib.save(nib.Nifti1Image(volume.astype(dtype), affine), path)
    return path


def test_labels_are_those_at_the_voxels_whatever_the_storage_order(tmp_path):
    volume = np.random.default_rng(0).integers(0, 9, GRID.shape)
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = GRID.shape[0] - 1
    straight = read_atlas(_save(tmp_path / "a.nii.gz", volume), PLACES)
    flipped = read_atlas(_save(tmp_path / "b.nii.gz", volume[::-1], GRID.affine @ flip), PLACES)
    np.testing.assert_array_equal(straight.labels, volume.ravel())
    np.testing.assert_array_equal(flipped.labels, volume.ravel())
    assert list(straight.parcels) == list(range(1, 9))


def test_finer_atlas_is_read_at_voxel_centres(tmp_path):
    fine = np.repeat(np.repeat(np.repeat(np.arange(120).reshape(4, 5, 6), 2, 0), 2, 1), 2, 2)
    affine = GRID.affine @ np.diag([0.5, 0.5, 0.5, 1.0])  # centres of even fine voxels coincide
    labels = read_atlas(_save(tmp_path / "fine.nii.gz", fine, affine), PLACES).labels
    np.testing.assert_array_equal(labels, np.arange(120))


def test_outside_the_field_of_view_is_background(tmp_path):
    small = np.ones((2, 5, 6))
    labels = read_atlas(_save(tmp_path / "small.nii.gz", small), PLACES).labels
    np.testing.assert_array_equal(labels.reshape(GRID.shape).any(axis=(1, 2)), [1, 1, 0, 0])


def test_names_come_from_the_table_and_the_file(tmp_path):
    path = _save(tmp_path / "tpl-MNI152NLin6Asym_atlas-Yeo_desc-7_dseg.nii.gz", 1 + MASK)
    path.with_name(path.name.replace(".nii.gz", ".tsv")).write_text("index\tname\n2\tVis\n9\tX\n")
    atlas = read_atlas(path, PLACES)
    assert (atlas.name, dict(atlas.parcels)) == ("Yeo7", {2: "Vis"})


@pytest.mark.parametrize(
    ("name", "volume", "dtype", "message"),
    [
        ("space-MNI152NLin2009cAsym_dseg", MASK, np.int16, "is in MNI152NLin2009cAsym by its name"),
        ("half", MASK * 0.5, np.float32, "is no label image"),
        ("nan", np.where(MASK, np.nan, 0), np.float32, "is no label image"),
        ("series", np.ones((*GRID.shape, 2)), np.int16, "has sizes .* one volume"),
        ("empty", MASK * 0, np.int16, "has no label in the model's grey matter"),
    ],
)
def test_what_is_no_atlas_is_refused(tmp_path, name, volume, dtype, message):
    path = _save(tmp_path / f"{name}.nii.gz", volume, dtype=dtype)
    with pytest.raises(SettingsError, match=f"{name}.*{message}"):
        read_atlas(path, PLACES)


def test_missing_files_and_broken_tables_are_named(tmp_path):
    with pytest.raises(SettingsError, match=r"nothere\.nii\.gz"):
        read_atlas(tmp_path / "nothere.nii.gz", PLACES)
    path = _save(tmp_path / "a.nii.gz", MASK)
    (tmp_path / "a.tsv").write_text("number\tlabel\n1\tx\n")
    with pytest.raises(SettingsError, match=r"a\.tsv cannot be read"):
        read_atlas(path, PLACES)


@given(
    seed=st.integers(0, 2**32 - 1),
    parcels=st.lists(st.integers(1, 9), min_size=1, max_size=5, unique=True),
)
def test_means_are_those_of_a_loop(seed, parcels):
    rng = np.random.default_rng(seed)
    maps, labels = rng.standard_normal((3, 40)), rng.integers(0, 10, 40)
    means = parcel_means(maps, labels, parcels)
    assert means.shape == (3, len(parcels))
    for column, label in zip(means.T, parcels, strict=True):
        inside = maps[:, labels == label]
        if inside.size:
            np.testing.assert_allclose(column, inside.mean(axis=1))
        else:
            assert np.isnan(column).all()


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"labels \(4,\) do not fit maps \(2, 5\)"):
        parcel_means(np.ones((2, 5)), np.ones(4, int), [1])


def test_a_huge_atlas_is_refused_by_its_header(tmp_path):
    with pytest.raises(SettingsError, match=r"--atlas: .* = 1073741824 voxels"):
        read_atlas(declare(tmp_path / "x.nii", (1024, 1024, 1024), sparse=True), PLACES)
