"""Tables of means over parcels: rows, what is n/a, what their sidecars say, and the default."""

from __future__ import annotations

import csv
import dataclasses
import io
import json

import nibabel as nib
import numpy as np
import pytest
from maps_bundle import TINY_AFFINE, tiny_masks, write_tiny_bundle
from maps_job import TinyJob, add_rest, read_table

from bids_dtg.contrasts.participant.outputs.maps import (
    COLUMNS,
    AverageMaps,
    region_files,
)
from bids_dtg.errors import SettingsError
from bids_dtg.files.sidecars import read_inherited
from bids_dtg.imaging.atlas import Atlas, choose_atlases, region_means
from bids_dtg.inputs.templateflow import TemplateFlow

ENTITIES = {"sub": "01", "ses": "A", "task": "rest"}
MINE = "atlas-Mine_seg-two_scale-5_space-MNI152NLin6Asym_dseg.nii.gz"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_tiny_bundle(tmp_path_factory.mktemp("model") / "tiny")


def make_atlas(bundle, parcels=5, size=None):
    labels = np.arange(bundle.places.number) % (parcels + 1)
    counts = np.bincount(labels, minlength=parcels + 1)[1:]
    named = {label: f"region {label}" for label in range(1, parcels + 1)}
    return Atlas(
        {"atlas": "Mine", "seg": "two"}, labels, named, counts if size is None else size
    )


def make_maps(bundle, seed=0):
    shape = (len(bundle.contrasts), bundle.places.number)
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def make_files(bundle, atlas, maps):
    """Paths and contents of an atlas' files: the sidecar, then the table."""
    contrasts = bundle.contrasts
    average = AverageMaps(ENTITIES, maps, contrasts, bundle)
    return [*region_files(average, atlas, {})]


def make_rows(bundle, atlas, maps):
    _, (path, data) = make_files(bundle, atlas, maps)
    return list(csv.DictReader(io.StringIO(data.decode()), delimiter="\t")), path


def test_a_row_a_contrast_and_parcel(bundle):
    atlas, maps = make_atlas(bundle), make_maps(bundle)
    rows, path = make_rows(bundle, atlas, maps)
    assert str(path) == (
        "sub-01/ses-A/func/sub-01_ses-A_task-rest_space-MNI152NLin6Asym_atlas-Mine_seg-two_stat-z_"
        "desc-regions_statmap.tsv"
    )
    assert tuple(rows[0]) == COLUMNS
    assert [row["contrast"] for row in rows[::5]] == [c.label for c in bundle.contrasts]
    assert [row["index"] for row in rows[:5]] == ["1", "2", "3", "4", "5"]
    assert rows[1]["name"] == "region 2"
    means = np.array([float(row["mean"]) for row in rows]).reshape(3, 5)
    np.testing.assert_allclose(means, region_means(maps, atlas), rtol=1e-6, atol=1e-6)
    assert {row["coverage"] for row in rows} == {"1.0000"}


def test_thin_parcels_have_a_coverage_and_no_mean(bundle):
    whole = make_atlas(bundle).voxels
    atlas = make_atlas(bundle, size=whole * [1, 2, 3, 1, 10])
    rows, _ = make_rows(bundle, atlas, make_maps(bundle))
    assert [row["mean"] == "n/a" for row in rows[:5]] == [
        False,
        False,
        True,
        False,
        True,
    ]
    assert [row["coverage"] for row in rows[:5]] == [
        "1.0000",
        "0.5000",
        "0.3333",
        "1.0000",
        "0.1000",
    ]
    assert all(int(row["voxels"]) > 0 for row in rows)


def test_a_sidecar_describes_each_column(bundle):
    (path, facts), _ = make_files(bundle, make_atlas(bundle), make_maps(bundle))
    assert str(path).endswith("_desc-regions_statmap.json")
    assert all(facts[column]["Description"] for column in COLUMNS)
    assert facts["MinCoverage"] == 0.5
    assert facts["Atlas"]["Key"] == "Mine_seg-two"


def test_an_atlas_of_another_template_is_refused(bundle):
    places = bundle.voxels
    moved = dataclasses.replace(
        places, grid=dataclasses.replace(places.grid, space="MNI152NLin2009cAsym")
    )
    with pytest.raises(SettingsError, match="is in MNI152NLin6Asym"):
        choose_atlases(("Schaefer400",), moved, templateflow=TemplateFlow(None))


@pytest.mark.slow
def test_tables_of_a_call_hold_the_means_of_its_maps(tmp_path):
    job = TinyJob(tmp_path, ())
    add_rest(job.bids)
    labels = np.zeros(tiny_masks()[1].shape, np.int16)
    labels[:5], labels[5:8] = 3, 7
    labels[~tiny_masks()[1]] = 0
    atlas = job.folder / MINE
    nib.save(nib.Nifti1Image(labels, TINY_AFFINE), atlas)
    atlas.with_name(MINE.replace(".nii.gz", ".tsv")).write_text(
        "index\tname\n3\tleft\n7\tright\n"
    )
    assert job.run("--atlases", "HCP", atlas) == 0
    (path,) = job.out.rglob(
        "*atlas-Mine_seg-two_scale-5_stat-z_desc-regions_statmap.tsv"
    )
    assert len(list(job.out.rglob("*_atlas-HCP_*regions_statmap.tsv"))) == 1
    rows, grid = read_table(path), tiny_masks()[1]
    assert len(rows) == 3 * 2
    for row in rows:
        (image,) = job.out.rglob(
            f"*_contrast-{row['contrast']}_*_desc-synthetic_statmap.nii.gz"
        )
        inside = grid & (labels == int(row["index"]))
        values = nib.load(image).get_fdata()[inside]
        assert float(row["mean"]) == pytest.approx(values.mean(), abs=1e-6)
        assert int(row["voxels"]) == inside.sum()
        assert row["name"] == {"3": "left", "7": "right"}[row["index"]]
    facts = read_inherited(path)
    assert facts["Synthetic"] is True  # of the average's
    assert facts["Atlas"]["Image"] == MINE
    sidecar = json.loads(path.with_suffix(".json").read_text())
    assert str(tmp_path) not in json.dumps(sidecar)


@pytest.mark.slow
def test_a_data_set_of_atlases_beside_the_derivatives(tmp_path):
    job = TinyJob(tmp_path, ())
    add_rest(job.bids)
    folder = job.folder / "atlases/tpl-MNI152NLin6Asym"
    folder.mkdir(parents=True)
    image = nib.Nifti1Image(np.ones(tiny_masks()[1].shape, np.int16), TINY_AFFINE)
    nib.save(image, folder / "tpl-MNI152NLin6Asym_atlas-Own_res-2_dseg.nii.gz")
    datasets = ("-d", f"atlas={job.folder / 'atlases'}", f"fmriprep={job.bids}")
    assert job.run("--atlases", "own", *datasets) == 0
    assert len(list(job.out.rglob("*_atlas-Own_stat-z_desc-regions_statmap.tsv"))) == 1
    assert job.run("--atlases", "none", *datasets, out=job.folder / "none") == 0
    assert not list((job.folder / "none").rglob("*regions_statmap*"))
