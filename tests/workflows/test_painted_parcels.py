"""Maps of parcels as volumes and on meshes, from volumes of a person with and without surfaces."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from fmriprep_dataset import make_image
from folded_person import add_surfaces, cortex, write_run
from maps_job import read_table
from nilearn.maskers import NiftiLabelsMasker
from person_surfaces import TO_T1W

import bids_dtg
from bids_dtg.cli.run import main
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.errors import SettingsError
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.imaging.surfaces.painting import painted

pytestmark = pytest.mark.slow

WHEN = re.compile(r"on \d{4}-\d\d-\d\d \d\d:\d\d UTC")
FUNC = "sub-01/func/sub-01_task-rest"
IN_MNI = "space-MNI152NLin6Asym_seg-Glasser_res-2"
END = "stat-effect_desc-synthetic_statmap"
DSEG = "tpl-MNI152NLin6Asym/tpl-MNI152NLin6Asym_seg-Glasser_res-2_dseg"


def run(root: Path, out: Path, *options: str, reports: bool = False) -> int:
    words = ["participant", "--model", "hcp-glasser", "--min-minutes", "2"]
    words += ["--nprocs", "1", *options, *([] if reports else ["--no-reports"])]
    return main([str(root), str(out), *words])


def of_parcels(out: Path) -> tuple[list[str], np.ndarray]:
    """Return the contrasts and values of the file of parcels."""
    image = nib.load(out / f"{FUNC}_space-fsLR_seg-Glasser_{END}.pscalar.nii")
    return list(image.header.get_axis(0).name), image.get_fdata(dtype=np.float32)


def volumes(out: Path, space: str) -> dict[str, Path]:
    """Return the volumes of a space by contrast."""
    paths = out.glob(f"{FUNC}_{space}_contrast-*_{END}.nii.gz")
    return {path.name.split("contrast-")[1].split("_")[0]: path for path in paths}


@pytest.fixture(scope="module")
def person(tmp_path_factory):
    """A person whose folds are the template's, moved by 1 mm, in T1w space."""
    root = tmp_path_factory.mktemp("person") / "fmriprep"
    write_run(root, mm=1.0, frames=80)
    points = cortex("L", mm=1.0)
    shape, affine = (90, 100, 90), np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = points.mean(axis=0) - np.array(shape)
    anat = root / "sub-01/anat"
    make_image(anat / "sub-01_desc-preproc_T1w.nii.gz", np.ones(shape, "u1"), affine)
    return root


@pytest.fixture(scope="module")
def painted_output(person, tmp_path_factory):
    out = tmp_path_factory.mktemp("painted") / "out"
    assert run(person, out, reports=True) == 0
    return out


def test_a_labels_masker_gives_the_values_of_parcels_back(painted_output):
    names, values = of_parcels(painted_output)
    of_contrasts = volumes(painted_output, IN_MNI)
    assert set(of_contrasts) == set(names)
    masker = NiftiLabelsMasker(
        painted_output / f"{DSEG}.nii.gz", resampling_target=None, standardize=None
    ).fit()
    for row in (0, 20, 46):
        back = masker.transform(of_contrasts[names[row]]).ravel()
        np.testing.assert_array_equal(back, values[row])
    table = read_table(painted_output / f"{DSEG}.tsv")
    places = load_bundle("hcp-glasser").places
    assert [row["name"] for row in table] == [*places.names]
    assert [row["index"] for row in table] == [*map(str, range(1, 361))]
    size = sum(path.stat().st_size for path in of_contrasts.values())
    assert size <= 7_000_000
    facts = json.loads((painted_output / f"{FUNC}_{IN_MNI}_{END}.json").read_text())
    assert facts["ResampledFrom"] == "fsLR"
    assert "within 4 mm" in facts["Interpolation"]
    assert "74 %" in facts["InterpolationNote"]


def test_maps_are_loaded_once_and_in_the_space_that_is_asked_for(painted_output):
    table = bids_dtg.load_maps(painted_output)
    assert len(table) == 47
    assert set(table["space"]) == {"fsLR"}
    in_mni = bids_dtg.load_maps(painted_output, space="MNI152NLin6Asym")
    assert set(in_mni["path"]) == {
        str(path) for path in volumes(painted_output, IN_MNI).values()
    }
    with pytest.raises(SettingsError, match=r"no maps in 'MNI'.*MNI152NLin6Asym, fsLR"):
        bids_dtg.load_maps(painted_output, space="MNI")


def test_pages_and_the_group_are_those_without_volumes(
    painted_output, person, tmp_path
):
    pages = []
    for name in ("with", "without"):
        out = tmp_path / name
        shutil.copytree(painted_output, out)
        if name == "without":
            for path in out.glob(f"{FUNC}_{IN_MNI}_*"):
                path.unlink()
        assert run(person, out, "--reports-only", reports=True) == 0
        assert main([str(person), str(out), "group"]) == 0
        (mean,) = out.glob("group/*_desc-groupMean_statmap.*nii*")
        assert mean.name.endswith(".pscalar.nii")
        texts = ((out / page).read_text() for page in ("sub-01.html", "group.html"))
        pages.append([WHEN.sub("", text) for text in texts])
    assert pages[0] == pages[1]


def test_a_folder_that_was_finished_without_volumes_is_made_again(
    painted_output, person, tmp_path, capsys
):
    out = tmp_path / "out"
    shutil.copytree(painted_output, out)
    assert run(person, out) == 0
    assert "1 already complete" in capsys.readouterr().err
    record = out / "logs/complete/sub-01_task-rest.json"
    content = json.loads(record.read_text())
    del content["Options"]["painted_within_mm"]
    for name in [name for name in content["Outputs"] if IN_MNI in name]:
        del content["Outputs"][name]
        (out / name).unlink()
    record.write_text(json.dumps(content))
    assert run(person, out) == 0
    assert len(volumes(out, IN_MNI)) == 47
    first = next(iter(volumes(out, IN_MNI).values()))
    first.write_bytes(b"damaged")
    assert run(person, out, "--verify") == 1
    assert first.name in capsys.readouterr().out


def test_t1w_is_painted_near_own_surfaces_and_other_spaces_are_added(
    person, tmp_path, capsys
):
    root, out = tmp_path / "fmriprep", tmp_path / "out"
    shutil.copytree(person, root)
    add_surfaces(root, "fsLR", mm=1.0)
    atlas = tmp_path / "atlas-Halves_space-MNI152NLin6Asym_dseg.nii.gz"
    voxels, _ = painted(load_bundle("hcp-glasser").places, "MNI152NLin6Asym")
    halves = voxels.volume(1 + (voxels.points[:, 0] < 0).astype(np.uint8))
    make_image(atlas, halves, voxels.grid.affine)
    words = ["--output-spaces", "T1w", "MNI152NLin2009cAsym", "--atlases", str(atlas)]
    words += ["--surfaces", "fsLR", "fsaverage"]
    assert run(root, out, *words, "--dry-run") == 0
    printed = capsys.readouterr().out
    for line in (
        "MNI152NLin6Asym, near a template's",
        "MNI152NLin2009cAsym, near a template's",
        "T1w, near the person's own surfaces",
    ):
        assert f"also written in {line}" in printed
    assert run(root, out, *words) == 0
    names, values = of_parcels(out)
    for space in (IN_MNI, "space-MNI152NLin2009cAsym_seg-Glasser_res-2"):
        assert len(volumes(out, space)) == 47
    in_t1w = volumes(out, "space-T1w_seg-Glasser")
    image = nib.load(in_t1w[names[3]])
    points = cortex("L", mm=1.0)
    of_vertex = np.zeros(len(points))
    places = load_bundle("hcp-glasser").places
    for parcel, vertices in enumerate(places.axis.vertices):
        of_vertex[vertices.get("CIFTI_STRUCTURE_CORTEX_LEFT", [])] = values[3, parcel]
    back = nib.affines.apply_affine(np.linalg.inv(image.affine), points)
    index = np.rint(back).astype(int)
    in_view = ((index >= 0) & (index < image.shape)).all(axis=1) & (of_vertex != 0)
    at_vertices = image.get_fdata()[tuple(index[in_view].T)]
    assert np.corrcoef(at_vertices, of_vertex[in_view])[0, 1] > 0.9
    facts = json.loads((out / f"{FUNC}_space-T1w_seg-Glasser_{END}.json").read_text())
    assert "within 2.5 mm of the person's own" in facts["Interpolation"]
    assert len(facts["Sources"]) > 1
    check_meshes(out, names, values)
    (regions,) = out.glob(f"{FUNC}_*_atlas-Halves_*_desc-regions_statmap.tsv")
    assert_means_over_halves(read_table(regions), out, atlas)


def check_meshes(out: Path, names: list[str], values: np.ndarray) -> None:
    """Compare values on meshes with those of parcels."""
    stem = f"{FUNC}_hemi-L_space-{{}}_seg-Glasser_{{}}_{END}.func.gii"
    dense = nib.load(out / f"{FUNC}_space-fsLR_seg-Glasser_den-32k_{END}.dscalar.nii")
    assert dense.shape == (47, 59_412)
    assert list(dense.header.get_axis(0).name) == names
    model = dense.header.get_axis(1)
    assert not model.volume_mask.any()
    places = load_bundle("hcp-glasser").places
    left_mesh = nib.load(out / stem.format("fsLR", "den-32k"))
    row = left_mesh.darrays[5].data
    vertices = places.axis.vertices[9]["CIFTI_STRUCTURE_CORTEX_LEFT"]
    np.testing.assert_array_equal(row[vertices], values[5, 9])
    of_left = model.name == "CIFTI_STRUCTURE_CORTEX_LEFT"
    on_cortex = row[model.vertex[of_left]]
    np.testing.assert_array_equal(dense.get_fdata()[5][of_left], on_cortex)
    coarse = nib.load(out / stem.format("fsaverage", "den-10k"))
    assert np.isin(coarse.darrays[5].data, [*values[5], np.nan]).mean() > 0.9


def assert_means_over_halves(rows, out: Path, atlas: Path) -> None:
    """Compare means over an atlas with those of the painted volume's voxels that have a value."""
    labels = np.asarray(nib.load(atlas).dataobj)
    for row in rows[:4]:
        volume = nib.load(volumes(out, IN_MNI)[row["contrast"]]).get_fdata()
        inside = (labels == int(row["index"])) & (volume != 0)
        assert float(row["mean"]) == pytest.approx(volume[inside].mean(), rel=1e-4)


def test_without_own_surfaces_t1w_costs_a_line_and_no_person(person, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(person, out, "--output-spaces", "T1w") == 0
    log = capsys.readouterr().err
    assert "no maps in T1w, which are painted near the person's own surfaces" in log
    assert "sub-01 has no surfaces" in log
    assert len(volumes(out, IN_MNI)) == 47
    assert not volumes(out, "space-T1w_seg-Glasser")
    assert run(person, out, "--output-spaces", "T1w") == 0
    assert "1 already complete" in capsys.readouterr().err


def test_surfaces_that_are_elsewhere_are_not_painted(person, tmp_path, capsys):
    root, out = tmp_path / "fmriprep", tmp_path / "out"
    shutil.copytree(person, root)
    add_surfaces(root, "fsLR", mm=1.0, shift=(3, 0, 0))
    assert run(root, out, "--output-spaces", "T1w") == 0
    log = capsys.readouterr().err
    assert "no maps in T1w" in log
    assert "person's grey matter" in log
    assert not volumes(out, "space-T1w_seg-Glasser")


def test_each_version_of_the_parcels_is_painted_as_it_is():
    places = load_bundle("hcp-glasser").places
    turned = ParcelPlaces.of_axis(places.axis[::-1], "Glasser")
    voxels, painting = painted(places, "MNI152NLin6Asym")
    again, of_turned = painted(turned, "MNI152NLin6Asym")
    np.testing.assert_array_equal(voxels.positions, again.positions)
    np.testing.assert_array_equal(of_turned.parcel, 359 - painting.parcel)


def test_python_reads_and_paints_as_the_command_line(painted_output, person):
    (bold,) = person.glob("sub-01/func/*_bold.nii.gz")
    maps = bids_dtg.TaskMaps(model="hcp-glasser", min_minutes=2.0).fit()
    names, expected = of_parcels(painted_output)
    values = maps.transform(bold)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(maps.transform([nib.load(bold)])[0], expected)
    image = maps.image(values)
    assert list(maps.get_feature_names_out()) == names
    for row, name in enumerate(names[:3]):
        written = nib.load(volumes(painted_output, IN_MNI)[name])
        np.testing.assert_array_equal(image.affine, written.affine)
        in_file = written.get_fdata(dtype=np.float32)
        np.testing.assert_array_equal(
            image.get_fdata(dtype=np.float32)[..., row], in_file
        )
    with pytest.raises(SettingsError, match="MNI152NLin6Asym"):
        maps.image(values, space="MNI152NLin6")
    with pytest.raises(ValueError, match="360 parcels"):
        maps.image(values[:, 1:])


def test_a_file_without_a_bids_name_is_read_at_the_templates_surface(
    painted_output, person, tmp_path
):
    """The person's run is turned from T1w space to the template."""
    (bold,) = person.glob("sub-01/func/*_bold.nii.gz")
    (table,) = person.glob("sub-01/func/*_timeseries.tsv")
    image = nib.load(bold)
    affine = np.linalg.inv(TO_T1W) @ image.affine
    values = np.asarray(image.dataobj)
    nib.save(nib.Nifti1Image(values, affine), tmp_path / "my rest.nii.gz")
    maps = bids_dtg.TaskMaps(model="hcp-glasser", min_minutes=2.0, t_r=2.0).fit()
    written = maps.transform(tmp_path / "my rest.nii.gz", confounds=table)
    _, expected = of_parcels(painted_output)
    np.testing.assert_allclose(written, expected, rtol=0, atol=1e-2)
    assert maps.image(written[0]).shape == (91, 109, 91)
