"""An atlas of the cortex's surface through all workflows, and files that are none."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from fmriprep_dataset import describe_dataset
from folded_person import FRAMES, add_surfaces, field, write_run
from label_files import parcels, write_labels
from maps_bundle import write_tiny_bundle
from maps_job import FRAMES as TINY_FRAMES
from maps_job import add_rest, read_table
from person_surfaces import template_mesh
from scipy.ndimage import map_coordinates

from bids_dtg import load_bundle, load_maps
from bids_dtg.cli.run import main
from bids_dtg.files.regions import read_relmat, read_series
from bids_dtg.imaging.surfaces.cifti import CORTEX

MM = 1.0  # sd of the person's folds around the template's, which the models' mask holds
CONTRAST = "languageMath"


@pytest.fixture(scope="module")
def person(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("atlas") / "fmriprep"
    write_run(root, mm=MM)
    add_surfaces(root, "fsLR", mm=MM)
    return root


def run(person: Path, out: Path, *words: str) -> int:
    arguments = [
        str(person),
        str(out),
        "participant",
        "--min-minutes",
        "1",
        "--no-reports",
    ]
    return main([*arguments, "--denoise-strategy", "none", *words])


def only(out: Path, pattern: str) -> Path:
    (path,) = out.rglob(pattern)
    return path


@pytest.mark.slow
def test_one_atlas_has_the_same_series_in_all_workflows(person, tmp_path):
    labels = write_labels(tmp_path / "atlas-Mine.dlabel.nii")
    series = {}
    for name, words in {
        "dynamics": ["--workflow", "dynamics", "--atlases", "Glasser"],
        "twin": ["--workflow", "twin", "--atlases", "glasser"],
        "file": ["--workflow", "dynamics", "--atlases", str(labels)],
    }.items():
        assert run(person, tmp_path / name, *words) == 0
        path = only(tmp_path / name, "*_space-fsLR_atlas-*_stat-mean_timeseries.tsv")
        table = read_series(path)
        assert table.names == tuple(parcel for parcel, _, _ in parcels())
        series[name] = table.values
        assert json.loads(path.with_suffix(".json").read_text())["Surface"] == "own"
    assert series["dynamics"].shape == (360, FRAMES)
    np.testing.assert_allclose(series["twin"], series["dynamics"], atol=1e-5)
    np.testing.assert_allclose(series["file"], series["dynamics"], atol=1e-5)
    edges = read_relmat(only(tmp_path / "twin", "*_stat-fisherz_relmat.tsv")).values
    off = ~np.eye(360, dtype=bool)
    wanted = np.arctanh(np.corrcoef(series["dynamics"])[off])
    np.testing.assert_allclose(edges[off], wanted, atol=1e-5)
    # Contrasts write series of ROIs, which are least-squares fits to standardised parcels.
    words = ["--model", "hcp-glasser", "--atlases", "Glasser", "--write", "connectome"]
    assert run(person, tmp_path / "contrasts", *words) == 0
    bundle, first = load_bundle("hcp-glasser"), 0
    for rois in bundle.card.part.connectome.sets:
        maps = np.asarray(bundle.roi_maps[first : first + rois], np.float64)
        first += rois
        maps = maps - maps.mean(axis=1, keepdims=True)
        fitted = np.linalg.lstsq(maps.T, series["dynamics"].astype(float), rcond=None)[
            0
        ]
        path = only(
            tmp_path / "contrasts", f"*_seg-rois{rois}_desc-rois_timeseries.tsv"
        )
        written = np.loadtxt(path, skiprows=1)
        scale = np.abs(fitted).max()
        np.testing.assert_allclose(written.T, fitted, atol=1e-5 * scale)


@pytest.mark.slow
def test_maps_of_voxels_are_averaged_over_the_vertices_of_parcels(person, tmp_path):
    """Against scipy's interpolation of the written map at the person's own vertices."""
    words = ["--model", "demo", "--contrast", CONTRAST, "--sample-on", "own"]
    assert run(person, tmp_path / "out", *words, "--atlases", "Glasser") == 0
    pattern = "*_space-fsLR_atlas-Glasser_*_desc-regions_statmap"
    rows = read_table(only(tmp_path / "out", f"{pattern}.tsv"))
    assert [row["name"] for row in rows] == [name for name, _, _ in parcels()]
    pattern_of_map = f"*_contrast-{CONTRAST}_*_desc-synthetic_statmap.nii.gz"
    image = nib.load(only(tmp_path / "out", pattern_of_map))
    mask = load_bundle("demo").voxels.mask
    values = np.where(mask, image.get_fdata(), 0.0)
    wanted, counts = [], []
    for _, structure, vertices in parcels():
        points = template_mesh("LR"[CORTEX.index(structure)])[0]
        points = (points + field(points, MM))[vertices]
        at = np.linalg.solve(image.affine, np.c_[points, np.ones(len(points))].T)[:3]
        total = map_coordinates(values, at, order=1)
        weight = map_coordinates(mask.astype(float), at, order=1)
        has_value = weight > 1e-6
        counts.append(has_value.sum())
        mean = (total[has_value] / weight[has_value]).mean()
        wanted.append(mean if has_value.mean() >= 0.5 else np.nan)
    means = [float(row["mean"].replace("n/a", "nan")) for row in rows]
    np.testing.assert_allclose(means, wanted, atol=1e-5)
    np.testing.assert_array_equal([int(row["vertices"]) for row in rows], counts)
    table = load_maps(tmp_path / "out", atlas="glasser")
    np.testing.assert_allclose(table["mean"], means)
    facts = json.loads(only(tmp_path / "out", f"{pattern}.json").read_text())
    assert (facts["Surfaces"], len(facts["SurfaceSources"])) == ("participant", 3)


@pytest.mark.slow
def test_a_person_without_surfaces_is_refused_where_own_ones_are_asked_for(
    person, tmp_path, capsys
):
    (root := tmp_path / "without").mkdir()
    for path in person.rglob("*"):
        copy = root / path.relative_to(person)
        if path.is_dir():
            copy.mkdir(exist_ok=True)
        elif not path.name.endswith(".surf.gii"):
            copy.symlink_to(path)
    for number, words in enumerate(
        (
            ["--workflow", "dynamics"],
            ["--workflow", "twin"],
            ["--model", "hcp-glasser"],
            ["--model", "demo"],
        )
    ):
        surface_words = [
            *words,
            "--atlases",
            "Glasser",
            "--sample-on",
            "own",
            "--dry-run",
        ]
        assert run(root, tmp_path / str(number), *surface_words) == 1
        message = "".join(capsys.readouterr())
        assert "sub-01 has no " in message
        assert "Expected: surfaces, for --sample-on own" in message


@pytest.mark.slow
def test_statistics_of_maps_of_voxels_are_over_vertices(tmp_path):
    """Of people who were read at the template's surface, as the group level reads all."""
    shape, affine = (12, 14, 12), np.diag([16.0, 16, 16, 1])
    affine[:3, 3] = -88, -120, -64
    bids = describe_dataset(tmp_path / "fmriprep")
    write_tiny_bundle(tmp_path / "tiny", name="tiny", shape=shape, affine=affine)
    for number in range(8):
        noise = np.random.default_rng(number).normal(1000, 30, (*shape, TINY_FRAMES))
        bold = noise.round().astype(np.int16)
        add_rest(bids, f"{number:02d}", bold=bold, affine=affine, seed=number)
    rows = "".join(f"sub-{number:02d}\t{20 + number}\n" for number in range(8))
    (bids / "participants.tsv").write_text(f"participant_id\tage\n{rows}")
    places = [str(bids), str(tmp_path / "out")]
    words = ["--atlases", "Glasser", "--contrast", CONTRAST]
    model = ["--model", str(tmp_path / "tiny"), "--no-reports"]
    surface = ["--sample-on", "template"]
    assert main([*places, "participant", *model, *surface, *words]) == 0
    stats = ["--analysis", "stats", "--phenotype", "age"]
    assert main([*places, "group", *stats, *words]) == 0
    table = load_maps(tmp_path / "out", atlas="Glasser")
    means = table.pivot(index="participant", columns="name", values="mean")
    tests = read_table(only(tmp_path / "out", "desc-ageMaps_tests.tsv"))
    assert len(tests) > 300
    for row in tests:
        r = np.corrcoef(np.arange(8), means[row["name"]])[0, 1]
        t = r * np.sqrt(6 / (1 - r**2))
        assert float(row["t"]) == pytest.approx(t, rel=1e-3, abs=1e-3)
