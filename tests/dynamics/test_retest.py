"""Components of training people, and what another session shows of them."""

from __future__ import annotations

import numpy as np
from tiny_series import PEOPLE, REGIONS, made_series

from bids_dtg.dynamics.linear import TrainingPerson
from bids_dtg.dynamics.networks import PeopleSeries, standardised
from bids_dtg.dynamics.retest import covariances_of, draw, find_components


def two_sessions(people: int = 12, frames: int = 600) -> tuple[PeopleSeries, PeopleSeries]:
    labels = tuple(f"{number:02}" for number in range(people))
    first, again = (
        PeopleSeries(labels, REGIONS, standardised(own), 0.72)
        for own in made_series(2, people, len(REGIONS), frames)
    )
    return first, again


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
    assert draw(labels, 30, 1) == draw(labels, 30, 1)
    assert draw(labels, 30, 1) != draw(labels, 30, 2)
    assert draw(PEOPLE, 30, 1) == PEOPLE
