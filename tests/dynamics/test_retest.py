"""What another session of training people shows of a linear core."""

from __future__ import annotations

import numpy as np
from tiny_series import PEOPLE, REGIONS, made_series

from bids_dtg.dynamics.intervals import FIXED_SPREADS
from bids_dtg.dynamics.lag_covariances import GroupSums
from bids_dtg.dynamics.linear import LinearModel, Strengths, TrainingPerson
from bids_dtg.dynamics.networks import PeopleSeries, standardised
from bids_dtg.dynamics.retest import (
    MOST_JUDGED,
    Retest,
    covariances_of,
    draw,
    find_components,
    find_retest,
)


def two_sessions(people: int = 12, frames: int = 600) -> tuple[PeopleSeries, PeopleSeries]:
    labels = tuple(f"{number:02}" for number in range(people))
    first, again = (
        PeopleSeries(labels, REGIONS, standardised(own), 0.72)
        for own in made_series(2, people, len(REGIONS), frames)
    )
    return first, again


def core_of(first: PeopleSeries) -> tuple[LinearModel, GroupSums]:
    sums = GroupSums.over([covariances_of(first, row) for row in range(len(first.people))])
    return LinearModel.of(sums, Strengths(600.0, 100.0)), sums


def test_minutes_cost_what_less_rest_says_less_of_another_session() -> None:
    first, again = two_sessions()
    found = find_retest(*core_of(first), first, again, 0)
    minutes, fits = zip(*found.minutes, strict=True)
    assert minutes == (0.9, 1.8, 3.6, 7.2)
    assert fits[-1] > fits[0]
    assert len(found.regional) == 4
    assert all(-1 <= icc <= 1 for icc in found.regional)
    assert found.spreads.judged == 12


def people_of(first: PeopleSeries, again: PeopleSeries | None = None) -> list[TrainingPerson]:
    """Return training people of a session, and of another one if there is one."""
    return [
        TrainingPerson(
            covariances_of(first, row), None if again is None else covariances_of(again, row)
        )
        for row in range(len(first.people))
    ]


def test_few_people_with_two_sessions_show_nothing() -> None:
    first, again = two_sessions(9)
    assert find_retest(*core_of(first), first, again, 0) == Retest()
    assert Retest().spreads == FIXED_SPREADS
    components = find_components(people_of(first, again))
    assert components.reliability == ()
    assert len(components.loadings) == 5


def test_components_know_their_reliability_of_ten_people() -> None:
    first, again = two_sessions()
    found = find_components(people_of(first, again))
    assert len(found.reliability) == len(found.loadings)
    assert found.reliability[0] > 0.8
    assert find_components(people_of(first)).reliability == ()
    alike = PeopleSeries(
        first.people, REGIONS, np.repeat(first.series[:1], len(first.people), axis=0), 0.72
    )
    assert find_components(people_of(alike)) is None


def test_people_are_drawn_by_the_seed() -> None:
    labels = [f"{number}" for number in range(200)]
    assert draw(labels, MOST_JUDGED, 1) == draw(labels, MOST_JUDGED, 1)
    assert draw(labels, MOST_JUDGED, 1) != draw(labels, MOST_JUDGED, 2)
    assert draw(PEOPLE, MOST_JUDGED, 1) == PEOPLE
