"""People and their maps laid out from the files of an output folder, as typed."""

from __future__ import annotations

import json
import re
import shutil

import nibabel as nib
import numpy as np
import pytest
from tiny_cohort import TinyCohort
from tiny_job import read_table

from bids_dtg.stats.cohort.embedding import umap_is_missing

LABELS = tuple(f"{n:02d}" for n in range(1, 10))
STRANGER = "07"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Nine people, whose predicted maps are a mean, some noise and of one a map of its own."""
    cohort = TinyCohort(
        tmp_path_factory.mktemp("cohort"), LABELS, contrasts=("languageMath", "languageStory")
    )
    assert cohort.run() == 0
    rng = np.random.default_rng(0)
    means: dict[str, np.ndarray] = {}
    for path in sorted(cohort.out.glob("sub-*/func/*_desc-synthetic_statmap.nii.gz")):
        image = nib.load(path)
        values = image.get_fdata(dtype=np.float32)
        inside = values != 0
        contrast = path.name.partition("_contrast-")[2].partition("_")[0]
        mean = means.setdefault(contrast, rng.standard_normal(values.shape))
        own = rng.standard_normal(values.shape)
        mean = -mean if path.name.startswith(f"sub-{STRANGER}") else mean
        made = np.where(inside, mean + 0.3 * own, 0).astype(np.float32)
        nib.save(nib.Nifti1Image(made, image.affine, image.header), path)
    assert cohort.analyse("embed") == 0
    return cohort


def table(cohort, name: str) -> list[dict[str, str]]:
    return read_table(cohort.out / f"group/embed/{name}.tsv")


def maps(cohort, contrast: str) -> np.ndarray:
    paths = sorted(cohort.out.glob(f"sub-*/func/*contrast-{contrast}_*synthetic_statmap.nii.gz"))
    assert len(paths) == len(LABELS)
    whole = np.stack([nib.load(path).get_fdata().ravel() for path in paths])
    return whole[:, (whole != 0).any(axis=0)]


def test_coordinates_are_the_principal_components_of_the_files(cohort):
    own = maps(cohort, "languageMath")
    rows = [
        row
        for row in table(cohort, "desc-people_coordinates")
        if (row["features"], row["contrast"]) == ("maps", "languageMath")
    ]
    assert [row["participant_id"] for row in rows] == [f"sub-{label}" for label in LABELS]
    centred = own - own.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    found = np.array([[float(row[f"pc{n}"]) for n in (1, 2, 3)] for row in rows])
    wanted = (left * sizes)[:, :3] / np.sqrt(own.shape[1])
    np.testing.assert_allclose(np.abs(found), np.abs(wanted), rtol=1e-2, atol=1e-4)
    shares = [
        float(row["share"])
        for row in table(cohort, "desc-people_components")
        if (row["features"], row["contrast"]) == ("maps", "languageMath")
    ]
    np.testing.assert_allclose(shares, sizes[:-1] ** 2 / np.sum(sizes**2), rtol=1e-3)


def test_each_distance_is_from_the_mean_and_a_stranger_is_farthest(cohort):
    own = maps(cohort, "languageStory")
    rows = [
        row
        for row in table(cohort, "desc-people_coordinates")
        if (row["features"], row["contrast"]) == ("maps", "languageStory")
    ]
    wanted = np.sqrt(np.mean((own - own.mean(axis=0)) ** 2, axis=1))
    found = np.array([float(row["distance"]) for row in rows])
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    assert LABELS[found.argmax()] == STRANGER
    page = (cohort.out / "group/embed/statistics_report.html").read_text()
    assert re.search(r"sub-07.*?predicted maps.*?far", page, re.DOTALL)


def test_contrasts_are_clusters_in_the_figures(cohort):
    rows = {row["features"]: row for row in table(cohort, "desc-maps_clusters")}
    assert rows.keys() == {"maps", "measured"}
    own = np.concatenate([maps(cohort, name) for name in ("languageMath", "languageStory")])
    assert (rows["maps"]["people"], rows["maps"]["contrasts"]) == ("9", "3")
    assert float(rows["maps"]["silhouette"]) > 0.3
    shares = ("between_contrasts", "between_people", "residual")
    assert sum(float(rows["maps"][name]) for name in shares) == pytest.approx(1)
    points = table(cohort, "desc-maps_coordinates")
    assert sum(row["features"] == "maps" for row in points) == 3 * len(own) // 2


def test_the_page_has_the_answer_first_and_the_tables_their_meanings(cohort):
    page = (cohort.out / "group/embed/statistics_report.html").read_text()
    assert page.index("contrasts form") < page.index("The nearest and the farthest people")
    words = json.loads((cohort.out / "group/embed/desc-people_coordinates.json").read_text())
    assert set(words) == {"Description", *table(cohort, "desc-people_coordinates")[0]}
    assert "UMAP" in page


def test_three_people_are_too_few(cohort, capsys):
    assert cohort.analyse("embed", "--participant-label", *LABELS[:3]) == 2
    (line,) = [x for x in capsys.readouterr().err.splitlines() if "too few to lay out" in x]
    assert "only 3 participants with maps" in line


@pytest.mark.slow
def test_few_people_get_no_verdict(cohort, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(cohort.out, out)
    arguments = ["--participant-label", *LABELS[:4], "--feature-sets", "maps", "--name", "few"]
    assert cohort.analyse("embed", *arguments, out=out) == 0
    said = capsys.readouterr().err
    assert "contrasts form" not in said
    page = (out / "group/embed-few/statistics_report.html").read_text()
    assert "No verdict with 4 participants (8 are needed)" in page
    assert "contrasts form" not in page


@pytest.mark.slow
def test_a_damaged_map_leaves_its_person_out_of_what_it_is_of(cohort, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(cohort.out, out)
    broken = next((out / "sub-02/func").glob("*contrast-languageStory_*synthetic_statmap.nii.gz"))
    broken.write_bytes(b"no image")
    assert cohort.analyse("embed", "--feature-sets", "maps", out=out) == 1
    assert "sub-02 is left out of maps: languageStory" in capsys.readouterr().err
    rows = read_table(out / "group/embed/desc-people_coordinates.tsv")
    people = {
        contrast: {row["participant_id"] for row in rows if row["contrast"] == contrast}
        for contrast in ("languageMath", "languageStory", "all contrasts")
    }
    assert "sub-02" in people["languageMath"]
    assert "sub-02" not in people["languageStory"] | people["all contrasts"]
    points = read_table(out / "group/embed/desc-maps_coordinates.tsv")
    assert {row["participant_id"] for row in points} == people["all contrasts"]


def test_a_dry_run_writes_nothing(cohort, capsys):
    assert cohort.analyse("embed", "--dry-run", "--name", "dry") == 0
    assert "would lay out 9 participants by predicted maps" in capsys.readouterr().out
    assert not (cohort.out / "group/embed-dry").exists()


@pytest.mark.slow
@pytest.mark.skipif(umap_is_missing(), reason="UMAP needs the extra [umap]: pip install '.[umap]'")
def test_umap_is_in_tables_and_page(cohort):
    (row, *_) = table(cohort, "desc-maps_coordinates")
    assert row["umap1"] != "n/a"
    assert "UMAP 1" in (cohort.out / "group/embed/statistics_report.html").read_text()


def test_odd_folders_and_sidecars_are_named(cohort, tmp_path, capsys):
    out = shutil.copytree(cohort.out, tmp_path / "out")
    (out / "sub-09").rename(out / "sub-10")
    for path in out.glob("sub-08/func/*synthetic_statmap.json"):
        path.write_text("{")
    for path in out.glob("sub-06/func/*synthetic_statmap.nii.gz"):
        path.write_bytes(b"")
    assert cohort.analyse("embed", "--feature-sets", "maps", "--name", "odd", out=out) == 1
    said = capsys.readouterr().err
    assert "sub-09_task-rest is left out: it lies in the folder of sub-10" in said
    assert "sub-08_task-rest is left out: the sidecar of its maps is missing or damaged" in said
    assert "sub-06 is left out of maps" in said
    assert "of 6 participants" in said


@pytest.mark.slow
def test_a_file_in_the_place_of_the_folder_is_named(cohort, tmp_path, capsys):
    out = shutil.copytree(cohort.out, tmp_path / "out")
    (out / "group/embed-odd").write_text("not a folder")
    assert cohort.analyse("embed", "--feature-sets", "maps", "--name", "odd", out=out) == 1
    assert "remove or rename the file" in capsys.readouterr().err
