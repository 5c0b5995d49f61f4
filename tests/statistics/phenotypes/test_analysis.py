"""Phenotypes from files of people: what is in the edges is found, and nothing leaks.

People are in families of two, and in four sites. Their edges hold something of their own, much of
their family, and their site; the maps follow from the edges.
"""

from __future__ import annotations

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge
from tiny_job import read_table
from written_cohort import WrittenCohort

from bids_dtg.stats.prediction.folds import repeated_folds

PEOPLE, ROIS, SITES = 48, 12, 4
EDGES = np.triu_indices(ROIS, 1)
FEW = ("--permutations", 99, "--repeats", 2)


class Truth:
    """Edges, maps and the table of everybody."""

    def __init__(self, places: int) -> None:
        rng = np.random.default_rng(3)
        number = len(EDGES[0])
        self.family = np.arange(PEOPLE) // 2
        self.site = self.family % SITES
        own, families = rng.normal(size=PEOPLE), rng.normal(size=PEOPLE // 2)[self.family]
        of_site = np.array([3.0, -1.0, -3.0, 1.0])[self.site]
        self.loading = rng.normal(size=number)
        edges = np.outer(own, self.loading)
        edges += 2 * rng.normal(size=(PEOPLE // 2, number))[self.family]
        edges += 2 * rng.normal(size=(SITES, number))[self.site]
        edges += 0.3 * rng.normal(size=edges.shape)
        self.edges = (0.05 * edges).round(6)
        weights = rng.normal(size=(number, 3 * places)) / np.sqrt(number)
        maps = self.edges @ weights + 0.02 * rng.normal(size=(PEOPLE, 3 * places))
        self.maps = maps.reshape(PEOPLE, 3, places)
        self.age = rng.integers(20, 40, PEOPLE)
        self.table = {
            "family_id": [f"F{number:02d}" for number in self.family],
            "site": [f"site{number}" for number in self.site],
            "age": self.age.tolist(),
            "score": (own + 0.05 * self.age + 0.3 * rng.normal(size=PEOPLE)).round(4).tolist(),
            "luck": rng.normal(size=PEOPLE).round(4).tolist(),
            "of_family": (families + 0.05 * rng.normal(size=PEOPLE)).round(4).tolist(),
            "of_site": (of_site + rng.normal(size=PEOPLE)).round(4).tolist(),
            "sex": np.where(own > 0, "F", "M").tolist(),
        }

    def matrices(self) -> np.ndarray:
        found = np.zeros((PEOPLE, ROIS, ROIS))
        found[:, EDGES[0], EDGES[1]] = self.edges
        return found + found.transpose(0, 2, 1) + np.eye(ROIS)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> WrittenCohort:
    cohort = WrittenCohort(tmp_path_factory.mktemp("cohort"), rois=ROIS)
    cohort.truth = Truth(cohort.places)
    rng = np.random.default_rng(0)
    cohort.labels = cohort.write(
        cohort.truth.maps, cohort.truth.matrices(), cohort.truth.table, rng.random(PEOPLE)
    )
    return cohort


def results(cohort, *words: object, name: str = "own") -> list[dict[str, str]]:
    """Call the analysis; return the rows of its scores."""
    assert cohort.analyse("phenotypes", "--name", name, *words) == 0
    return read_table(cohort.out / f"group/phenotypes-{name}/desc-phenotypes_scores.tsv")


def row(rows, features="edges", penalty="nested", **cells):
    wanted = {"features": features, "penalty": penalty, **cells}
    (found,) = [one for one in rows if wanted.items() <= one.items()]
    return {name: float(cell) for name, cell in found.items() if _is_number(cell)}


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def page(cohort, name="own") -> str:
    return (cohort.out / f"group/phenotypes-{name}/statistics_report.html").read_text()


@pytest.fixture(scope="module")
def score(cohort):
    words = ("--phenotype", "score", "--feature-sets", "edges", "maps", "regions")
    return results(cohort, *words, *FEW, "--covariates", "age", name="score")


def test_what_is_in_the_edges_is_found_and_maps_add_nothing(cohort, score, capsys):
    edges = row(score)
    assert edges["r"] > 0.8
    assert edges["low"] < edges["r"] < edges["high"]
    assert (edges["p"], edges["people"], edges["families"], edges["columns"]) == (
        *(0.01, PEOPLE, PEOPLE // 2, len(EDGES[0])),
    )
    (alone,) = [one for one in score if one["features"] == "covariates alone (age)"]
    assert float(alone["r"]) < 0.5
    table = cohort.out / "group/phenotypes-score/desc-phenotypes_differences.tsv"
    differences = [one for one in read_table(table) if one["features"] == "maps"]
    assert {one["contrast"] for one in differences} == {c.label for c in cohort.bundle.contrasts}
    assert "better" not in {one["verdict"] for one in differences}
    assert len({one["comparison"] for one in differences}) == 3
    said = page(cohort, "score")
    assert (
        "No synthetic map predicts score measurably better than the connectome it was made from"
        in said
    )
    assert "and none adds measurably to it" in said


def test_scores_are_those_of_scikit_learn_in_each_fold(cohort, score):
    """Nothing of test people enters: means, scale and regressions are the training people's."""
    truth = cohort.truth
    y, age, x = np.array(truth.table["score"]), truth.age[:, None], truth.edges
    folds = repeated_folds(truth.family, folds=5, repeats=2, seed=0, sites=truth.site)
    r = []
    for repeat in range(2):
        predicted, measured = np.zeros(PEOPLE), np.zeros(PEOPLE)
        for split in folds.splits(repeat):
            train, test = split.train, split.test
            of_age = LinearRegression().fit(age[train], np.column_stack([x, y])[train])
            left = np.column_stack([x, y]) - of_age.predict(age)
            own, target = left[:, :-1], left[:, -1]
            scale = np.sqrt(own[train].var(axis=0).mean())
            ridge = Ridge(x.shape[1] / len(train)).fit(own[train] / scale, target[train])
            predicted[test], measured[test] = ridge.predict(own[test] / scale), target[test]
        r.append(np.corrcoef(predicted, measured)[0, 1])
    assert row(score, penalty="published")["r"] == pytest.approx(np.mean(r), abs=1e-5)


@pytest.mark.slow
def test_what_chance_gives_is_called_nothing(cohort, capsys):
    found = results(
        cohort, "--phenotype", "luck", "--feature-sets", "edges", "maps", *FEW, name="luck"
    )
    assert row(found)["p"] > 0.05
    assert "Nothing predicts luck beyond chance: neither the connectome (66 edges" in page(
        cohort, "luck"
    )
    assert not list((cohort.out / "group/phenotypes-luck").glob("*haufe*"))


def test_relatives_are_never_on_both_sides(cohort, tmp_path):
    """What relatives share predicts nothing, unless a split tears them apart."""
    words = ("--phenotype", "of_family", "--feature-sets", "edges", *FEW)
    whole = row(results(cohort, *words, name="whole"))
    unrelated = {name: own for name, own in cohort.truth.table.items() if name != "family_id"}
    leaking = WrittenCohort.__new__(WrittenCohort)
    leaking.__dict__ |= cohort.__dict__ | {"bids": tmp_path / "fmriprep"}
    shutil.copytree(cohort.bids, leaking.bids)
    leaking.write_table(cohort.labels, unrelated)
    torn = row(results(leaking, *words, name="torn"))
    assert whole["r"] < 0.35
    assert whole["p"] > 0.05
    assert torn["r"] > 0.5
    assert torn["p"] == 0.01


@pytest.mark.slow
def test_a_site_effect_is_no_prediction(cohort):
    words = ("--phenotype", "of_site", "--feature-sets", "edges", *FEW)
    plain = row(results(cohort, *words, name="plain"))
    assert plain["r"] > 0.7
    assert plain["p"] > 0.05  # people are permuted within their sites
    assert "what is predicted goes with these" in page(cohort, "plain")
    taken = row(results(cohort, *words, "--covariates", "site", name="taken"))
    assert taken["r"] < 0.3
    left = row(results(cohort, *words, "--leave-site-out", name="left"))
    assert left["p"] > 0.05
    assert left["within_folds"] < 0.3  # that is, within sites
    assert "Each of 4 sites was left out in turn" in page(cohort, "left")


def test_two_levels_have_their_scores(cohort):
    found = results(cohort, "--phenotype", "sex", "--feature-sets", "edges", *FEW, name="sex")
    edges = row(found)
    assert edges["auc"] > 0.9
    assert edges["balanced_accuracy"] > 0.75
    sexes = cohort.truth.table["sex"]
    first = sexes.count(sexes[0])
    equal = 4 * first * (len(sexes) - first) / len(sexes)
    assert edges["effective_people"] == pytest.approx(equal, rel=0.01)
    assert "r" not in edges
    (mean,) = [one for one in found if one["features"] == "mean of training people"]
    assert (float(mean["auc"]), float(mean["balanced_accuracy"])) == (0.5, 0.5)


def test_weights_show_what_goes_with_the_phenotype(cohort, score):
    folder = cohort.out / "group/phenotypes-score"
    weights = [float(one["weight"]) for one in read_table(folder / "desc-scoreEdges_weights.tsv")]
    assert np.corrcoef(weights, cohort.truth.loading)[0, 1] > 0.8
    (path,) = folder.glob("*contrast-languageMath_stat-haufe_desc-scoreMaps_statmap.nii.gz")
    image = nib.load(path).get_fdata()[cohort.bundle.places.mask]
    own = cohort.truth.maps[:, 0].T @ (np.array(cohort.truth.table["score"]) - 1.5) / PEOPLE
    assert np.corrcoef(image, own)[0, 1] > 0.7
    facts = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
    assert facts["PValue"] == 0.01
    assert "How features change with fitted score (weights after Haufe)" in page(cohort, "score")


@pytest.mark.slow
def test_few_people_get_no_verdict(cohort, capsys):
    words = ("--phenotype", "score", "--feature-sets", "edges", "maps", "--repeats", 1)
    few = ("--permutations", 19, "--participant-label", *cohort.labels[:12:2])
    results(cohort, *words, *few, name="few")
    assert "score: no verdict with 6 participants (8 are needed)." in page(cohort, "few")
    table = cohort.out / "group/phenotypes-few/desc-phenotypes_differences.tsv"
    assert {one["verdict"] for one in read_table(table)} == {"too few people"}


@pytest.mark.slow
def test_who_lacks_a_value_or_cannot_be_read_is_left_out(cohort, tmp_path, capsys):
    out = shutil.copytree(cohort.out, tmp_path / "out")
    lacking = dict(cohort.truth.table, score=["n/a", *cohort.truth.table["score"][1:]])
    other = WrittenCohort.__new__(WrittenCohort)
    other.__dict__ |= cohort.__dict__ | {"bids": tmp_path / "fmriprep", "out": out}
    shutil.copytree(cohort.bids, other.bids)
    other.write_table(cohort.labels, lacking)
    broken = next(out.glob(f"sub-{cohort.labels[-1]}/func/*_desc-synthetic_statmap.nii.gz"))
    broken.write_bytes(b"no image")
    words = ("--feature-sets", "edges", "maps", "--phenotype", "score", *FEW)
    assert other.analyse("phenotypes", *words) == 1
    reported = capsys.readouterr().err
    assert f"sub-{cohort.labels[-1]} is left out" in reported
    rows = read_table(out / "group/phenotypes/desc-phenotypes_scores.tsv")
    people = {one["people"] for one in rows if one["contrast"] == "languageMath"}
    assert row(rows)["people"] == PEOPLE - 1
    assert people <= {str(PEOPLE - 1), str(PEOPLE - 2)}


def test_phenotypes_are_found_in_the_table_and_a_dry_run_writes_nothing(cohort, capsys):
    assert cohort.analyse("phenotypes", "--covariates", "age", "--name", "dry", "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "would predict score, luck, of_family, of_site, sex of 48 participants" in shown
    assert "predicted maps of 48 participants, 3 contrasts" in shown
    assert not (cohort.out / "group/phenotypes-dry").exists()


def test_leaving_sites_out_needs_sites(cohort, capsys):
    words = (
        "--phenotype",
        "score",
        "--leave-site-out",
        "--name",
        "none",
        "--feature-sets",
        "edges",
    )
    people = [
        label for label, site in zip(cohort.labels, cohort.truth.site, strict=True) if not site
    ]
    assert cohort.analyse("phenotypes", *words, "--participant-label", *people) == 2
    assert "no two sites are known" in capsys.readouterr().err


AWKWARD = ("--feature-sets", "edges", "maps", "--permutations", 9, "--repeats", 1)


def awkward(cohort, tmp_path, capsys, columns, *words):
    """Call the analysis with columns of its own; return the exit code and what was said."""
    table = tmp_path / "own.tsv"
    rows = ["\t".join(["participant_id", *columns])]
    for label, *values in zip(cohort.labels, *columns.values(), strict=True):
        rows.append("\t".join([f"sub-{label}", *map(str, values)]))
    table.write_text("\n".join([*rows, ""]))
    code = cohort.analyse("phenotypes", "-p", table, "--name", "awkward", *AWKWARD, *words)
    return code, capsys.readouterr().err


def test_a_covariate_may_be_the_same_for_all_who_have_a_phenotype(cohort, tmp_path, capsys):
    sex = ["FM"[n % 2] for n in range(PEOPLE)]
    score = cohort.truth.table["score"]
    only = [value if own == "F" else "n/a" for value, own in zip(score, sex, strict=True)]
    columns = {"sex": sex, "of_women": only, "score": score}
    code, _ = awkward(cohort, tmp_path, capsys, columns, "--covariates", "sex")
    assert code == 0
    rows = read_table(cohort.out / "group/phenotypes-awkward/desc-phenotypes_scores.tsv")
    people = {one["phenotype"]: one["people"] for one in rows if one["features"] == "edges"}
    assert people == {"of_women": str(PEOPLE // 2), "score": str(PEOPLE)}


def test_levels_that_are_sites_cannot_be_learned_elsewhere(cohort, tmp_path, capsys):
    site = ["AB"[n // (PEOPLE // 2)] for n in range(PEOPLE)]
    columns = {"site": site, "patient": [int(own == "A") for own in site]}
    code, said = awkward(cohort, tmp_path, capsys, columns, "--leave-site-out")
    assert code == 2
    assert "patient is not predicted: all people outside a fold have one value" in said
    family = [0 if own == "A" else n for n, own in enumerate(site)]
    columns = {"site": site, "family_id": family, "score": cohort.truth.table["score"]}
    code, said = awkward(cohort, tmp_path, capsys, columns, "--leave-site-out")
    assert code == 2
    assert "score is not predicted: all people outside a fold are of one family" in said


@pytest.mark.slow
def test_weights_of_a_named_contrast_need_no_permutation(cohort, tmp_path, capsys):
    columns = {"score": cohort.truth.table["score"]}
    words = ("--contrast", "languageMath", "--permutations", 0)
    assert awkward(cohort, tmp_path, capsys, columns, *words)[0] == 0
    (path,) = (cohort.out / "group/phenotypes-awkward").glob("*_stat-haufe_*_statmap.json")
    assert json.loads(path.read_text())["PValue"] is None


@pytest.mark.slow
def test_numbers_that_have_no_squares_are_left_out(cohort, tmp_path, capsys):
    score = np.array(cohort.truth.table["score"])
    columns = {"huge": 1e300 * score, "tiny": 1e-300 * score, "score": score}
    code, said = awkward(cohort, tmp_path, capsys, columns)
    assert code == 0
    assert "huge is not predicted: its values are above 1e+100" in said
    assert "tiny is not predicted" in said
    assert "warning" not in said
