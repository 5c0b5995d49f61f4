"""Contrasts that a model cannot predict are reported from those that it can, with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bids_dtg.contrasts.judging.model_scores import score_maps
from bids_dtg.contrasts.judging.model_table import predictability_rows
from bids_dtg.contrasts.panels.predictability import (
    lead,
    not_predicted,
    predictability_facts,
    read_predictability,
)
from bids_dtg.report.contents import MapFile

LABELS = ["own", "shared", "same"]


@pytest.fixture(scope="module")
def evaluation():
    """Of a model that predicts individual deviations, the common map with noise, or one map."""
    rng = np.random.default_rng(0)
    measured = rng.standard_normal((20, 3, 400))
    measured += 2 * rng.standard_normal((3, 400))
    mean = measured.mean(axis=0)
    predicted = np.stack(
        [
            measured[:, 0] + rng.standard_normal((20, 400)),
            mean[1] + 0.3 * rng.standard_normal((20, 400)),
            np.broadcast_to(mean[2], (20, 400)),
        ],
        axis=1,
    )
    return {"contrasts": predictability_rows(score_maps("it", predicted, measured), LABELS)}


def shown(label: str, sidecar: dict) -> MapFile:
    return MapFile(label, Path(f"{label}.nii.gz"), sidecar, {})


def maps(evaluation) -> list[MapFile]:
    return [shown(label, dict(predictability_facts(evaluation, label))) for label in LABELS]


def test_only_what_is_above_another_persons_prediction_is_predicted(evaluation):
    own, shared, same = maps(evaluation)
    assert not_predicted(own) == ""
    found = read_predictability(own.sidecar)
    assert (found.people, found.individual, found.worth_using) == (20, "better", "better")
    assert found.words.startswith("Evaluation: r 0.")
    assert "no more than another person's prediction (difference" in not_predicted(shared)
    assert "the same for everybody" in not_predicted(same)
    assert "20 participants, 2 of 3 contrasts cannot be predicted" in lead([own, shared, same])


def test_the_figures_are_the_scores_of_the_people(evaluation):
    rng = np.random.default_rng(1)
    measured, predicted = rng.standard_normal((2, 9, 1, 100))
    scores = score_maps("it", predicted, measured)
    (row,) = predictability_rows(scores, ["one"])
    r = [np.corrcoef(m[0], p[0])[0, 1] for m, p in zip(measured, predicted, strict=True)]
    assert row["r"] == pytest.approx(np.mean(r), abs=1e-4)
    assert row["above_own_mean"][0] == pytest.approx(
        np.mean(
            np.array(r) - [np.corrcoef(m[0], predicted.mean(axis=0)[0])[0, 1] for m in measured]
        ),
        abs=1e-4,
    )


def test_the_ceiling_stands_beside_r_and_its_absence_is_said(evaluation):
    ceilings = [{"contrast": "own", "retest_people": 9, "reliability": 0.64, "ceiling": 0.8}]
    own, shared, _ = maps({**evaluation, "ceilings": ceilings})
    assert own.sidecar["Predictability"]["RetestPeople"] == 9
    assert "(noise ceiling 0.80)" in read_predictability(own.sidecar).words
    assert "noise ceiling" not in not_predicted(shared)
    assert "Noise ceiling n/a" not in lead([own, shared])
    assert "Noise ceiling n/a: none of them was measured twice" in lead(maps(evaluation))
    # A model that was not evaluated may know how well maps repeat.
    alone = dict(predictability_facts({"ceilings": ceilings}, "own"))
    assert alone["Predictability"]["Ceiling"] == 0.8
    assert read_predictability(alone) is None


def test_a_model_without_an_evaluation_says_so():
    (row,) = predictability_rows(
        score_maps("it", *np.random.default_rng(0).standard_normal((2, 4, 1, 50))), ["own"]
    )
    few = shown("own", dict(predictability_facts({"contrasts": [row]}, "own")))
    assert not_predicted(few) == ""
    assert "No verdict with 4 participants" in read_predictability(few.sidecar).words
    for evaluation in (None, {}, {"contrasts": 3}, {"contrasts": [{"contrast": "x"}, 4]}):
        assert predictability_facts(evaluation, "own") == {}
    assert lead([shown("own", {})]).startswith("The model carries no evaluation by contrast")
    same = shown("own", {"Individual": False})
    assert "1 of 1 contrast cannot be predicted" in lead([same])


@pytest.mark.parametrize("facts", [3, {}, {"People": "4"}, {"People": 4, "AboveAnother": [1, "x"]}])
def test_a_damaged_sidecar_is_no_error(facts):
    found = read_predictability({"Predictability": facts})
    assert found is None or found.above_another is None
