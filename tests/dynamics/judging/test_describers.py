"""What is said of another session of people: known where people differ, whatever is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tiny_series import PEOPLE, REGIONS, made_series

from bids_dtg.connectome.edges import upper_edges
from bids_dtg.dynamics.judging.describers import identified, judge_people
from bids_dtg.dynamics.lag_covariances import GroupSums, LagCovariances
from bids_dtg.dynamics.linear import LinearModel, Strengths
from bids_dtg.dynamics.networks import PeopleSeries, standardised


@pytest.fixture(scope="module")
def sessions() -> tuple[PeopleSeries, PeopleSeries]:
    first, again = (
        PeopleSeries(PEOPLE, REGIONS, standardised(series), 0.72)
        for series in made_series(frames=200)
    )
    return first, again


@pytest.fixture(scope="module")
def model(sessions: tuple[PeopleSeries, PeopleSeries]) -> LinearModel:
    people = [LagCovariances.of(series) for series in sessions[0].series]
    return LinearModel.of(GroupSums.over(people), Strengths(100.0, 50.0))


@pytest.mark.slow
def test_people_are_identified_by_what_is_said_of_them(model, sessions) -> None:
    judged = [*judge_people(model, *sessions, seed=0)]
    assert [person.label for person in judged] == list(PEOPLE)
    assert identified(judged, "model") > 0.6
    assert identified(judged, "other_person") < 0.2
    assert identified(judged, "group") == pytest.approx(1 / len(PEOPLE))
    assert np.isnan([person.scores["group"].residual for person in judged]).all()
    scores = judged[0].scores["model"]
    assert np.isfinite([scores.nll, scores.fcd, *scores.r2]).all()
    assert np.isnan(judged[0].scores["factors_1"].nll)


@pytest.mark.slow
def test_frames_that_were_left_out_change_no_score_but_that_of_fcd(model, sessions) -> None:
    rng = np.random.default_rng(0)
    kept = rng.random((len(PEOPLE), 200)) < 0.8

    def scores(filling: float) -> list[float]:
        first, again = (
            replace(own, series=np.where(kept[:, None], own.series, filling), kept=kept)
            for own in sessions
        )
        return [
            value
            for person in judge_people(model, first, again, seed=0)
            for own in person.scores.values()
            for value in (own.fit, own.nll, *own.r2)
        ]

    np.testing.assert_array_equal(scores(0.0), scores(5.0))


def test_another_person_is_the_mean_over_all_of_other_families(model, sessions) -> None:
    few = [own.of(PEOPLE[:4]) for own in sessions]
    family = [replace(own, families={"01": "a", "02": "a"}) for own in few]
    fcs, again = ([np.corrcoef(own) for own in some.series] for some in few)
    for people, others in ((few, [1, 2, 3]), (family, [2, 3])):
        person = next(iter(judge_people(model, *people, seed=0)))
        edges = [upper_edges(fcs[other]) for other in others]
        fits = [np.corrcoef(own, upper_edges(again[0]))[0, 1] for own in edges]
        assert person.scores["other_person"].fit == pytest.approx(np.mean(fits), abs=1e-6)
    related = [replace(own, families=dict.fromkeys(PEOPLE, "a")) for own in few]
    assert "other_person" not in next(iter(judge_people(model, *related, seed=0))).scores


def test_a_person_alone_has_nobody_to_be_compared_with(model, sessions) -> None:
    one = [own.of(PEOPLE[:1]) for own in sessions]
    (person,) = judge_people(model, *one, seed=0)
    assert "other_person" not in person.scores
    (both, _) = judge_people(model, *(own.of(PEOPLE[:2]) for own in sessions), seed=0)
    assert both.scores["model"].fcd == person.scores["model"].fcd
