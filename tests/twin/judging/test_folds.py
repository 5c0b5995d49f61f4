"""People who are judged by folds."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest
from given_twins import PEOPLE, Given, slow_cohort
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.twin.fitting import fit
from bids_dtg.twin.judging.cohort import Cohort
from bids_dtg.twin.judging.evaluation import GROUP, TWIN, Samples, evaluate_folds, fold_of, judge
from bids_dtg.twin.judging.folds import Fold, simple_of, within_folds
from bids_dtg.twin.judging.simple import Simple, simple_predictions
from bids_dtg.twin.recipe import Recipe, find_architecture

SMALL = Recipe(units=10, codes=3, group_epochs=4, group_updates=3, batch_people=6, batch_segments=2)
FOLDS = 3
SAMPLES = Samples(number=200)


def drawn(seed: int = 0) -> list[np.ndarray]:
    order = np.random.default_rng(seed).permutation(PEOPLE)
    return [np.sort(order[number::FOLDS]) for number in range(FOLDS)]


def folds_of(people: Cohort, buttons: np.ndarray) -> list[Fold]:
    """Return folds with baselines; the group of each is the mean of the others."""
    found = []
    for rows in drawn():
        others = np.setdiff1d(np.arange(PEOPLE), rows)
        group = people.segments.action[others].mean(axis=0, keepdims=True)
        simple = simple_predictions(people.of(others), people.of(rows))
        found.append(Fold(rows, Given(buttons[rows], group), simple))
    return found


@pytest.mark.slow
def test_everybody_is_judged_once_by_the_own_fold() -> None:
    people = slow_cohort()
    folds = folds_of(people, people.segments.action)
    found = evaluate_folds(folds, people, samples=SAMPLES)
    assert found.labels == people.labels
    whole = judge(
        Given(people.segments.action, people.segments.action.mean(axis=0, keepdims=True)),
        people,
        simple_predictions(people, people),
        samples=SAMPLES,
    )
    assert np.array_equal(found.observed, whole.observed)
    assert np.array_equal(found.predicted[TWIN], whole.predicted[TWIN])
    for number, fold in enumerate(folds):
        assert (found.folds[fold.rows] == number).all()
        for name, values in fold.simple.targets.items():
            assert np.array_equal(found.predicted[name][fold.rows], values)
    assert found.score("rt", "stroop").value.mean > 0.98
    assert found.score("rt", "stroop").people == PEOPLE
    assert found.comparison.matching.identified.mean == 1.0
    assert found.score("loss", name=GROUP).verdict.word == "better"


def test_other_peoples_twins_are_those_of_the_same_fold() -> None:
    people = slow_cohort()
    found = evaluate_folds(folds_of(people, people.segments.action), people, samples=SAMPLES)
    of = np.sort(found.folds)
    assert (np.isfinite(found.losses) == (of[:, None] == of[None, :])).all()


def test_what_is_the_same_for_all_of_a_fold_has_no_r() -> None:
    """Training people without slow people are quick: r of their mean was far below 0."""
    people = slow_cohort()
    alike = np.empty_like(people.segments.action)
    for rows in drawn():
        others = np.setdiff1d(np.arange(PEOPLE), rows)
        alike[rows] = people.segments.action[others].mean(axis=0)
    found = evaluate_folds(folds_of(people, alike), people, samples=SAMPLES)
    both = found.predicted[TWIN][:, 0], found.observed[:, 0]
    assert np.corrcoef(*both)[0, 1] < -0.1
    assert np.isnan(found.score("rt", "stroop").value.mean)


@pytest.mark.slow
def test_verdicts_count_that_everybody_trains_the_others() -> None:
    people = slow_cohort()
    folds = folds_of(people, np.roll(people.segments.action, 1, axis=0))
    crps = ("crps", "stroop", "ridge_distribution", "easy")
    found = evaluate_folds(folds, people, samples=SAMPLES).score(*crps).verdict
    twins = people.segments.action[(np.arange(PEOPLE) - 1) % PEOPLE]
    group = folds[0].twins.group
    plain = (
        judge(Given(twins, group), people, simple_of(folds), samples=SAMPLES).score(*crps).verdict
    )
    assert found.difference.mean == pytest.approx(plain.difference.mean)
    wide, narrow = (of.difference.high - of.difference.low for of in (found, plain))
    assert wide == pytest.approx(narrow * 2**0.5)


def test_folds_that_leave_somebody_out_are_refused() -> None:
    people = slow_cohort()
    folds = folds_of(people, people.segments.action)
    with pytest.raises(ValueError, match="each once"):
        evaluate_folds(folds[:2], people)
    with pytest.raises(ValueError, match="each once"):
        evaluate_folds([*folds, folds[0]], people)


def test_a_folds_twins_know_nothing_of_its_people() -> None:
    """Their responses change nothing that is predicted of them."""
    people, rows = slow_cohort(), drawn()[0]
    others = np.setdiff1d(np.arange(PEOPLE), rows)
    training = people.of(others)
    fitted = fit(
        training.connectomes,
        training.segments,
        people=training.labels,
        architecture=find_architecture("lowrank", SMALL),
    )
    fold = fold_of(fitted, people, rows)
    shuffled = np.arange(PEOPLE)
    shuffled[rows] = np.random.default_rng(1).permutation(rows)
    moved = replace(people, segments=people.segments.people(shuffled))
    again = fold_of(fitted, moved, rows)
    for name, values in fold.simple.targets.items():
        assert np.array_equal(values, again.simple.targets[name])
    own, other = (each.twins.perform(people.segments) for each in (fold, again))
    assert np.array_equal(own, other)
    with pytest.raises(ValueError, match="fitted to everybody else"):
        fold_of(fitted, people, drawn()[1])


@pytest.mark.slow
@given(st.lists(st.tuples(st.floats(-9, 9), st.integers(0, 3)), min_size=1, max_size=30))
def test_means_of_folds_are_taken_out(pairs: list[tuple[float, int]]) -> None:
    values, folds = (np.array(each) for each in zip(*pairs, strict=True))
    left = within_folds(values, folds)
    for fold in set(folds.tolist()):
        assert left[folds == fold].mean() == pytest.approx(0.0, abs=1e-8)
    assert within_folds(values, None) is values


def test_people_who_are_in_twice_are_judged_once() -> None:
    """Ten people in two folds, and with their copies: the same differences and verdicts."""
    segments = slow_cohort().segments
    once, again = np.arange(10), np.tile(np.arange(10), 2)
    labels = tuple(f"p{number}" for number in range(10))
    copies = {label: label[-1] for label in (*labels, *(f"c{label}" for label in labels))}
    found = []
    for rows, people in ((once, labels), (again, tuple(copies))):
        own = segments.people(rows)
        twins = segments.action[(rows + 1) % PEOPLE]
        cohort = Cohort(people, own, np.zeros((len(rows), 3)), families=copies)
        folds = [
            Fold(of, Given(twins[of], own.action[:1]), Simple({}, {}))
            for of in (np.flatnonzero(rows % 2 == side) for side in (0, 1))
        ]
        found.append(evaluate_folds(folds, cohort, samples=SAMPLES))
    one, two = found
    for score, other in zip(one.scores, two.scores, strict=True):
        if score.verdict is not None and score.figure in ("crps", "brier", "choice", "loss"):
            assert other.verdict.people == score.verdict.people <= 10
            assert other.verdict.p == pytest.approx(score.verdict.p, nan_ok=True)
            assert other.verdict.word == score.verdict.word
    assert two.comparison.matching == one.comparison.matching
    # Families are in another order, so other signs are drawn.
    assert two.comparison.own.p == pytest.approx(one.comparison.own.p, abs=0.02)
    both = [astuple(of.comparison.own.difference) for of in found]
    assert both[1] == pytest.approx(both[0])
