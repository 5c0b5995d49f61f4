"""Phenotypes from files: effects in the edges are found, and nothing leaks."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from maps_job import read_table
from written_cohort import WrittenCohort

from bids_dtg.statistics.analyses import ANALYSES

pytestmark = pytest.mark.slow

FEW = ("--permutations", 99)


def results(cohort, name, *words):
    """Call the analysis; return the rows of its scores."""
    assert cohort.analyse("phenotypes", "--name", name, *words) == 0
    return read_table(
        cohort.out / f"group/phenotypes-{name}/desc-phenotypes_scores.tsv"
    )


def row(rows, features="edges", **cells):
    wanted = {"left_out": "families", "features": features, **cells}
    (fitting,) = [
        candidate for candidate in rows if wanted.items() <= candidate.items()
    ]
    return {key: _number(value) for key, value in fitting.items()}


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text


def page(cohort, name):
    return (cohort.out / f"group/phenotypes-{name}/statistics_report.html").read_text()


def moved(cohort, folder, table, **changes):
    """Return the cohort with another table of participants."""
    copied = WrittenCohort.__new__(WrittenCohort)
    copied.__dict__ |= cohort.__dict__ | {"bids": folder / "fmriprep", **changes}
    shutil.copytree(cohort.bids, copied.bids)
    copied.write_table(cohort.labels, table)
    return copied


@pytest.fixture(scope="module")
def score(cohort):
    words = ("--phenotype", "score", "--permutations", 99, "--covariates", "age")
    return results(cohort, "score", *words)


def test_what_is_in_the_edges_is_found_and_maps_add_nothing(cohort, score):
    edges = row(score)
    assert edges["r_low"] < edges["r"] < edges["r_high"]
    assert edges["r"] > 0.8
    assert (edges["p"], edges["p_fwe"], edges["people"], edges["families"]) == (
        0.01,
        0.01,
        48,
        24,
    )
    contrasts = {tested["contrast"] for tested in score if tested["features"] == "maps"}
    assert contrasts == {"all", *(c.label for c in cohort.bundle.contrasts)}
    assert row(score, left_out="sites")["r"] > 0.8
    differences = read_table(
        cohort.out / "group/phenotypes-score/desc-phenotypes_differences.tsv"
    )
    assert {tested["contrast"] for tested in differences} == contrasts
    assert "better" not in {tested["verdict"] for tested in differences}
    for tested in differences:
        apart = row(score, "maps", contrast=tested["contrast"])["r"] - edges["r"]
        assert float(tested["difference"]) == pytest.approx(apart, abs=1e-5)
    for words in (
        "score is predicted beyond chance from 5 of 5 sets",
        "covariates: age, site",
        "The corrected p is the share in which any set of features does",
    ):
        assert words in page(cohort, "score")


def test_two_levels_are_found_and_what_chance_gives_is_called_nothing(cohort):
    rows = results(cohort, "luck", "--phenotype", "luck", "sex", *FEW)
    assert row(rows, phenotype="luck")["p"] > 0.05
    sex = row(rows, phenotype="sex")
    assert 0.5 < sex["auc_low"] < sex["auc"] < sex["auc_high"]
    assert sex["p"] <= 0.05
    assert sex["balanced_accuracy"] > 0.7
    assert "luck is not predicted beyond chance from any of 5 sets" in page(
        cohort, "luck"
    )


def test_relatives_are_never_on_both_sides(cohort, tmp_path):
    """What relatives share predicts nothing, unless a split tears them apart."""
    words = ("--phenotype", "of_family", *FEW)
    whole = row(results(cohort, "whole", *words))
    alone = {
        name: column
        for name, column in cohort.truth.table.items()
        if name != "family_id"
    }
    torn = row(results(moved(cohort, tmp_path, alone), "torn", *words))
    assert whole["p"] > 0.05
    assert torn["p"] == 0.01
    assert torn["r"] > whole["r"]


def test_a_site_effect_is_no_prediction(cohort):
    rows = results(cohort, "site", "--phenotype", "of_site", *FEW)
    assert row(rows)["p"] > 0.05
    assert row(rows, left_out="sites")["p"] > 0.05


def test_the_published_penalty_is_another(cohort, score):
    words = (
        "--phenotype",
        "score",
        "--covariates",
        "age",
        "--ridge",
        "published",
        *FEW,
    )
    assert row(results(cohort, "published", *words))["r"] != row(score)["r"]


def test_few_people_have_no_permutations(cohort):
    few = ("--participant-label", *cohort.labels[:12:2])
    rows = results(cohort, "few", "--phenotype", "score", *FEW, *few)
    assert {row["p"] for row in rows} == {"n/a"}
    assert {row["r_low"] for row in rows} == {"n/a"}
    shown = page(cohort, "few")
    assert "score: no verdict with 6 participants (8 are needed)" in shown
    assert "best of 5" not in shown
    assert " to " not in shown.partition("<tbody>")[2].partition("</tbody>")[0]


def test_who_lacks_a_value_or_cannot_be_read_is_left_out(cohort, tmp_path, capsys):
    out = shutil.copytree(cohort.out, tmp_path / "out")
    columns = cohort.truth.table
    columns = columns | {"score": ["n/a", *columns["score"][1:]]}
    moved_cohort = moved(cohort, tmp_path, columns, out=out)
    broken = next(out.glob(f"sub-{cohort.labels[-1]}/**/*_relmat.tsv"))
    broken.write_text(broken.read_text().replace("1.000000", "one"))
    next(out.glob(f"sub-{cohort.labels[-2]}/**/*_relmat.tsv")).unlink()
    assert moved_cohort.analyse("phenotypes", "--phenotype", "score", *FEW) == 1
    log = capsys.readouterr().err
    assert "1 of 1: " in log
    assert f"sub-{cohort.labels[-1]} is left out" in log
    line = f"(sub-{cohort.labels[-2]})"
    assert line in log
    assert line in (out / "group/phenotypes/statistics_report.html").read_text()
    rows = read_table(out / "group/phenotypes/desc-phenotypes_scores.tsv")
    assert row(rows)["people"] == 45


@pytest.mark.parametrize(
    ("name", "of", "line"),
    [
        ("eyes", lambda table: table["eyes"], "it has 3 levels"),
        (
            "huge",
            lambda table: 1e300 * np.array(table["score"]),
            "its values exceed 1e+100",
        ),
        (
            "same",
            lambda table: 0 * np.array(table["score"]),
            "it has the same value for everybody",
        ),
        (
            "rare",
            lambda table: [1] + 47 * [0],
            "all training people",
        ),
    ],
)
def test_columns_that_tell_nothing_are_left_out(
    cohort, tmp_path, capsys, name, of, line
):
    table = tmp_path / "own.tsv"
    lines = map("{}\t{}".format, cohort.labels, of(cohort.truth.table))
    table.write_text("\n".join([f"participant_id\t{name}", *lines, ""]))
    words = ("--phenotype", name, "-p", table, "--name", "none", *FEW)
    assert cohort.analyse("phenotypes", *words) == 2
    kind = " from predicted maps" if name == "rare" else ""
    number = "" if kind else " of 48 participants"
    text = f"not predicted{kind}: {name}{number}, as {line}"
    assert text in capsys.readouterr().err


def test_phenotypes_that_are_not_predicted_are_named_on_the_page(cohort, tmp_path):
    table = tmp_path / "own.tsv"
    columns = {name: cohort.truth.table[name] for name in ("age", "luck", "eyes")}
    columns["years"] = [2 * age for age in columns["age"]]
    rows = zip(cohort.labels, *columns.values(), strict=True)
    lines = ["\t".join(map(str, row)) for row in [("participant_id", *columns), *rows]]
    table.write_text("\n".join(lines))
    words = ("--phenotype", "luck", "eyes", "years", "--covariates", "age")
    results(cohort, "named", *words, "-p", table, "--permutations", 0)
    shown = page(cohort, "named")
    assert "Not predicted: eyes of 48 participants, as it has 3 levels" in shown
    assert "Not predicted: years is a linear combination of the covariates" in shown


def test_more_folds_than_families_are_refused_before_maps_are_read(cohort, capsys):
    assert cohort.analyse("phenotypes", "--phenotype", "score", "--folds", 25) == 2
    log = capsys.readouterr().err
    assert "24 families cannot be divided into 25 folds to predict score" in log
    assert "To do: --folds 24 or fewer." in log
    assert "1 of 1: " not in log


@pytest.mark.parametrize("analysis", ANALYSES)
def test_one_person_alone_is_one_line(cohort, capsys, analysis):
    assert cohort.analyse(analysis, "--participant-label", "P000") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "has usable results of one participant (P000)" in line


def test_people_who_are_not_in_the_dataset_any_more_are_named(cohort, capsys):
    gone = cohort.bids / "sub-P001"
    gone.rename(cohort.bids / "gone")
    try:
        assert cohort.analyse("stats", "--dry-run", "--name", "gone") == 0
    finally:
        (cohort.bids / "gone").rename(gone)
    log = capsys.readouterr().err
    assert log.count("are not in") == log.count("any more (P001)") == 1


def test_maps_are_compared_with_measured_maps_and_edges(cohort, tmp_path):
    """Measured maps that are the score itself predict it better than maps made of the edges."""
    contrast = cohort.bundle.contrasts[0].label
    rng = np.random.default_rng(0)
    pattern = rng.normal(size=cohort.places)
    measured = {
        label: cohort.truth.table["score"][n] * pattern
        + 0.1 * rng.normal(size=cohort.places)
        for n, label in enumerate(cohort.labels)
    }
    statmaps = cohort.write_measured(tmp_path / "statmaps", 0, measured)
    words = (
        "--phenotype",
        "score",
        "--permutations",
        99,
        "--voxels",
        "--contrast",
        contrast,
    )
    rows = results(
        cohort,
        "measured",
        *words,
        "-d",
        f"fmriprep={cohort.bids}",
        "-d",
        f"statmaps={statmaps}",
    )
    assert row(rows, "measured")["r"] > 0.95
    folder = cohort.out / "group/phenotypes-measured"
    differences = read_table(folder / "desc-phenotypes_differences.tsv")
    assert [(test["contrast"], test["minus"]) for test in differences] == [
        (contrast, "measured"),
        (contrast, "edges"),
    ]
    apart = row(rows, "maps")["r"] - row(rows, "measured")["r"]
    assert float(differences[0]["difference"]) == pytest.approx(apart, abs=1e-5)
    assert float(differences[0]["difference_high"]) < 0


def test_all_contrasts_together_are_of_the_people_who_have_all(
    cohort, tmp_path, capsys
):
    """In the first contrast one person has no map, in the second another one a damaged map."""
    for contrast in range(3):
        maps = dict(zip(cohort.labels, cohort.truth.maps[:, contrast], strict=True))
        if contrast == 1:
            maps["P002"] = 0 * maps["P002"]
        maps = {
            label: array
            for label, array in maps.items()
            if (contrast, label) != (0, "P001")
        }
        statmaps = cohort.write_measured(tmp_path, contrast, maps)
    words = (
        "-d",
        f"fmriprep={cohort.bids}",
        "-d",
        f"statmaps={statmaps}",
        "--permutations",
        0,
    )
    assert (
        cohort.analyse("phenotypes", "--name", "some", "--phenotype", "score", *words)
        == 1
    )
    line = "left out: 2 participants without measured maps of every contrast (sub-P001, sub-P002)"
    assert f"all: {line}" in capsys.readouterr().err
    assert line[1:] in page(cohort, "some")
    rows = read_table(cohort.out / "group/phenotypes-some/desc-phenotypes_scores.tsv")
    assert row(rows, "measured", contrast="all")["people"] == 46
    whole = [label for label in cohort.labels if label not in ("P001", "P002")]
    few = ("--participant-label", *whole)
    rows_of_all = results(cohort, "whole", "--phenotype", "score", *words, *few)
    assert row(rows_of_all, "measured", contrast="all") == row(
        rows, "measured", contrast="all"
    )
    assert cohort.analyse("embed", "--name", "some", *words) == 1
    assert f"all: {line}" in capsys.readouterr().err
    clusters = read_table(cohort.out / "group/embed-some/desc-embedding_clusters.tsv")
    numbers = {
        (cluster["features"], cluster["points"]): cluster["number"]
        for cluster in clusters
    }
    assert numbers["measured", "people"] == "46"
    assert numbers["measured", "maps"] == str(3 * 46)
    assert numbers["maps", "people"] == "48"
