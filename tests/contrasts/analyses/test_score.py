from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.contrasts.analyses.baselines import GROUP_AVERAGE, LINEAR
from bids_dtg.contrasts.analyses.person_arrays import Person
from bids_dtg.contrasts.analyses.score import Scoring, retest_maps, score_models
from bids_dtg.contrasts.judging.model_table import (
    comparison_rows,
    contrast_rows,
    summary_row,
    tissue_rows,
)
from bids_dtg.files.array_store import ArrayStore

PEOPLE, CONTRASTS, VOXELS = 12, 2, 400
RNG = np.random.default_rng(3)
MEAN = RNG.normal(2, 1, (CONTRASTS, VOXELS)).astype(np.float32)
MAPS = MEAN + RNG.normal(size=(PEOPLE, CONTRASTS, VOXELS)).astype(np.float32)
AGAIN = MAPS + 0.3 * RNG.normal(size=MAPS.shape).astype(np.float32)
AGAIN[4, :, :100] = np.nan  # outside the field of view
TISSUES = {"cortex": np.arange(VOXELS) < 250, "cerebellum": np.arange(VOXELS) >= 300}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    nothing = np.zeros((1, 1, VOXELS), np.float16)
    people = [
        Person(str(n), nothing, (1.0,), maps)
        for n, maps in enumerate(zip(MAPS, AGAIN, strict=True))
    ]
    noise = RNG.normal(size=MAPS.shape).astype(np.float32)

    def half(person: Person) -> np.ndarray:
        """Know people in the first contrast only."""
        maps = person.maps + 0.5 * noise[int(person.label)]
        maps[1] = 7.0
        return maps

    models = {
        GROUP_AVERAGE: lambda person: MEAN,
        LINEAR: lambda person: MEAN,
        "model": half,
        "mean": lambda person: MEAN,
        "known": lambda person: person.maps,
        **retest_maps(people),
    }
    assert not retest_maps([*people, Person("13", nothing, (1.0,), (MEAN,))])
    store = ArrayStore(tmp_path_factory.mktemp("store"))
    scoring = Scoring(
        "known",
        store,
        lambda line: None,
        training_mean=MEAN,
        leave_one_out=[LINEAR],
        tissues=TISSUES,
    )
    scored = score_models(models, people, scoring)
    return {one.name: one for one in scored}


def test_a_constant_map_counts_as_knowing_nothing(found):
    row = summary_row(found["model"], found[GROUP_AVERAGE])
    first = found["model"].scores["r"][0].mean()
    assert first > 0.8
    assert row["r"][0] == pytest.approx(first / 2, abs=1e-3)
    # Who predicts the mean map deviates from it for nobody.
    row = summary_row(found["mean"], found[GROUP_AVERAGE])
    assert row["residual_r"] is None
    assert row["residual_r_training_mean"] is None
    assert row["r_minus_own_mean"] == [0, 0, 0]


def test_what_knows_everybody_else_has_r_and_no_score_of_individuality(found):
    row = summary_row(found[LINEAR], found[GROUP_AVERAGE])
    assert "r_minus_group_average" in row
    assert not {"residual_r", "index", "ratio", "identification", "fingerprint"} & set(row)
    assert not found[LINEAR].matrices
    rows = contrast_rows(list(found.values()), found[GROUP_AVERAGE], ["c0", "c1"])
    reported = {(one["model"], one["contrast"]): one["residual_r"] for one in rows}
    assert reported[LINEAR, "c0"] is None
    assert reported["known", "c0"] == 1.0


def test_differences_are_paired_over_people(found):
    rows = comparison_rows(found["known"], [found[GROUP_AVERAGE], found[LINEAR]])
    (row,) = (row for row in rows if (row["score"], row["against"]) == ("r", GROUP_AVERAGE))
    difference = (found["known"].scores["r"] - found[GROUP_AVERAGE].scores["r"]).mean()
    assert row["difference"][0] == pytest.approx(difference, abs=1e-4)
    assert row["difference"][1] <= row["difference"][0] <= row["difference"][2]
    assert {row["score"] for row in rows if row["against"] == LINEAR} == {"r"}


def test_the_judged_model_is_followed_by_its_own_mean_and_another_s_prediction(found):
    names = list(found)
    at = names.index("known")
    assert names[at + 1 : at + 3] == ["own mean prediction", "another person's prediction"]
    own_mean, another = (found[name] for name in names[at + 1 : at + 3])
    mean = MAPS.mean(axis=0)
    expected = [np.corrcoef(mean[0], maps)[0, 1] for maps in MAPS[:, 0]]
    assert own_mean.scores["r"][0].mean() == pytest.approx(np.mean(expected), abs=1e-5)
    assert summary_row(own_mean)["identification"][0] == pytest.approx(1 / PEOPLE, abs=1e-4)
    matrix = np.corrcoef(MAPS[:, 1])
    others = (matrix.sum() - PEOPLE) / (PEOPLE * (PEOPLE - 1))
    assert another.scores["r"][1].mean() == pytest.approx(others, abs=1e-5)
    assert set(summary_row(another)) == {"model", "r", "r_sd_over_contrasts"}


def test_tissues_have_scores_of_their_own_places(found):
    assert set(found["known"].tissues) == set(TISSUES)
    assert not found["model"].tissues
    group = found[GROUP_AVERAGE].tissues["cerebellum"]
    expected = [np.corrcoef(MEAN[0, 300:], maps[0, 300:])[0, 1] for maps in MAPS]
    np.testing.assert_allclose(group.scores["r"][0], expected, atol=1e-5)
    rows = {row["part"]: row for row in tissue_rows(found["known"], found[GROUP_AVERAGE], {})}
    assert {name: row["places"] for name, row in rows.items()} == {
        "all places": VOXELS,
        "cortex": 250,
        "cerebellum": 100,
    }
    above = 1 - group.scores["r"].mean()
    assert rows["cerebellum"]["r_minus_group_average"][0] == pytest.approx(above, abs=1e-4)


def test_voxels_outside_the_retest_s_field_of_view_are_left_out(found):
    expected = [
        np.corrcoef(again[0, 100:], maps[0, 100:])[0, 1]
        for again, maps in zip(AGAIN, MAPS, strict=True)
    ]
    np.testing.assert_allclose(found["retest"].scores["r"][0], expected, atol=1e-5)
