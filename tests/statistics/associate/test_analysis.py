"""Association with phenotypes: as typed, in an output folder of twelve people."""

from __future__ import annotations

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from scipy.stats import linregress
from tiny_bundle import TINY_AFFINE, tiny_masks
from tiny_cohort import TinyCohort
from tiny_job import read_table

LABELS = tuple(f"{n:02d}" for n in range(1, 13))
PREDICTED = ("languageMath", "languageStory")  # of which there are measured maps, too


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Return people whose phenotype is nearly the mean of a region of their maps."""
    folder = tmp_path_factory.mktemp("cohort")
    cohort = TinyCohort(folder, LABELS, lacking=("05",), contrasts=PREDICTED)
    atlas = folder / "atlas-Own_space-MNI152NLin6Asym_dseg.nii.gz"
    mask = tiny_masks()[1]
    parcels = np.where(mask, np.cumsum(mask).reshape(mask.shape) % 5 + 1, 0)
    nib.save(nib.Nifti1Image(parcels.astype(np.int16), TINY_AFFINE), atlas)
    assert cohort.run("--atlases", atlas) == 0
    rng = np.random.default_rng(0)
    means = np.array([float(region_tables(cohort)[label][2]["mean"]) for label in LABELS])
    score = means + 0.01 * means.std() * rng.normal(size=12)
    rows = ["participant_id\tscore\tnoise\tage\tgroup\teyes\tsame\tfamily_id"]
    for n, label in enumerate(LABELS):
        noise = rng.normal() if n else "n/a"
        eyes, group = ("blue", "brown", "green")[n % 3], "patient" if n % 3 else "control"
        row = (f"sub-{label}", score[n], noise, 20 + n * n % 7, group, eyes, 1, f"f{n // 2}")
        rows.append("\t".join(map(str, row)))
    (cohort.bids / "participants.tsv").write_text("\n".join(rows) + "\n")
    return cohort


def region_tables(cohort):
    return {
        label: read_table(next(cohort.out.glob(f"sub-{label}/**/*_desc-regions_statmap.tsv")))
        for label in LABELS
    }


def summary(folder):
    rows = read_table(folder / "desc-associations_summary.tsv")
    return {(row["phenotype"], row["features"], row["contrast"]): row for row in rows}


def values(cohort, phenotype):
    rows = read_table(cohort.bids / "participants.tsv")
    return np.array([float(row[phenotype]) for row in rows])


@pytest.mark.slow
def test_a_region_that_is_the_phenotype_is_found_beside_the_edges(cohort, capsys):
    assert cohort.analyse("associate", "--phenotype", "score", "--permutations", 199) == 0
    folder = cohort.out / "group/associate"
    rows = read_table(folder / "desc-scoreRegions_associations.tsv")
    of_file = region_tables(cohort)
    assert [(row["contrast"], row["name"]) for row in rows] == [
        (row["contrast"], row["name"]) for row in of_file["01"]
    ]
    for position, row in enumerate(rows):
        own = np.array([float(of_file[label][position]["mean"]) for label in LABELS])
        expected = linregress(values(cohort, "score"), own)
        assert float(row["r"]) == pytest.approx(expected.rvalue, abs=1e-3)  # digits of the tables
        if abs(expected.rvalue) < 0.99:
            assert float(row["p"]) == pytest.approx(expected.pvalue, rel=0.02)
    best = rows[2]
    assert float(best["r"]) > 0.99
    assert float(best["q"]) < 0.05
    # Six families of two: 720 orders.
    assert float(best["p_permuted"]) == float(best["p_fwe"]) == 1 / 200
    meanings = json.loads((folder / "desc-scoreRegions_associations.json").read_text())
    assert all(meanings[name]["Description"] for name in best)
    edges = read_table(folder / "desc-scoreEdges_associations.tsv")
    assert "contrast" not in edges[0]
    assert edges[0]["name"] == "roi01-roi02"
    found = summary(folder)["score", "regions", rows[2]["contrast"]]
    assert (found["participants"], found["dof"], found["name"]) == ("12", "10", best["name"])
    assert found["tests_fdr"] == str(
        sum(float(row["q"]) <= 0.05 for row in rows if row["contrast"] == best["contrast"])
    )
    said = capsys.readouterr().err
    assert "score: means of regions: " in said
    assert "; edges of the connectome: none of 6 tests at q" in said
    page = (folder / "statistics_report.html").read_text()
    for words in (
        "Something is associated with 1 of 1 phenotype",
        "Single edges of the connectome are not associated with it at this rate",
        "Whole families of equal size were swapped with each other (families by number of people: "
        "6 of 2)",
        "199 permutations, seed 0",
        "edges of the connectome",
        "12 participants. Covariates: none",
    ):
        assert words in page


@pytest.mark.slow
def test_voxels_have_maps_and_a_line_a_contrast(cohort):
    words = ["--phenotype", "score", "group", "--feature-sets", "maps", "--permutations", 199]
    assert cohort.analyse("associate", *words, "--covariates", "age", "--name", "voxels") == 0
    folder = cohort.out / "group/associate-voxels"
    names = {path.name for path in folder.glob("*.nii.gz")}
    assert len(names) == 2 * len(cohort.bundle.contrasts) * 4
    contrast = cohort.bundle.contrasts[0].label
    (r_file,) = folder.glob(f"*_contrast-{contrast}_stat-r_*desc-scoreMaps_statmap.nii.gz")
    r = nib.load(r_file).get_fdata()
    row = summary(folder)["score", "maps", contrast]
    assert np.abs(r).max() == pytest.approx(abs(float(row["r"])), abs=1e-3)
    assert row["name"].endswith(") mm")
    assert row["dof"] == "9"
    sidecar = json.loads(r_file.with_name(r_file.name.replace(".nii.gz", ".json")).read_text())
    assert (sidecar["Phenotype"], sidecar["NParticipants"]) == ("score", 12)
    maps = [nib.load(made.path).get_fdata() for made in maps_of(cohort, contrast)]
    place = np.unravel_index(np.abs(r).argmax(), r.shape)
    own = np.array([found[place] for found in maps])
    left = [residual(column, values(cohort, "age")) for column in (own, values(cohort, "score"))]
    assert np.corrcoef(left)[0, 1] == pytest.approx(r[place], abs=1e-4)
    assert "patient" in (folder / "statistics_report.html").read_text()


@pytest.mark.slow
def test_who_lacks_a_measured_map_lacks_only_its_contrast(cohort):
    words = ["--phenotype", "score", "--feature-sets", "measured", "--name", "measured"]
    assert cohort.analyse("associate", *words, "--permutations", 19) == 0
    found = summary(cohort.out / "group/associate-measured")
    people = [found["score", "measured", contrast]["participants"] for contrast in PREDICTED]
    assert people == ["12", "11"]


def maps_of(cohort, contrast):
    from bids_dtg.cohort.people import gather_people

    people = gather_people(cohort.settings().replace(analysis_level="group", analysis="associate"))
    for label in LABELS:
        yield next(found for found in people.averages[label][0].maps if found.label == contrast)


def residual(column, age):
    fit = np.polyfit(age, column, 1)
    return column - np.polyval(fit, age)


@pytest.mark.slow
def test_all_that_can_be_phenotypes_are_looked_at(cohort, capsys):
    assert cohort.analyse("associate", "--covariates", "age", "--permutations", 19) == 0
    found = summary(cohort.out / "group/associate")
    assert {phenotype for phenotype, _, _ in found} == {"score", "noise", "group"}
    assert {row["participants"] for (name, _, _), row in found.items() if name == "noise"} == {"11"}
    page = (cohort.out / "group/associate/statistics_report.html").read_text()
    assert "4 control, 8 patient: r is above 0 where patient has more." in page
    assert "11 participants; 1 without a value" in page


def test_without_permutations_t_is_all(cohort):
    words = ["--phenotype", "score", "--permutations", 0, "--name", "none"]
    assert cohort.analyse("associate", *words) == 0
    folder = cohort.out / "group/associate-none"
    row = read_table(folder / "desc-scoreRegions_associations.tsv")[0]
    assert (row["p_permuted"], row["p_fwe"], row["q"]) == ("n/a", "n/a", "n/a")
    page = (folder / "statistics_report.html").read_text()
    assert "There is no false discovery rate: no permutation was asked for." in page
    assert "at a false discovery rate of 5 %" not in page


@pytest.mark.slow
def test_sites_are_kept_and_lone_families_stay(cohort, tmp_path):
    table = tmp_path / "sites.tsv"
    rows = [f"{label}\t{n * 7 % 12}\t{'AB'[n // 6]}\tf{n // 2}" for n, label in enumerate(LABELS)]
    rows[0] = "01\t0\tA\talone"
    table.write_text("\n".join(["participant_id\tscore\tsite\tfamily_id", *rows]) + "\n")
    words = ["-p", table, "--covariates", "site", "--within-families", "--permutations", 99]
    assert cohort.analyse("associate", *words, "--name", "sites") == 0
    page = (cohort.out / "group/associate-sites/statistics_report.html").read_text()
    for words in (
        "with each other within 2 sites (families by number of people: 2 of 1, 5 of 2).",
        "People were also permuted within families and sites.",
        "Covariates: site.",
    ):
        assert words in page


def test_regions_are_shown_on_a_brain_where_their_places_are_known(cohort):
    words = ["--phenotype", "score", "--permutations", 19]
    atlas = cohort.folder / "atlas-Own_space-MNI152NLin6Asym_dseg.nii.gz"
    assert cohort.analyse("associate", *words, "--name", "nowhere") == 0
    assert cohort.analyse("associate", *words, "--atlases", atlas, "--name", "there") == 0
    nowhere, there = (
        (cohort.out / f"group/associate-{name}/statistics_report.html").read_text()
        for name in ("nowhere", "there")
    )
    assert "Where these regions lie is not known here" in nowhere
    assert "<img" not in nowhere
    assert "the strongest contrast: all of them, without any threshold" in there
    assert "1 region with family-wise p of 0.05 or less" in there  # the phenotype itself
    assert there.count("<img") == 1


@pytest.mark.slow
def test_sites_are_covariates_though_none_is_named(cohort, tmp_path):
    table = tmp_path / "sites.tsv"
    rows = [f"{label}\t{n * 7 % 12}\t{1 + n % 3}" for n, label in enumerate(LABELS)]
    table.write_text("\n".join(["participant_id\tscore\tsite", *rows]) + "\n")
    words = ["-p", table, "--phenotype", "score", "--permutations", 19]
    assert cohort.analyse("associate", *words, "--name", "default") == 0
    assert cohort.analyse("associate", *words, "--covariates", "site", "--name", "asked") == 0
    default, asked = (
        summary(cohort.out / f"group/associate-{name}") for name in ("default", "asked")
    )
    assert default == asked
    assert {row["dof"] for row in default.values()} == {"8"}  # two levels beside the phenotype
    page = (cohort.out / "group/associate-default/statistics_report.html").read_text()
    assert "Sites are covariates: site: 2, site: 3." in page
    assert "is no covariate" not in page


def test_nothing_is_corrected_where_patients_have_larger_values(cohort, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(cohort.out, out)
    rng = np.random.default_rng(0)
    for label in LABELS[::2]:
        for path in sorted(out.glob(f"sub-{label}/**/*_desc-regions_statmap.tsv")):
            header, *rows = [line.split("\t") for line in path.read_text().splitlines()]
            place = header.index("mean")
            for row in rows:
                if row[place] != "n/a":
                    row[place] = repr(float(row[place]) + 5 * rng.standard_normal())
            path.write_text("\n".join("\t".join(row) for row in [header, *rows]) + "\n")
    table = tmp_path / "people.tsv"
    rows = [f"{label}\t{'patient' if n % 2 == 0 else 'control'}" for n, label in enumerate(LABELS)]
    table.write_text("\n".join(["participant_id\tgroup", *rows]) + "\n")
    words = ["-p", table, "--phenotype", "group", "--within-families", "--permutations", 199]
    assert cohort.analyse("associate", *words, out=out) == 0
    why = "the size of participants' values goes with group (permuted p 0.0"
    assert why in capsys.readouterr().err
    found = summary(out / "group/associate")
    cells = ("q", "p_fwe", "tests_fdr", "tests_fwe")
    for (_, kind, _), row in found.items():
        assert ({row[cell] for cell in cells} == {"n/a"}) == (kind == "regions"), (kind, row)
    page = (out / "group/associate/statistics_report.html").read_text()
    assert "of which nothing is corrected: the size of participants" in page


def test_a_phenotype_that_goes_with_the_site_has_no_permuted_p(cohort, tmp_path, capsys):
    table = tmp_path / "scanners.tsv"
    rows = [f"{label}\t{'AB'[n // 6]}\t{'AB'[n // 6]}" for n, label in enumerate(LABELS)]
    table.write_text("\n".join(["participant_id\tpatients\tsite", *rows]) + "\n")
    words = ["-p", table, "--phenotype", "patients", "--permutations", 49]
    assert cohort.analyse("associate", *words, "--name", "scanners") == 0
    trouble = "Every permutation leaves patients as it is, as sites or families have one value"
    assert f"warning: {trouble}" in capsys.readouterr().err
    page = (cohort.out / "group/associate-scanners/statistics_report.html").read_text()
    assert trouble in page
    assert "site is no covariate of patients: it is the same for all people of a site" in page
    dictionary = "group/associate-scanners/desc-patientsRegions_associations.json"
    assert "a row for each region" in (cohort.out / dictionary).read_text()


def test_who_cannot_be_read_is_left_out_and_counts_as_failed(cohort, capsys):
    path = next(cohort.out.glob("sub-02/**/*_desc-regions_statmap.tsv"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    try:
        words = ["--phenotype", "score", "--permutations", 19, "--name", "damaged"]
        assert cohort.analyse("associate", *words) == 1
    finally:
        path.write_bytes(whole)
    assert "sub-02 is left out: " in capsys.readouterr().err
    found = summary(cohort.out / "group/associate-damaged")
    assert {key[1]: row["participants"] for key, row in found.items()} == {
        "regions": "11",
        "edges": "12",
    }


@pytest.mark.slow
def test_few_people_get_no_verdict(cohort, capsys):
    words = ["--phenotype", "score", "--permutations", 19, "--name", "few"]
    assert cohort.analyse("associate", *words, "--participant-label", *LABELS[:6]) == 0
    said = "score: no verdict with 6 participants (8 are needed)."
    assert said in capsys.readouterr().err
    page = (cohort.out / "group/associate-few/statistics_report.html").read_text()
    assert said in page
    assert "add no information to the connectome" not in page


def test_what_cannot_be_tested_is_said(cohort, tmp_path, capsys):
    assert cohort.analyse("associate", "--phenotype", "eyes", "same") == 2
    said = capsys.readouterr().err
    assert "eyes is not tested: it has 3 levels of words, and not two" in said
    assert "same is not tested: it is the same for all" in said
    assert "none of eyes, same can be tested" in said
    assert cohort.analyse("associate", "--phenotype", "scores") == 2
    assert "did you mean score?" in capsys.readouterr().err
    table = tmp_path / "twins.tsv"
    table.write_text("participant_id\ta_b\taB\n01\t1\t2\n02\t2\t1\n")
    assert cohort.analyse("associate", "-p", table) == 2
    assert "a_b and aB would have files of the same names" in capsys.readouterr().err
    words = ["--covariates", "age", "--participant-label", *LABELS[:2]]
    assert cohort.analyse("associate", "--phenotype", "score", *words) == 2
    assert "2 people are too few for a model of 3 columns" in capsys.readouterr().err


def test_a_dry_run_writes_nothing(cohort, capsys):
    out = cohort.out / "group/associate-dry"
    assert cohort.analyse("associate", "--phenotype", "score", "--name", "dry", "--dry-run") == 0
    assert "would test score of 12 participants" in capsys.readouterr().out
    assert not out.exists()


def test_without_regions_the_remedies_are_named(tmp_path, capsys):
    cohort = TinyCohort(tmp_path, LABELS[:3])
    assert cohort.run() == 0
    (cohort.bids / "participants.tsv").write_text("participant_id\tscore\n01\t1\n02\t3\n03\t2\n")
    assert cohort.analyse("associate") == 2
    said = capsys.readouterr().err
    assert "has no tables of regions" in said
    assert "with --atlases, or give --feature-sets maps" in said


def test_files_are_named_in_plain_letters(cohort, tmp_path, capsys):
    table = tmp_path / "own.tsv"
    rows = (f"sub-{label}\t{n}\t{n * n % 7}" for n, label in enumerate(LABELS))
    table.write_text("\n".join(["participant_id\tGröße <cm>\tgroße_cm", *rows, ""]))
    words = ["-p", table, "--permutations", 9, "--feature-sets", "maps", "--name", "plain"]
    assert cohort.analyse("associate", *words, "--phenotype", "Größe <cm>") == 0
    assert list((cohort.out / "group/associate-plain").glob("*_stat-r_desc-GroeCmMaps_*.nii.gz"))
    assert cohort.analyse("associate", *words) == 2
    assert "would have files of the same names" in capsys.readouterr().err
