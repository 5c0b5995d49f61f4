"""Parcels as means over vertices: against Connectome Workbench, and between versions of a run."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from fmriprep_dataset import describe_dataset, make_image
from folded_person import CENTRE, add_fsaverage, add_surfaces, write_run
from folded_person import FRAMES as SIMULATED
from happy_person import PERSON, VERSIONS, write_happy_person
from person_surfaces import add_fmriprep_surfaces
from workbench_parcels import FRAMES, STORED

from bids_dtg import load_bundle, predict_maps
from bids_dtg.cli.run import main as program
from bids_dtg.contrasts.participant.measure import measure
from bids_dtg.errors import SettingsError
from bids_dtg.files.paths import PathNames
from bids_dtg.imaging.surfaces.meshes import REGISTERED, read_arrays, read_template
from bids_dtg.imaging.surfaces.vertices import GreyMatter, parcels_of_vertices
from bids_dtg.inputs.runs import find_runs
from bids_dtg.inputs.space_choice import SpaceRule
from bids_dtg.notices import NO_MASK
from bids_dtg.participants.run_source import RunSource
from bids_dtg.settings import CleaningOptions


def series_of(root, label=PERSON, **rule) -> tuple[np.ndarray, RunSource]:
    """Return a run's series (frames, parcels) and its source."""
    (run,) = find_runs(root, label, rule=SpaceRule(model="fsLR parcels", **rule))
    bundle = load_bundle("hcp-glasser")
    cleaning = CleaningOptions(min_minutes=0.5, denoise_strategy="none")
    source = RunSource.of(run, bundle.space, bundle.places, cleaning)
    return np.concatenate([block.copy() for _, block in source.blocks()]), source


STEM = "sub-01/func/sub-01_task-rest_space-MNI152NLin6Asym_desc-"


def write_plane(root, frames=60, *, dtype=np.float32, lost=slice(0)):
    """Write a run whose volumes are a plane in space that rises; return affine and shape.

    Voxels of `lost` along the last axis are 0. Linear interpolation of a plane is exact.
    """
    describe_dataset(root)
    affine = np.diag([8.0, 8, 8, 1])
    affine[:3, 3] = -96, -132, -80
    voxels = np.stack(np.meshgrid(*map(np.arange, (25, 29, 25)), indexing="ij"), -1)
    plane = nib.affines.apply_affine(affine, voxels) @ [1, 2, 3.0] + 2000
    image = (plane[..., None] + np.arange(float(frames))).astype(dtype)
    image[:, :, lost] = 0
    make_image(Path(f"{root / STEM}preproc_bold.nii"), image, affine)
    Path(f"{root / STEM}preproc_bold.json").write_text('{"RepetitionTime": 2.0}')
    return affine, plane.shape


def wanted_of_plane(lost=0):
    """Return the first frame's means of parcels, and the share of vertices that have data.

    A vertex has none if more than half of its weight is in the lowest slices, which are 0.
    """
    template = read_template("fsLR").points
    of_sides = parcels_of_vertices(load_bundle("hcp-glasser").places)
    points = np.concatenate([template[side] for side in "LR"])
    parcel = np.concatenate([of_sides[side] for side in "LR"])
    slices = (points[:, 2] + 80) / 8
    has_data = slices > lost - 0.5
    at_edge = has_data & (slices < lost)
    points[at_edge, 2] = 8 * lost - 80
    weights = np.where(at_edge, slices - lost + 1, 1.0)
    values = weights * (points @ [1, 2, 3.0] + 2000)
    inside = [parcel == number for number in range(360)]
    share = np.array([has_data[of_parcel].mean() for of_parcel in inside])
    means = [
        values[of_parcel & has_data].mean() if of_share >= 0.5 else 0.0
        for of_parcel, of_share in zip(inside, share, strict=True)
    ]
    return np.array(means), share


@pytest.mark.parametrize(("kind", "mask"), [("own", False), ("template", True)])
def test_a_parcel_is_the_mean_of_its_vertices_in_the_volumes(tmp_path, kind, mask):
    root = tmp_path / "fmriprep"
    affine, shape = write_plane(root)
    course = np.arange(60.0)
    if mask:
        inside = np.ones(shape, np.uint8)
        make_image(Path(f"{root / STEM}brain_mask.nii.gz"), inside, affine)
    if kind == "own":  # in T1w space, with the transform
        add_fmriprep_surfaces(root, "01")
    series, source = series_of(root, "01")
    assert source.surface.kind == kind
    assert (NO_MASK in source.notes) == (not mask)
    of_surface = source.surface.note
    assert ("their position was not checked" in of_surface) == (kind == "own")
    assert source.surface.position == ("not checked" if kind == "own" else None)
    np.testing.assert_allclose(series[0], wanted_of_plane()[0], rtol=1e-5)
    np.testing.assert_allclose(
        series - series[0], course[:, None] + 0 * series, atol=0.01
    )
    assert source.share().tolist() == [1.0] * 360


@pytest.mark.parametrize("lost", [slice(0), slice(6)])
def test_a_run_is_opened_as_often_where_vertices_have_no_data(
    tmp_path, monkeypatch, lost
):
    write_plane(tmp_path / "fmriprep", lost=lost)
    opened, open_file = [], io.open

    def count(path, *words, **options):
        if str(path).endswith("_bold.nii"):
            opened.append(path)
        return open_file(path, *words, **options)

    monkeypatch.setattr("io.open", count)
    _, source = series_of(tmp_path / "fmriprep", "01")
    assert (source.share().min() < 1) == (lost == slice(6))
    assert len(opened) == 2  # for its header, and its frames


@pytest.mark.slow
def test_vertices_without_data_are_left_out_of_what_is_held(tmp_path, monkeypatch):
    means, share = wanted_of_plane(lost=6)
    assert (share < 1).any()
    root = tmp_path / "fmriprep"
    for frames in (60, 2400):  # 2 MB are held in memory, 74 MB in a file
        write_plane(root, frames, dtype=np.float64, lost=slice(6))
        series, source = series_of(root, "01")
        np.testing.assert_allclose(source.share(), share)
        np.testing.assert_allclose(series[0], means, rtol=1e-5)
        assert ((series[-1] - series[0] > 0) == (means > 0)).all()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "no such folder"))
    with pytest.raises(SettingsError, match=r"set TMPDIR to a writable .* \d+ MB free"):
        series_of(root, "01")


@pytest.mark.parametrize(
    ("shifted", "by_centre", "is_displaced"),
    [(0.4, None, False), (0.4, 0.4, False), (0.6, None, True), (0.4, 0.6, True)],
)
def test_a_surface_is_displaced_where_a_shift_finds_more_grey_matter(
    shifted, by_centre, is_displaced
):
    assert GreyMatter(0.5, shifted, by_centre).is_displaced == is_displaced


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["own", "template"])
@pytest.mark.parametrize("version", VERSIONS)
def test_parcels_equal_workbench(shared, tmp_path, version, kind):
    root = write_happy_person(
        shared, tmp_path, versions=(version,), own_surfaces=kind == "own"
    )
    series, source = series_of(root)
    assert source.surface.kind == kind
    with np.load(STORED) as stored:
        wanted = stored[f"{version} {kind}"]
    np.testing.assert_allclose(series[list(FRAMES)], wanted, rtol=1e-4)


def _r(first, second):
    """Correlate series (frames, parcels), parcel by parcel."""
    first, second = (series - series.mean(axis=0) for series in (first, second))
    lengths = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
    return (first * second).sum(axis=0) / np.where(lengths > 0, lengths, np.nan)


def _connectome(series):
    return np.corrcoef(series.T)[np.triu_indices(series.shape[1], 1)]


@pytest.mark.slow
def test_native_volumes_and_those_in_the_template_give_one_connectome(shared, tmp_path):
    both_series = []
    for version in ("boldref", "MNI152NLin6Asym"):
        root = write_happy_person(shared, tmp_path / version, versions=(version,))
        both_series.append(series_of(root)[0])
    assert np.corrcoef(*map(_connectome, both_series))[0, 1] >= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("has_surfaces", [True, False], ids=["own", "template"])
def test_the_dry_run_says_which_surface_and_why(shared, tmp_path, capsys, has_surfaces):
    root = write_happy_person(
        shared, tmp_path, versions=("MNI152NLin2009cAsym",), own_surfaces=has_surfaces
    )
    words = ["participant", "--model", "hcp-glasser", "--min-minutes", "1", "--dry-run"]
    assert program([str(root), str(tmp_path / "out"), *words]) == 0
    printed = capsys.readouterr().out
    where = (
        "the person's own surfaces (midthickness"
        if has_surfaces
        else "a template's surface\n"
    )
    assert f"in MNI152NLin2009cAsym at the vertices of {where}" in printed
    assert ("on a template's surface, as sub-" in printed) == (not has_surfaces)


@pytest.mark.slow
def test_a_templates_surface_halves_the_deviation_of_maps(shared, tmp_path):
    bundle, maps = load_bundle("hcp-glasser"), {}
    root = write_happy_person(
        shared, tmp_path, versions=("MNI152NLin2009cAsym",), own_surfaces=False
    )
    (run,) = find_runs(root, PERSON, rule=SpaceRule(model="fsLR parcels"))
    connectome = measure(run, bundle, CleaningOptions(min_minutes=0.5))
    assert connectome.deviation == 0.5
    for factor in (1.0, 0.5):
        part = replace(connectome, deviation=factor)
        maps[factor] = predict_maps(part, bundle, device="cpu", threads=1).values
    offset = bundle.correction.offset
    np.testing.assert_allclose(maps[0.5] - offset, (maps[1.0] - offset) / 2, atol=1e-5)


# --- a simulated person whose folds differ from the template's by 6 mm


@pytest.fixture(scope="module")
def person(tmp_path_factory):
    root = tmp_path_factory.mktemp("folded") / "fmriprep"
    return root, write_run(root)


def _copy(person, folder):
    shutil.copytree(person[0], folder / "fmriprep")
    return folder / "fmriprep"


@pytest.mark.slow
@pytest.mark.parametrize(
    "source", ["fsLR", "fsLR's sphere", "fsaverage's sphere", "FreeSurfer"]
)
def test_own_surfaces_find_the_true_series_and_the_template_does_not(
    person, tmp_path, source
):
    root, truth = _copy(person, tmp_path), person[1]
    at_template, template = series_of(root, "01")
    add_surfaces(root, source)
    series, measured = series_of(root, "01")
    assert (template.surface.kind, measured.surface.kind) == ("template", "own")
    r = _r(series, truth)
    assert np.median(r) >= 0.98
    assert np.nanmedian(_r(at_template, truth)) < 0.9
    grey = measured.surface.grey_matter
    assert grey.at_vertices > 1.1 * grey.shifted
    if source != "fsLR":  # all sources agree
        shutil.rmtree(root / "sourcedata", ignore_errors=True)
        add_surfaces(root, "fsLR")
        assert np.median(_r(series, series_of(root, "01")[0])) >= 0.99


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "shift"),
    [
        ("fsLR", (3, 0, 0)),
        ("fsLR", (0, -3, 0)),
        ("fsLR", (0, 2, 2.5)),
        ("FreeSurfer", CENTRE),  # the centre of its image was added twice
    ],
    ids=["3 mm", "backwards", "oblique", "C_RAS"],
)
def test_surfaces_that_are_not_where_the_grey_matter_is_give_way_to_the_template(
    person, tmp_path, source, shift
):
    root = _copy(person, tmp_path)
    wanted, _ = series_of(root, "01")
    add_surfaces(root, source, shift=shift)
    series, measured = series_of(root, "01")
    assert measured.surface.kind == "template"
    assert "is not where the person's grey matter is" in measured.surface.reason
    assert measured.surface.facts(PathNames())["GreyMatterAtVertices"] < 0.8
    np.testing.assert_array_equal(series, wanted)


@pytest.mark.slow
def test_vertices_without_data_are_left_out_and_parcels_need_half_of_theirs(
    person, tmp_path
):
    root = _copy(person, tmp_path)
    (path,) = (root / "sub-01/func").glob("*_bold.nii.gz")
    next((root / "sub-01/func").glob("*_mask.nii.gz")).unlink()  # as of XCP-D
    whole, _ = series_of(root, "01")
    image = nib.load(path)
    values, middle = np.asarray(image.dataobj).copy(), image.shape[2] // 2
    values[:, :, :middle] = 0  # outside the mask
    values[:, :, -3:, 5:9] = 0  # outside the field of view, in some frames
    nib.save(nib.Nifti1Image(values, image.affine, image.header), path)
    series, _ = series_of(root, "01")
    lost = (series == 0).all(axis=0)
    assert 100 < lost.sum() < 260
    same = np.isclose(series, whole, rtol=1e-4).all(axis=0)
    assert same.sum() > 60
    partly = ~lost & ~same
    assert partly.any()  # means over the vertices that are left
    assert (series[:, ~lost] > 500).all()  # no zeros are in the means


@pytest.mark.slow
def test_series_on_fsaverage(person, tmp_path):
    root, truth = _copy(person, tmp_path), person[1]
    arrays = read_arrays(REGISTERED)
    add_fsaverage(root, truth, {side: arrays[f"nearest_{side}"] for side in "LR"})
    series, source = series_of(root, "01")
    assert source.surface.kind == "fsaverage"
    assert len(series) == SIMULATED
    np.testing.assert_allclose(series, 1000 + truth, rtol=1e-5)
