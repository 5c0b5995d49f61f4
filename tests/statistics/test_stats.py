"""Tests of regions, voxels and edges as typed, in an output folder of 48 people."""

from __future__ import annotations

import json
import re
import shutil

import nibabel as nib
import numpy as np
import pytest
from maps_cohort import TinyCohort
from maps_job import add_rest, read_table
from scipy.stats import ttest_1samp, ttest_rel

from bids_dtg.statistics.analyses import ANALYSES
from bids_dtg.stats.permutation import fit_columns

pytestmark = pytest.mark.slow

MATH = "languageMath"
THREE = ("--participant-label", "P000", "P003", "P004")


def folder(cohort, name):
    return cohort.out / f"group/stats-{name}"


def summary(cohort, name):
    rows = read_table(folder(cohort, name) / "desc-tests_summary.tsv")
    return {(row["features"], row["contrast"]): row for row in rows}


def row_of(cohort, name, features="edges", out=None):
    rows = read_table(
        (out / "group/stats" if out else folder(cohort, name))
        / "desc-tests_summary.tsv"
    )
    (fitting,) = (row for row in rows if row["features"] == features)
    return fitting


def page(cohort, name):
    return (folder(cohort, name) / "statistics_report.html").read_text()


def call(cohort, name, *words):
    return cohort.analyse("stats", "--permutations", 199, "--name", name, *words)


def least_squares(cohort, values, name="score"):
    """Return slopes and t of a phenotype, given age and the sites."""
    truth = cohort.truth
    sites = (truth.site[:, None] == np.arange(1, 4)).astype(float)
    phenotype = np.array(truth.table[name])
    x = np.column_stack([phenotype, np.ones(len(sites)), truth.table["age"], sites])
    coefficients, squares, *_ = np.linalg.lstsq(x, values)
    error = np.sqrt(squares / (len(x) - x.shape[1]) * np.linalg.inv(x.T @ x)[0, 0])
    return coefficients[0], coefficients[0] / error


@pytest.fixture(scope="module")
def of_score(cohort):
    words = ("--phenotype", "score", "--covariates", "age", "--atlases", cohort.atlas)
    assert call(cohort, "score", *words) == 0
    return cohort


def test_regions_and_edges_go_with_a_score(of_score, capsys):
    cohort = of_score
    edges = read_table(folder(cohort, "score") / "desc-scoreEdges_tests.tsv")
    effect, t = least_squares(cohort, cohort.truth.edges)
    np.testing.assert_allclose([float(row["t"]) for row in edges], t, rtol=1e-4)
    np.testing.assert_allclose(
        [float(row["effect"]) for row in edges], effect, rtol=1e-4
    )
    rows = read_table(folder(cohort, "score") / "desc-scoreMaps_tests.tsv")
    assert {row["contrast"] for row in rows} == {
        c.label for c in cohort.bundle.contrasts
    }
    regions = np.unique(cohort.parcels)
    first = [row for row in rows if row["contrast"] == MATH]
    assert [row["name"] for row in first] == [str(number) for number in regions]
    means = np.stack(
        [
            cohort.truth.maps[:, 0, cohort.parcels == region].mean(axis=1)
            for region in regions
        ],
        axis=1,
    )
    region_t = [float(row["t"]) for row in first]
    np.testing.assert_allclose(region_t, least_squares(cohort, means)[1], rtol=1e-3)
    best = summary(cohort, "score")["edges", "n/a"]
    assert (best["participants"], best["dof"], best["tests"]) == ("48", "42", "66")
    assert float(best["p_fwe"]) == 0.005
    assert int(best["tests_fwe"]) == sum(float(row["p_fwe"]) <= 0.05 for row in edges)
    assert int(best["tests_fdr"]) == sum(float(row["q"]) <= 0.05 for row in edges)
    assert json.loads(
        (folder(cohort, "score") / "desc-scoreEdges_tests.json").read_text()
    ).keys()
    for words in (
        "Edges of the connectome, score: ",
        "199 permutations of whole families of the same size within sites, seed 0",
        "Covariates: age, site.",
    ):
        assert words in page(cohort, "score")
    assert "Open it in the viewer" in page(cohort, "score")
    shown = json.loads(
        re.search(r'id="viewer-data">(.*?)</script>', page(cohort, "score"))[1]
    )
    (of_maps,) = shown["averages"]
    addresses = [*of_maps["scripts"].values(), shown["library"], shown["backdrop"]]
    for address in (*addresses, shown["maps"][0]["file"]):
        assert (folder(cohort, "score") / shown["root"] / address).is_file()


def test_voxels_have_maps_of_what_was_found(cohort):
    words = ("--phenotype", "score", "--covariates", "age", "--voxels")
    assert call(cohort, "voxels", *words, "--contrast", MATH) == 0
    where, values = folder(cohort, "voxels"), {}
    for stat in ("effect", "t", "logp"):
        (path,) = where.glob(f"*contrast-{MATH}_stat-{stat}_desc-maps_statmap.nii.gz")
        values[stat] = nib.load(path).get_fdata()[cohort.bundle.places.mask]
    effect, t = least_squares(cohort, cohort.truth.maps[:, 0])
    np.testing.assert_allclose(values["t"], t, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(values["effect"], effect, rtol=1e-3, atol=1e-5)
    row = row_of(cohort, "voxels", "maps")
    assert 10 ** -values["logp"].max() == pytest.approx(float(row["p_fwe"]), rel=1e-4)
    facts = json.loads(
        path.with_name(path.name.replace(".nii.gz", ".json")).read_text()
    )
    assert facts["SpatialReference"] == "MNI152NLin6Asym"
    assert facts["Covariates"][0] == "age"
    assert facts["Synthetic"] is True
    assert not list(where.glob("*Maps_tests.tsv"))


def test_the_mean_of_predicted_maps_has_no_p(cohort):
    assert call(cohort, "mean") == 0
    row = row_of(cohort, "mean")
    edges = read_table(folder(cohort, "mean") / "desc-meanEdges_tests.tsv")
    t = ttest_1samp(cohort.truth.edges, 0).statistic
    np.testing.assert_allclose([float(edge["t"]) for edge in edges], t, rtol=1e-4)
    assert {row["p_fwe"], row["q"], row["tests_fwe"]} == {"n/a"}
    assert "Predicted maps are not evidence of activation" in page(cohort, "mean")


def test_levels_are_compared_and_chance_is_called_nothing(cohort, capsys):
    assert call(cohort, "luck", "--phenotype", "luck") == 0
    log = capsys.readouterr().err
    assert "3 of 3: " in log
    assert "1 of 1: " in log
    assert ", luck: none of 66 tests at corrected p \u2264 .05" in log
    assert call(cohort, "sex", "--phenotype", "sex") == 0
    rows = read_table(folder(cohort, "sex") / "desc-sexEdges_tests.tsv")
    truth = cohort.truth
    male = np.array(truth.table["sex"]) == "M"
    sites = (truth.site[:, None] == np.arange(4)).astype(float)
    effect = np.linalg.lstsq(np.column_stack([male, sites]), truth.edges)[0][0]
    np.testing.assert_allclose(
        [float(row["effect"]) for row in rows], effect, rtol=1e-4
    )
    assert "sex (M against F)" in page(cohort, "sex")
    assert call(cohort, "size", "--phenotype", "size") == 0
    assert (
        "Predicted maps, size: no corrected p, as the overall size"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("--phenotype", "eyes"),
            "eyes has 3 levels. Expected: numbers, or two levels",
        ),
        (("--phenotype", "score", "luck"), "stats was given 2 phenotypes"),
        (("--covariates", "age"), "--covariates was given without --phenotype"),
        (("--session-label", "a", "b", "c"), "has results of session a or b or c"),
        (
            ("--phenotype", "drinks"),
            "drinks has 'few' of sub-P000, and numbers for the others",
        ),
        (
            ("--phenotype", "weight"),
            "weight has '60,5' of sub-P000, '61,5' of sub-P001",
        ),
        (("--phenotype", "score", "--covariates", "weight"), "with a decimal point"),
        (("--phenotype", "scor"), "did you mean score"),
        (("--phenotype", "score", "--atlases", "none.nii.gz"), "none.nii.gz"),
        (("--phenotype", "age", *THREE[:3]), "only 2 participants can be tested"),
        (
            ("--phenotype", "score", "--covariates", "age", *THREE),
            "score cannot be tested: 3 parti",
        ),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(cohort, capsys, words, line):
    assert call(cohort, "refused", *words) == 2
    assert line in capsys.readouterr().err
    assert not folder(cohort, "refused").exists()


def own_table(cohort, path, name: str, values) -> tuple[object, ...]:
    """Write a table of the ages and another column; return the words that name it."""
    ages = cohort.truth.table["age"]
    rows = zip(cohort.labels, ages, values(np.array(ages)), strict=True)
    lines = [f"{label}\t{age}\t{value}" for label, age, value in rows]
    path.write_text("\n".join([f"participant_id\tage\t{name}", *lines, ""]))
    return ("-p", path, "--phenotype", name)


@pytest.mark.parametrize(
    "analysis", [name for name, row in ANALYSES.items() if "covariates" in row.reads]
)
def test_a_phenotype_that_covariates_determine_is_named_before_any_contrast(
    cohort, tmp_path, capsys, analysis
):
    words = own_table(cohort, tmp_path / "own.tsv", "years", lambda age: 2.5 * age - 3)
    name = ("--name", "explained", "--covariates", "age")
    assert cohort.analyse(analysis, *words, *name) == 2
    log = capsys.readouterr().err
    assert "years is a linear combination of the covariates age. Expected: a p" in log
    assert "1 of 3: " not in log


@pytest.mark.slow
def test_a_phenotype_of_any_name_has_files(cohort, tmp_path):
    rng = np.random.default_rng(0)
    values = {
        name: rng.normal(size=len(cohort.labels)) for name in ("ab" * 150, "a" * 299)
    }
    for name, column in values.items():
        words = own_table(cohort, tmp_path / "own.tsv", name, lambda _, of=column: of)
        assert call(cohort, "long", *words) == 0
        assert max(len(path.name) for path in folder(cohort, "long").iterdir()) < 200


def test_few_people_and_few_orders_have_no_permutations(cohort, tmp_path, capsys):
    words = ("--phenotype", "score")
    few = ("--participant-label", *cohort.labels[:12:2])
    assert call(cohort, "few", *words, *few) == 0
    log = capsys.readouterr().err
    assert "no permutations: 6 participants are too few" in log
    assert "Largest t" not in log
    shown = page(cohort, "few")
    assert "The largest effect of each contrast; without p, none is a finding" in shown
    assert ">t of " not in shown
    table = tmp_path / "own.tsv"
    rows = [
        f"{label}\t{n // 4}\t{n // 4}\n" for n, label in enumerate(cohort.labels[:16:2])
    ]
    for column, ways in (("arm", "70 ways"), ("site", "1 way")):
        table.write_text(f"participant_id\tpatient\t{column}\n" + "".join(rows))
        assert call(cohort, "eight", "--phenotype", "patient", "-p", table) == 0
        log = capsys.readouterr().err
        assert f"can be permuted over these families and sites in only {ways}" in log
        row = row_of(cohort, "eight")
        assert row["p_fwe"] == "n/a"
        assert row["t"] != "n/a"


def test_sketches_of_contrasts_have_seeds_of_their_own(cohort, monkeypatch):
    """Those of one seed do not add up: their products between contrasts have no mean of 0.

    Edges and maps are never added up.
    """
    seeds = []

    def fit(values, design, seed=0):
        if values.shape[1] != cohort.truth.edges.shape[1]:
            seeds.append(seed)
        return fit_columns(values, design, seed)

    monkeypatch.setattr("bids_dtg.statistics.stats.fit_columns", fit)
    assert call(cohort, "seeds", "--phenotype", "score", "--permutations", 0) == 0
    assert len(seeds) == len(set(seeds)) == 3


def test_a_covariate_that_differs_by_rounding_is_left_out_and_named(
    cohort, tmp_path, capsys
):
    table = tmp_path / "own.tsv"
    scores = cohort.truth.table["score"]
    rows = [
        f"{label}\t{score}\t{(0.3, 0.1 + 0.2)[n % 2]!r}\n"
        for n, (label, score) in enumerate(zip(cohort.labels, scores, strict=True))
    ]
    table.write_text("participant_id\tscore\tminutes\n" + "".join(rows))
    words = ("--phenotype", "score", "-p", table, "--permutations", 0)
    assert call(cohort, "without", *words) == 0
    capsys.readouterr()
    assert call(cohort, "rounding", *words, "--covariates", "minutes") == 0
    log = capsys.readouterr().err
    assert "minutes is the same for all 48 participants: no covariate" in log
    assert row_of(cohort, "rounding") == row_of(cohort, "without")


def test_levels_of_the_data_dictionary_are_columns_of_a_covariate(
    cohort, tmp_path, capsys
):
    """A group coded 1, 2, 3 is no slope: two columns, as `Levels` of the JSON file say."""
    table = tmp_path / "own.tsv"
    rows = [f"{label}\t{n}\t{n % 3 + 1}\n" for n, label in enumerate(cohort.labels)]
    table.write_text("participant_id\tscore\tgroup\n" + "".join(rows))
    words = (
        "--phenotype",
        "score",
        "--covariates",
        "group",
        "-p",
        table,
        "--contrast",
        MATH,
    )
    degrees = []
    for levels in ({}, {"1": "control", "2": "patient", "3": "relative"}):
        table.with_suffix(".json").write_text(json.dumps({"group": {"Levels": levels}}))
        assert call(cohort, "levels", *words, "--permutations", 0) == 0
        degrees.append(row_of(cohort, "levels")["dof"])
    assert degrees == ["45", "44"]
    log = capsys.readouterr().err
    page = (folder(cohort, "levels") / "statistics_report.html").read_text()
    for words in ("group has the levels 1, 2, 3", "lists its 3 Levels without Units"):
        assert log.count(words) == 1
        assert words in page


def test_a_contrast_of_few_people_has_no_p_and_takes_none_from_the_others(
    cohort, tmp_path, capsys
):
    """Six people have a measured map of the first contrast; the second's p are as without it."""
    few, whole = (contrast.label for contrast in cohort.bundle.contrasts[:2])
    maps = [
        dict(zip(cohort.labels, arrays, strict=True))
        for arrays in cohort.truth.maps.swapaxes(0, 1)
    ]
    statmaps = cohort.write_measured(tmp_path, 1, maps[1])
    words = (
        "--phenotype",
        "score",
        "-d",
        f"fmriprep={cohort.bids}",
        "-d",
        f"statmaps={statmaps}",
    )
    assert call(cohort, "alone", *words) == 0
    cohort.write_measured(
        tmp_path, 0, {label: maps[0][label] for label in cohort.labels[:12:2]}
    )
    capsys.readouterr()
    assert call(cohort, "mixed", *words) == 0
    (message,) = [
        line
        for line in capsys.readouterr().err.splitlines()
        if line.startswith("Measured maps, ")
    ]
    assert f"No p of {few} (6 participants are too few)." in message
    rows, alone = summary(cohort, "mixed"), summary(cohort, "alone")["measured", whole]
    assert rows["measured", whole] == alone
    assert f" of {alone['tests']} tests at corrected p" in message
    assert {rows["measured", few][name] for name in ("t", "p_fwe", "tests_fdr")} == {
        "n/a"
    }


def test_with_few_degrees_of_freedom_there_are_effects_only(cohort, tmp_path, capsys):
    few = ("--participant-label", *cohort.labels[:12:2])
    words = (
        "--phenotype",
        "score",
        "--covariates",
        "age",
        "luck",
        "of_family",
        "--voxels",
    )
    assert call(cohort, "effects", *words, "--contrast", MATH, *few) == 0
    row = row_of(cohort, "effects")
    assert (row["dof"], row["t"], row["r"], row["p_fwe"]) == ("1", "n/a", "n/a", "n/a")
    assert float(row["effect"])
    maps = sorted(folder(cohort, "effects").glob("*_statmap.nii.gz"))
    assert [path.name.split("stat-")[1].split("_")[0] for path in maps] == ["effect"]
    names, table = ("score", "age", "luck", "of_family"), tmp_path / "without_sites.tsv"
    rows = zip(
        cohort.labels, *(cohort.truth.table[name] for name in names), strict=True
    )
    lines = ["\t".join(map(str, row)) for row in [("participant_id", *names), *rows]]
    table.write_text("\n".join(lines))
    nine = ("--participant-label", *cohort.labels[:18:2], "-p", table)
    capsys.readouterr()
    assert call(cohort, "nine", *words, "--contrast", MATH, *nine) == 0
    assert (
        "no permutations: 4 degrees of freedom beside the covar"
        in capsys.readouterr().err
    )
    assert row_of(cohort, "nine")["t"] == "n/a"


@pytest.mark.parametrize(
    ("analysis", "words", "line"),
    [
        ("stats", ("--phenotype", "score"), "would test score of 48"),
        (
            "phenotypes",
            ("--covariates", "age"),
            "would predict score, luck, of_family, of_site",
        ),
        (
            "phenotypes",
            (),
            "not a phenotype: drinks has 'few' of sub-P000, and numbers for",
        ),
        ("phenotypes", (), "not a phenotype: weight has '60,5' of sub-P000"),
        ("embed", (), "would lay out 48"),
    ],
)
def test_a_dry_run_writes_nothing(cohort, capsys, analysis, words, line):
    assert cohort.analyse(analysis, "--name", "dry", *words, "--dry-run") == 0
    shown = "".join(capsys.readouterr())
    assert line in shown
    assert "predicted maps of 48 participants, 3 contrasts" in shown
    assert not (cohort.out / f"group/{analysis}-dry").exists()


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    """Ten people with two sessions, whose predicted maps are larger in the second."""
    labels = tuple(f"{n:02d}" for n in range(1, 11))
    cohort = TinyCohort(tmp_path_factory.mktemp("sessions"), labels, contrasts=(MATH,))
    shutil.rmtree(cohort.bids / "sub-10")
    for number, label in enumerate(labels):
        for session in ("a", "b")[: 1 + (label != "10")]:
            add_rest(
                cohort.bids,
                label,
                session=session,
                seed=number + 100 * (session == "b"),
            )
    assert cohort.run("--combine", "session") == 0
    rng = np.random.default_rng(0)
    for path in sorted(cohort.out.glob("sub-*/**/*_desc-synthetic_statmap.nii.gz")):
        image = nib.load(path)
        values = rng.normal(size=image.shape) + 3.0 * ("_ses-b_" in path.name)
        inside = image.get_fdata() != 0
        values_of_brain = np.where(inside, values, 0).astype(np.float32)
        nib.Nifti1Image(values_of_brain, image.affine).to_filename(path)
    return cohort


def test_two_sessions_of_the_same_people_are_compared(sessions, capsys):
    words = ("--session-label", "a", "b", "--voxels", "--contrast", MATH)
    assert sessions.analyse("stats", *words, "--permutations", "99") == 0
    where = sessions.out / "group/stats"
    row = row_of(sessions, "", "maps", out=sessions.out)
    assert (row["participants"], row["dof"], row["r"]) == ("9", "8", "n/a")
    assert float(row["p_fwe"]) <= 0.05
    several = [
        np.stack(
            [
                nib.load(path).get_fdata()
                for path in sorted(
                    sessions.out.glob(
                        f"sub-*/ses-{session}/func/*-{MATH}_*tic_*.nii.gz"
                    )
                )
            ][:9]
        )
        for session in ("a", "b")
    ]
    inside = (several[0] != 0).all(axis=0)
    (path,) = where.glob("*_stat-t_desc-maps_statmap.nii.gz")
    t = ttest_rel(several[1], several[0]).statistic[inside]
    np.testing.assert_allclose(nib.load(path).get_fdata()[inside], t, rtol=1e-3)
    assert "session b minus session a" in (where / "statistics_report.html").read_text()
    every = (*words[:4], "--permutations", "0", "--name", "every")
    assert sessions.analyse("stats", *every) == 0
    summary = read_table(sessions.out / "group/stats-every/desc-tests_summary.tsv")
    of_maps = [row for row in summary if row["features"] == "maps"]
    assert len({row["contrast"] for row in of_maps}) == len(of_maps) == 3
    assert {row["participants"] for row in of_maps} == {"9"}
    assert (
        sessions.analyse("stats", *words, "--participant-label", "01", "02", "03") == 0
    )
    assert "no permutations: signs of 3 families are too few" in capsys.readouterr().err
    assert sessions.analyse("stats", "--session-label", "a", "b", "c") == 2
    assert "stats was given 3 sessions" in capsys.readouterr().err
