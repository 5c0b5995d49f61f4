"""Atlases: nearest parcel at each voxel, names, what is refused; means against nilearn's."""

from __future__ import annotations

import csv

import nibabel as nib
import numpy as np
import pytest
from cifti_people import with_header
from hypothesis import given
from hypothesis import strategies as st
from label_files import parcels, write_labels

from bids_dtg.errors import SettingsError
from bids_dtg.imaging.atlas import Atlas, find_atlas, region_means, region_voxels
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_mask, read_volume
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.templateflow import TemplateFlow

GRID = Grid(
    (4, 5, 6), np.array([[-2.0, 0, 0, 8], [0, 2, 0, -10], [0, 0, 2, 4], [0, 0, 0, 1]])
)
MASK = np.ones(GRID.shape, bool)
PLACES = VoxelPlaces.within(GRID, MASK)
SPACE = "space-MNI152NLin6Asym_dseg.nii.gz"
HERE = TemplateFlow(None)


def read_atlas(path, places=PLACES):
    return find_atlas(path, places, templateflow=HERE)


def _save(path, volume, affine=GRID.affine, dtype=np.int16):
    nib.save(nib.Nifti1Image(volume.astype(dtype), affine), path)
    return path


def test_labels_are_those_at_the_voxels_whatever_the_storage_order(tmp_path):
    volume = np.random.default_rng(0).integers(0, 9, GRID.shape)
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = GRID.shape[0] - 1
    straight = read_atlas(_save(tmp_path / f"atlas-a_{SPACE}", volume))
    flipped = read_atlas(
        _save(tmp_path / f"atlas-b_{SPACE}", volume[::-1], GRID.affine @ flip)
    )
    np.testing.assert_array_equal(straight.labels, volume.ravel())
    np.testing.assert_array_equal(flipped.labels, volume.ravel())
    assert list(straight.parcels) == list(range(1, 9))


def test_names_come_from_the_table_and_the_file(tmp_path):
    path = _save(
        tmp_path / "tpl-MNI152NLin6Asym_atlas-Yeo_desc-7_dseg.nii.gz", 1 + MASK
    )
    path.with_name(path.name.replace(".nii.gz", ".tsv")).write_text(
        "index\tname\n2\tVis\n9\tX\n"
    )
    atlas = read_atlas(path, PLACES)
    assert (atlas.key, dict(atlas.parcels)) == ("Yeo_seg-7", {2: "Vis"})


@pytest.mark.parametrize(
    ("volume", "dtype", "message"),
    [
        (MASK * 0.5, np.float32, "is not a label image"),
        (np.where(MASK, np.nan, 0), np.float32, "is not a label image"),
        (np.where(MASK, 1e30, 0), np.float32, "is not a label image"),
        (MASK * -1, np.int16, "is not a label image"),
        (
            np.arange(27000).reshape(30, 30, 30),
            np.int32,
            "is not a label image.*at most 10,000",
        ),
        (np.ones((*GRID.shape, 2)), np.int16, "has sizes .* one volume"),
        (MASK * 0, np.int16, "has no label in the model's grey matter"),
    ],
)
def test_what_is_no_atlas_is_refused(tmp_path, volume, dtype, message):
    path = _save(tmp_path / f"atlas-x_{SPACE}", volume, dtype=dtype)
    with pytest.raises(SettingsError, match=f"atlas-x_.*{message}"):
        read_atlas(path)


def test_a_table_that_counts_from_0_beside_an_image_that_counts_from_1(tmp_path):
    """The tables of TemplateFlow's HOCPA and HOCPAL."""
    volume = 1 + np.arange(120).reshape(GRID.shape) % 4
    path = _save(tmp_path / f"atlas-HOCPA_{SPACE}", volume)
    rows = "".join(f"{index}\tname{index}\n" for index in range(4))
    path.with_name(path.name.replace(".nii.gz", ".tsv")).write_text(
        f"index\tname\n{rows}"
    )
    with pytest.raises(
        SettingsError, match=r"no row for 1 of the 4 labels .* the first 4\."
    ):
        read_atlas(path)


def test_parcels_are_counted_beyond_the_models_mask_and_grid(tmp_path):
    wide = np.zeros((12, 12, 12), np.int16)
    wide[1:11, 1:11, 1:11] = 5
    affine = GRID.affine.copy()
    affine[:3, 3] -= GRID.affine[:3, :3] @ [4, 4, 4]
    atlas = read_atlas(_save(tmp_path / f"atlas-w_{SPACE}", wide, affine))
    assert atlas.voxels.tolist() == [1000]


def test_the_digest_tells_images_of_one_name_apart(tmp_path):
    path = tmp_path / f"atlas-A_{SPACE}"
    first, second = (read_atlas(_save(path, volume)) for volume in (1 + MASK, 2 + MASK))
    assert first.key == second.key
    assert first.digest != second.digest
    assert first.identity != second.identity


MODEL = Grid(
    (76, 93, 78),
    np.array([[-2.0, 0, 0, 76], [0, 2, 0, -108], [0, 0, 2, -72], [0, 0, 0, 1]]),
)
FSL = Grid(
    (91, 109, 91),
    np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]]),
)


def find_mask(shared, part="cortical"):
    return read_mask(shared / f"data/mni/MNI_2mm_{part}_mask_crop.nii.gz", MODEL)


@pytest.mark.parametrize("within", ["", "_model"])
def test_means_of_a_real_map_are_those_of_nilearns_masker(shared, within):
    """On FSL's whole grid, and within the model's masks."""
    path = shared / "data/real/surfaces/reference/narps_Schaefer400.tsv"
    with path.open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    places = VoxelPlaces(FSL, np.arange(np.prod(FSL.shape)))
    if within:
        mask = find_mask(shared) | find_mask(shared, "subcortical")
        places = VoxelPlaces.within(MODEL, mask)
    values, affine = read_volume(
        shared / "data/real/contrasts/narps-4965_9U7M-hypo1_unthresh.nii.gz"
    )
    steps = np.linalg.inv(affine) @ places.grid.affine
    index = np.rint(places.index @ steps[:3, :3].T + steps[:3, 3]).astype(int)
    maps = np.asarray(values, np.float32)[tuple(index.T)][None]
    atlas = find_atlas("Schaefer400", places)
    assert [str(label) for label in atlas.parcels] == [row["index"] for row in rows]
    assert list(atlas.parcels.values()) == [row["name"] for row in rows]
    column = {
        name: [float(row[name]) for row in rows] for name in rows[0] if name != "name"
    }
    np.testing.assert_array_equal(atlas.voxels, column["voxels"])
    np.testing.assert_array_equal(
        region_voxels(maps, atlas)[0], column[f"voxels{within}"]
    )
    means = region_means(maps, atlas)[0]
    np.testing.assert_allclose(means, column[f"mean{within}"], atol=1e-6)


@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0, 1))
def test_each_map_has_its_own_missing_places(seed, share):
    rng = np.random.default_rng(seed)
    labels, voxels = rng.integers(0, 6, 60), rng.integers(60, 90, 5)
    atlas = Atlas({"atlas": "A"}, labels, {n: str(n) for n in range(1, 6)}, voxels)
    maps = rng.standard_normal((3, 60))
    maps[rng.random(maps.shape) < share] = np.nan
    means, counts = region_means(maps, atlas, 0.1), region_voxels(maps, atlas)
    for row, mean, part in zip(maps, means, counts, strict=True):
        for label, parcel_mean, count, size in zip(
            atlas.parcels, mean, part, voxels, strict=True
        ):
            values = row[(labels == label) & ~np.isnan(row)]
            assert count == len(values)
            enough = len(values) / size >= 0.1
            np.testing.assert_allclose(parcel_mean, values.mean() if enough else np.nan)


@pytest.mark.slow
def test_an_atlas_in_another_template_is_carried_to_the_models(shared, tmp_path):
    """TemplateFlow's own images of the same 200 parcels in both templates."""
    folder, home = (
        shared / "data/real/parcellations",
        shared / "data/real/templateflow_like",
    )
    name = "tpl-{}_res-01_atlas-Schaefer2018_desc-200Parcels7Networks_dseg.nii.gz"
    places = VoxelPlaces.within(MODEL, find_mask(shared))
    here = TemplateFlow(home)
    models_labels, carried, taken = (
        find_atlas(path, places, templateflow=here).labels
        for path in (
            folder / name.format("MNI152NLin6Asym"),
            folder / name.format("MNI152NLin2009cAsym"),
            _under_another_name(folder / name.format("MNI152NLin2009cAsym"), tmp_path),
        )
    )

    def agreement(labels):
        labelled = (models_labels > 0) & (labels > 0)
        return np.mean(models_labels[labelled] == labels[labelled])

    assert agreement(carried) > 0.93 > 0.91 > agreement(taken)


def _under_another_name(path, folder):
    copy = folder / "atlas-Taken_space-MNI152NLin6Asym_dseg.nii.gz"
    copy.write_bytes(path.read_bytes())
    return copy


@pytest.mark.parametrize("form", ["name", pytest.param("file", marks=pytest.mark.slow)])
def test_parcels_of_the_cortex_are_read_at_vertices(tmp_path, form):
    path = tmp_path / "Glasser.dlabel.nii"
    atlas = read_atlas("GLASSER" if form == "name" else write_labels(path))
    assert atlas.key == "Glasser"
    assert list(atlas.parcels.items())[:2] == [(1, "L_V1_ROI"), (2, "L_MST_ROI")]
    number = 32492
    labels = np.zeros(2 * number, int)
    for label, (_, structure, vertices) in enumerate(parcels(), 1):
        labels[vertices + number * structure.endswith("RIGHT")] = label
    np.testing.assert_array_equal(atlas.labels, labels)
    np.testing.assert_array_equal(atlas.voxels, np.bincount(labels)[1:])


@pytest.mark.slow
def test_parcels_of_one_name_have_their_labels(tmp_path):
    atlas = read_atlas(write_labels(tmp_path / "Same.dlabel.nii", name="V1"))
    assert list(atlas.parcels.items())[-1] == (360, "V1 360")


# What is wrong with a label file of grayordinates, and what the line says.
WRONG_LABELS = {
    "another mesh": (
        {"size": 10242},
        r"10,242 vertices.*Expected: the fsLR mesh.*-cifti-resample",
    ),
    "values": ({"named": False}, "it has a ScalarAxis, not labels"),
    "two maps": ({"maps": 2}, r"has 2 maps of labels.*-cifti-merge"),
    "voxels": ({"voxels": True}, "labels of voxels, such as AMYGDALA_LEFT"),
    "a fraction": ({"first": 0.5}, "its labels are not integers"),
    "no number": ({"first": np.nan}, "its labels are not integers"),
    "no names": ({"name": "???"}, "labels no vertex of the cortex"),
    "no cortex": ({"cortex": False}, "labels no vertex of the cortex"),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", WRONG_LABELS)
def test_label_files_that_cannot_be_used_get_one_line(tmp_path, fault):
    options, line = WRONG_LABELS[fault]
    path = write_labels(tmp_path / "Wrong.dlabel.nii", **options)
    with pytest.raises(SettingsError, match=line):
        read_atlas(path)


@pytest.mark.slow
def test_a_label_of_a_vertex_beyond_the_mesh_is_refused(tmp_path):
    path = write_labels(tmp_path / "Wrong.dlabel.nii")
    with_header(path, lambda xml: xml.replace(b" 17 ", b" 99999999 ", 1))
    with pytest.raises(SettingsError, match=r"has vertex 99999999 in .*LEFT"):
        read_atlas(path)


def test_an_image_that_is_called_a_label_file_is_refused(tmp_path):
    path = _save(tmp_path / "Wrong.dlabel.nii", 1 + MASK)
    with pytest.raises(SettingsError, match=r"as labels of grayordinates"):
        read_atlas(path)
