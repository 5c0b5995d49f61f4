"""Phenotypes of simulated people, from files to the page: the scores are those of the truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from tiny_job import read_table
from written_cohort import PARCELS, WrittenCohort

from bids_dtg.contrasts.phantom.dataset import phenotype
from bids_dtg.contrasts.phantom.model import Person, Phantom
from bids_dtg.phantom.streams import Cohort
from bids_dtg.stats.prediction import family_folds

pytestmark = pytest.mark.slow
TRAINING, PEOPLE, CONTRASTS = 80, 160, 3
SHARE = 0.6  # of the variance of reasoning that a trait explains
ROWS = slice(0, CONTRASTS)
EDGES = np.triu_indices(50, 1)


def roi_r(person: Person) -> np.ndarray:
    frames = person.frames(session=0, segment=0)
    return np.corrcoef((frames @ person.phantom.series_weights.T).T)


def ridge_of_places(connectomes: np.ndarray, maps: np.ndarray) -> Callable:
    """Fit a ridge regression of maps on connectomes at each place by itself."""
    x_mean, y_mean = connectomes.mean(axis=0), maps.mean(axis=0)
    x, y = connectomes - x_mean, maps - y_mean
    gram, cross = np.einsum("nkv,nlv->vkl", x, x), np.einsum("nkv,nqv->vkq", x, y)
    penalty = np.trace(gram, axis1=1, axis2=2)[:, None, None] / len(x_mean)
    slopes = np.linalg.solve(gram + penalty * np.eye(len(x_mean)), cross)
    return lambda new: y_mean + np.einsum("vkq,kv->qv", slopes, new - x_mean)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> WrittenCohort:
    """People whose maps a local ridge predicts from rest, and who has learnt it from others."""
    phantom = Phantom(block=4)
    anatomy, grid = phantom.anatomy, phantom.anatomy.grid
    cohort = WrittenCohort(
        tmp_path_factory.mktemp("phantom"),
        rois=50,
        contrasts=CONTRASTS,
        shape=grid.shape,
        affine=grid.affine,
        masks=(anatomy.brain, anatomy.grey),
    )
    training = [phantom.person(Cohort.TRAINING, index) for index in range(TRAINING)]
    predict = ridge_of_places(
        np.stack([person.connectome(0, 0) for person in training]),
        np.stack([person.measured_maps(0)[ROWS] for person in training]),
    )
    people = [phantom.person(Cohort.TEST, index) for index in range(PEOPLE)]
    cohort.maps = np.stack([predict(person.connectome(0, 0)) for person in people])
    cohort.edges = np.stack([roi_r(person) for person in people]).round(6)
    cohort.reasoning = np.array([phenotype(person)["reasoning"] for person in people])
    cohort.regions = _regions(cohort)
    rng = np.random.default_rng(0)
    known = cohort.regions @ rng.standard_normal(cohort.regions.shape[1])
    known = (known - known.mean()) / known.std()
    chance = rng.standard_normal(PEOPLE)
    cohort.known = (np.sqrt(SHARE) * known + np.sqrt(1 - SHARE) * chance).round(4)
    table = {
        "reasoning": cohort.reasoning.tolist(),
        "known": cohort.known.tolist(),
        "luck": np.random.default_rng(1).standard_normal(PEOPLE).round(4).tolist(),
    }
    cohort.write(cohort.maps, cohort.edges, table)
    return cohort


def _regions(cohort: WrittenCohort) -> np.ndarray:
    """Return the means of all contrasts over parcels, in which people differ alike."""
    means = [
        cohort.maps[:, :, cohort.parcels == parcel].mean(axis=2)
        for parcel in range(1, PARCELS + 1)
        if (cohort.parcels == parcel).any()
    ]
    found = np.concatenate(means, axis=1)
    return (found - found.mean(axis=0)) / found.std(axis=0)


@pytest.fixture(scope="module")
def scores(cohort):
    assert cohort.analyse("phenotypes", "--permutations", 99) == 0
    return read_table(cohort.out / "group/phenotypes/desc-phenotypes_scores.tsv")


def rows(scores, phenotype: str, features: str):
    wanted = {"phenotype": phenotype, "features": features}
    return [row for row in scores if wanted.items() <= row.items()]


def by_hand(x: np.ndarray, y: np.ndarray) -> float:
    """Return r with the published penalty as scikit-learn's ridge has it, in the same folds."""
    folds, predicted = family_folds(np.arange(len(y)), 5, seed=0), np.empty((2, len(y)))
    for fold in range(5):
        train, test = folds != fold, folds == fold
        scale = np.sqrt(x[train].var(axis=0).mean())
        ridge = Ridge(x.shape[1] / train.sum()).fit(x[train] / scale, y[train])
        predicted[:, test] = (
            ridge.predict(x[test] / scale) - y[train].mean(),
            (y[test] - y[train].mean()),
        )
    return float(np.corrcoef(predicted)[0, 1])


def test_scores_of_the_files_are_those_of_the_arrays(cohort):
    words = ("--ridge", "published", "--voxels", "--name", "published", "--phenotype", "reasoning")
    assert cohort.analyse("phenotypes", *words, "--permutations", 0) == 0
    scores = read_table(cohort.out / "group/phenotypes-published/desc-phenotypes_scores.tsv")
    (edges,) = rows(scores, "reasoning", "edges")
    wanted = by_hand(cohort.edges[:, EDGES[0], EDGES[1]].astype(np.float64), cohort.reasoning)
    assert float(edges["r"]) == pytest.approx(wanted, abs=1e-4)
    for contrast, row in enumerate(rows(scores, "reasoning", "maps")[:CONTRASTS]):
        wanted = by_hand(cohort.maps[:, contrast].astype(np.float64), cohort.reasoning)
        assert float(row["r"]) == pytest.approx(wanted, abs=1e-4)


def test_a_known_share_is_recovered(cohort, scores):
    """A share of 0.6 in p columns gives r = √0.6 / √(1 + p/n · 0.4/0.6) of n training people."""
    (found,) = [row for row in rows(scores, "known", "maps") if row["contrast"] == "all"]
    ratio = cohort.regions.shape[1] / (0.8 * PEOPLE)
    expected = np.sqrt(SHARE) / np.sqrt(1 + ratio * (1 - SHARE) / SHARE)
    error = (1 - expected**2) / np.sqrt(PEOPLE)
    assert abs(float(found["r"]) - expected) < 3 * error
    assert float(found["p"]) == 0.01


def test_luck_is_not_predicted(cohort, scores):
    own = [row for row in scores if row["phenotype"] == "luck"]
    assert max(abs(float(row["r"])) for row in own) < 0.35
    assert all(float(row["p_fwe"]) > 0.05 for row in own)
    page = (cohort.out / "group/phenotypes/statistics_report.html").read_text()
    assert "luck is not predicted beyond chance from any of 5 sets" in page
