"""Sentences on which prediction is best."""

from __future__ import annotations

import numpy as np
import pytest
from given_twins import Given, slow_cohort

from bids_dtg.twin.judging.evaluation import Evaluation, Samples, judge
from bids_dtg.twin.judging.simple import simple_predictions
from bids_dtg.twin.judging.winners import standings, winner_sentences


def judged(order: np.ndarray | None = None, *, people: int = 24) -> Evaluation:
    """Judge twins that do what people do, or what people in another order do."""
    everybody = slow_cohort()
    rows = np.arange(people)
    some, others = everybody.of(rows), everybody
    action = some.segments.action if order is None else some.segments.action[order]
    twins = Given(action, some.segments.action.mean(axis=0, keepdims=True))
    simple = simple_predictions(others, some)
    return judge(twins, some, simple, samples=Samples(number=200))


def test_a_twin_that_does_what_people_do_is_best() -> None:
    found = judged()
    sentences = winner_sentences(found)
    (crps,) = (sentence for sentence in sentences if "CRPS" in sentence)
    assert crps.startswith("Distributions of response times (CRPS): the twin is best in stroop")
    assert crps.endswith(": better.")
    assert all(condition in crps for condition in found.conditions["stroop"])
    assert " ms" in crps
    for standing in standings(found, "crps"):
        assert standing.best is standing.twin
        rivals = [
            score.value.mean
            for score in found.scores
            if (score.figure, score.condition) == ("crps", standing.twin.condition)
            and score.name != "twin"
        ]
        assert standing.rival.value.mean == min(rivals)


def test_a_twin_of_somebody_else_is_behind() -> None:
    found = judged(np.roll(np.arange(24), 5))
    (standing,) = standings(found, "rt")
    assert standing.best.name != "twin"
    assert standing.verdict == "worse"
    sentence = winner_sentences(found)[0]
    assert sentence.startswith("Mean response times (r over people): connectome")
    assert sentence.endswith(": the twin is worse.")


def test_of_two_that_are_equal_the_simpler_one_is_best() -> None:
    (choice,) = standings(judged(), "choice")
    assert choice.twin.value.mean == pytest.approx(choice.rival.value.mean)
    assert choice.best is choice.rival
    assert choice.verdict == "no significant difference"


def test_few_people_have_no_verdict() -> None:
    sentences = winner_sentences(judged(people=5))
    assert all("too few people" in sentence for sentence in sentences)
