"""Intervals of the linear core: variances of sampling, and how far days differ beyond it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from network_people import real_networks

from bids_dtg.connectome.edges import upper_edges
from bids_dtg.dynamics.intervals import (
    FIXED_SPREADS,
    Spreads,
    Uncertainty,
    correlation_variance,
    find_spreads,
    held_by,
    share_different,
    transition_variance,
)
from bids_dtg.dynamics.lag_covariances import GroupSums, LagCovariances
from bids_dtg.dynamics.linear import LinearModel, LinearProcess, Strengths, yule_walker

FRAMES = 300
REGIONS = 5
STRENGTHS = Strengths(600.0, 600.0)


def some_process(rng: np.random.Generator, own: float = 0.0) -> LinearProcess:
    """Return a process of few regions with memory, whose connections differ by `own`."""
    base = np.random.default_rng(99).standard_normal((REGIONS, REGIONS))
    mixing = np.eye(REGIONS) + 0.4 * base + own * rng.standard_normal((REGIONS, REGIONS))
    white = rng.standard_normal((REGIONS, 4_000))
    for frame in range(1, white.shape[1]):
        white[:, frame] += 0.5 * white[:, frame - 1]
    return yule_walker(LagCovariances.of(mixing @ white).values)


def sessions_of(process: LinearProcess, count: int, rng) -> list[LagCovariances]:
    return [LagCovariances.of(own) for own in process.simulate(count, FRAMES, rng)]


def test_variances_are_those_of_simulated_sessions() -> None:
    rng = np.random.default_rng(0)
    process = some_process(rng)
    found = sessions_of(process, 500, rng)
    correlations = np.stack([upper_edges(own.values[0]) for own in found])
    expected = upper_edges(correlation_variance(process)) / FRAMES
    np.testing.assert_allclose(correlations.var(axis=0), expected, rtol=0.25)
    # What memory adds: as many frames without any vary by half as much.
    assert expected.mean() > 1.3 * ((1 - upper_edges(process.covariance) ** 2) ** 2).mean() / FRAMES
    transitions = np.stack([yule_walker(own.values).transitions for own in found])
    free = FRAMES - 2 * REGIONS - 1
    np.testing.assert_allclose(
        transitions.var(axis=0), transition_variance(process) / free, rtol=0.35
    )


def test_uncertainty_falls_with_frames_and_is_not_known_of_too_few() -> None:
    process = some_process(np.random.default_rng(1))
    few, many = (
        Uncertainty(process, frames, STRENGTHS, Spreads(1.0, 1.0)) for frames in (100, 1000)
    )
    assert (few.transition_sd > many.transition_sd).all()
    wide = Uncertainty(process, 100, STRENGTHS, Spreads(4.0, 9.0))
    np.testing.assert_allclose(wide.transition_sd, 2 * few.transition_sd)
    np.testing.assert_allclose(wide.covariance_sd_of(50), 3 * few.covariance_sd_of(50))
    assert np.isnan(few.transition_sd_of(2 * REGIONS + 1)).all()
    assert np.isfinite(few.transition_sd_of(2 * REGIONS + 2)).all()


def pairs_of(days: float, people: int) -> list[tuple[LagCovariances, LagCovariances]]:
    """Return two sessions of people; `days` is how much a person's connections differ between."""
    found = []
    for number in range(people):
        rng = np.random.default_rng(number)
        own = 0.15
        first = some_process(rng, own)
        again = first if not days else some_process(np.random.default_rng(1000 + number), days)
        found.append((*sessions_of(first, 1, rng), *sessions_of(again, 1, rng)))
    return found


@pytest.fixture(scope="module")
def same_days() -> list[tuple[LagCovariances, LagCovariances]]:
    return pairs_of(0.0, 24)


def test_people_who_stay_the_same_vary_by_sampling(same_days) -> None:
    sums = GroupSums.over([own for own, _ in same_days])
    spreads = find_spreads(sums, STRENGTHS, same_days)
    assert spreads.judged == 24
    assert 0.6 < spreads.transition < 1.6
    assert 0.5 < spreads.covariance < 2.5
    held = []
    for own, other in same_days:
        model = LinearModel.of(sums.without(own), STRENGTHS)
        held.append(held_by(model, spreads, own, other))
    assert 0.9 < np.mean([one.transition for one in held]) < 0.99
    assert 0.88 < np.mean([one.covariance for one in held]) <= 1.0


@pytest.mark.slow
def test_people_who_change_between_days_have_wider_intervals(same_days) -> None:
    changed = pairs_of(0.3, 24)
    sums = GroupSums.over([own for own, _ in changed])
    same = find_spreads(GroupSums.over([own for own, _ in same_days]), STRENGTHS, same_days)
    assert find_spreads(sums, STRENGTHS, changed).covariance > 1.5 * same.covariance
    assert find_spreads(sums, STRENGTHS, changed[:9]) == FIXED_SPREADS


def test_a_person_like_the_group_differs_in_hardly_any_effect(same_days) -> None:
    sums = GroupSums.over([own for own, _ in same_days])
    model = LinearModel.of(sums, STRENGTHS)
    (own, _), plain = same_days[0], Spreads(1.0, 1.0)
    group = model.infer_group()
    assert share_different(group, model, plain, FRAMES) == 0.0
    away = LinearProcess(group.transitions + 1.0, group.noise, group.covariances)
    assert share_different(away, model, plain, FRAMES) == 1.0
    assert 0 <= share_different(model.infer(own), model, plain, FRAMES) < 0.5


@pytest.mark.slow
def test_intervals_hold_another_day_of_people_never_seen(shared: Path) -> None:
    first, second = (
        [LagCovariances.of(own) for own in real_networks(shared, session, 50).series]
        for session in (1, 2)
    )
    sums, strengths = GroupSums.over(first[:40]), Strengths(4800.0, 650.0)
    pairs = list(zip(first, second, strict=True))
    spreads = find_spreads(sums, strengths, pairs[:30])
    model = LinearModel.of(sums, strengths)
    held = [held_by(model, spreads, own, other) for own, other in pairs[40:]]
    for name in ("transition", "covariance"):
        assert 0.91 < np.mean([getattr(one, name) for one in held]) < 0.97
    assert np.mean([one.different for one in held]) < 0.05
