"""The linear core: as its page defines it, positive and stationary on whatever input."""

from __future__ import annotations

import weakref
from pathlib import Path

import numpy as np
import pytest
from network_people import real_networks

from bids_dtg.connectome.edges import upper_edges
from bids_dtg.dynamics.lag_covariances import GroupSums, LagCovariances
from bids_dtg.dynamics.linear import (
    FIXED,
    GRID,
    LinearModel,
    Strengths,
    StrengthScores,
    TrainingPerson,
    fit_core,
    yule_walker,
)

STRENGTHS = Strengths(2400.0, 500.0)


def people_by_chance(rng, people: int, regions: int, frames: int) -> np.ndarray:
    """Return series that share a course and remember the frame before, (people, …)."""
    white = rng.standard_normal((people, regions, frames))
    white += rng.standard_normal((people, 1, frames))
    mixing = np.eye(regions) + 0.3 * rng.standard_normal((people, regions, regions))
    return np.matmul(mixing, white + np.roll(white, 1, axis=-1))


def covariances(series: np.ndarray) -> list[LagCovariances]:
    return [LagCovariances.of(own) for own in series]


def by_the_page(people: np.ndarray, own: np.ndarray, strong: float, weak: float):
    """Return transitions and noise, written from the equations of the method's page alone."""

    def lagged(series):
        z = (series - series.mean(1)[:, None]) / series.std(1)[:, None]
        frames = z.shape[1]
        found = []
        for lag in range(3):
            total = np.zeros((len(z), len(z)))
            for frame in range(lag, frames):
                total += np.outer(z[:, frame], z[:, frame - lag])
            found.append(total / frames)
        return found

    group = [sum(parts) / len(people) for parts in zip(*map(lagged, people), strict=True)]
    frames = own.shape[1]

    def mixed(strength):
        found = [
            0.9999 * (frames * c + strength * g) / (frames + strength)
            for c, g in zip(lagged(own), group, strict=True)
        ]
        found[0] = found[0] + 0.0001 * np.eye(len(own))
        return found

    def root(matrix):
        left, sizes, _ = np.linalg.svd(matrix)
        return left @ np.diag(np.sqrt(sizes)) @ left.T

    s0, s1, s2 = mixed(strong)
    # A1 S0 + A2 S1' = S1 and A1 S1 + A2 S0 = S2.
    inverse = np.linalg.inv(s0)
    a2 = (s2 - s1 @ inverse @ s1) @ np.linalg.inv(s0 - s1.T @ inverse @ s1)
    a1 = (s1 - a2 @ s1.T) @ inverse
    q = s0 - a1 @ s1.T - a2 @ s2.T
    p = mixed(weak)[0]
    m = root(p) @ np.linalg.inv(root(s0))
    back = np.linalg.inv(m)
    return np.stack([m @ a1 @ back, m @ a2 @ back]), m @ q @ m.T, p, np.stack(group)


def test_it_is_what_the_equations_of_its_page_say() -> None:
    rng = np.random.default_rng(0)
    series = people_by_chance(rng, 7, 5, 80)
    model = LinearModel.of(GroupSums.over(covariances(series[1:])), STRENGTHS)
    found = model.infer(LagCovariances.of(series[0]))
    transitions, noise, covariance, group = by_the_page(series[1:], series[0], 2400.0, 500.0)
    assert model.unconnected == 0.0
    for own, expected in (
        (found.transitions, transitions),
        (found.noise, noise),
        (found.covariance, covariance),
        (model.group, group),
    ):
        np.testing.assert_allclose(own, expected, rtol=0, atol=1e-8)


def test_the_covariance_of_a_frame_is_that_of_the_process() -> None:
    rng = np.random.default_rng(1)
    series = people_by_chance(rng, 6, 4, 90)
    process = LinearModel.of(GroupSums.over(covariances(series)), STRENGTHS).infer(
        LagCovariances.of(series[0])
    )
    # The stationary covariance, by stepping the process for long.
    both = np.zeros((8, 8))
    step = np.block([[*process.transitions], [np.eye(4), np.zeros((4, 4))]])
    noise = np.zeros((8, 8))
    noise[:4, :4] = process.noise
    for _ in range(2000):
        both = step @ both @ step.T + noise
    np.testing.assert_allclose(both[:4, :4], process.covariance, atol=1e-8)
    np.testing.assert_allclose(both[:4, 4:], process.covariances[1], atol=1e-8)
    simulated = process.simulate(40, 600, np.random.default_rng(2))
    assert (simulated.shape, simulated.dtype) == ((40, 4, 600), np.float32)
    for lag in (0, 1):
        products = np.einsum("sit,sjt->ij", simulated[..., lag:], simulated[..., : 600 - lag])
        np.testing.assert_allclose(
            products / (40 * (600 - lag)), process.covariances[lag], atol=0.06
        )
    # The first frame is drawn as all others are.
    np.testing.assert_allclose(simulated[..., 0].var(axis=0), 1.0, atol=0.7)


def awkward(number: int) -> tuple[np.ndarray, np.ndarray, Strengths]:
    """Return training people and a person of few frames, equal series or hardly any noise."""
    rng = np.random.default_rng(number)
    regions, frames = int(rng.integers(1, 12)), int(rng.integers(6, 40))
    series = rng.standard_normal((6, regions, frames))
    if number % 3 == 1:
        series[:, :] = series[:, :1]  # all regions have the same series
    if number % 3 == 2:
        series = series.cumsum(-1).cumsum(-1) * 10.0 ** rng.integers(-6, 6)
    return series[1:], series[0], Strengths(*(10.0 ** rng.uniform(-3, 5, 2)))


def require_stationary(process) -> None:
    assert np.linalg.eigvalsh(process.noise).min() > 0
    assert process.radius < 1
    assert np.isfinite(process.transitions).all()


@pytest.mark.parametrize("tens", range(10))
def test_noise_is_positive_and_the_process_stationary_on_awkward_input(tens: int) -> None:
    for number in range(100 * tens, 100 * tens + 100):
        people, own, strengths = awkward(number)
        model = LinearModel.of(GroupSums.over(covariances(people)), strengths)
        require_stationary(model.infer(LagCovariances.of(own)))
        require_stationary(model.infer_group())


def test_four_hundred_regions_of_few_frames_have_a_process() -> None:
    series = np.random.default_rng(0).standard_normal((5, 400, 110))
    model = LinearModel.of(GroupSums.over(covariances(series)), STRENGTHS)
    assert (model.order, round(model.unconnected, 4)) == (1, 1 - 550 / 4000)
    require_stationary(model.infer(LagCovariances.of(series[0])))


def test_few_frames_leave_out_connections_and_then_the_second_frame() -> None:
    rng = np.random.default_rng(3)

    def made(frames: int) -> LinearModel:
        return LinearModel.of(
            GroupSums.over(covariances(people_by_chance(rng, 5, 10, frames))), STRENGTHS
        )

    assert [(made(frames).order, made(frames).unconnected) for frames in (40, 20, 10, 5)] == [
        (2, 0.0),
        (2, 0.0),
        (2, 0.5),
        (1, 0.75),
    ]


def test_few_frames_are_those_that_cleaning_left() -> None:
    series = people_by_chance(np.random.default_rng(3), 5, 5, 20)
    people = [
        LagCovariances.of(own, dof=dof)
        for own, dof in zip(series, (4.5, 5.5, 6.0, 6.0, np.nan), strict=True)
    ]
    sums = GroupSums.over(people)
    assert sums.dof == 42.0  # the last one has frames alone
    assert LinearModel.of(sums, STRENGTHS).unconnected == pytest.approx(1 - 42 / 50)
    assert sums.without(people[1]).dof == 36.5


def test_four_people_are_too_few() -> None:
    series = people_by_chance(np.random.default_rng(0), 4, 3, 60)
    with pytest.raises(ValueError, match="needs 5 people, found 4"):
        fit_core([TrainingPerson.of(own) for own in series], 0.72)


def test_strengths_are_fixed_of_few_people_and_scale_with_the_time_between_frames() -> None:
    series = people_by_chance(np.random.default_rng(0), 11, 3, 60)
    people = [TrainingPerson.of(own) for own in series]
    few = fit_core(people[:9], 1.44)
    assert (few.strengths.transition, few.strengths.covariance) == (FIXED[0] / 2, FIXED[1] / 2)
    assert not few.strengths.chosen_by
    chosen = fit_core(people, 1.44)
    assert chosen.strengths.transition in [frames / 2 for frames in GRID]
    assert chosen.strengths.chosen_by == "the other half of the session"
    again = [TrainingPerson.of(own, again=LagCovariances.of(own)) for own in series]
    assert fit_core(again, 1.44).strengths.chosen_by == "another session"


def test_alike_people_are_shrunk_more_than_different_ones() -> None:
    rng = np.random.default_rng(5)
    shared = np.eye(6) + 0.4 * rng.standard_normal((6, 6))

    def chosen(own_share: float) -> Strengths:
        people = []
        for _ in range(12):
            mixing = shared + own_share * rng.standard_normal((6, 6))
            first, again = (mixing @ rng.standard_normal((6, 150)) for _ in range(2))
            people.append(TrainingPerson.of(first, again=LagCovariances.of(again)))
        return fit_core(people, 0.72).strengths

    alike, different = chosen(0.0), chosen(0.8)
    assert alike.transition > different.transition
    assert alike.covariance > different.covariance


@pytest.mark.slow
def test_people_are_summed_one_after_the_other() -> None:
    there: weakref.WeakSet[TrainingPerson] = weakref.WeakSet()
    most = 0

    class People:
        def __iter__(self):
            nonlocal most
            rng = np.random.default_rng(8)
            for _ in range(1000):
                person = TrainingPerson.of(rng.standard_normal((2, 30)))
                there.add(person)
                most = max(most, len(there))
                yield person

    assert fit_core(People(), 0.72).strengths.chosen_by == "the other half of the session"
    assert most <= 3


@pytest.mark.parametrize(
    ("judged", "by", "frames"),
    [
        ((0, 20), "the other half of the session", GRID[3]),
        ((20, 20), "another session", GRID[1]),
        ((9, 20), "the other half of the session", GRID[3]),
        ((9, 9), "", FIXED[1]),
    ],
)
def test_halves_of_a_session_choose_a_covariance_by_single_frames(judged, by, frames) -> None:
    values = np.arange(len(GRID))
    scores = StrengthScores(
        densities=np.stack([abs(values - 5.0)] * 2),
        frame_densities=np.stack([abs(values - 3.0)] * 2),
        fits=np.stack([-abs(values - 1.0)] * 2),
        judged=np.array(judged),
    )
    found = scores.choose(0.72)
    assert (found.chosen_by, found.covariance) == (by, frames)
    assert found.transition == (GRID[5] if by else FIXED[0])


def test_predictions_are_those_of_a_known_process() -> None:
    rng = np.random.default_rng(0)
    process = yule_walker(LagCovariances.of(people_by_chance(rng, 1, 4, 4000)[0]).values)
    series = process.simulate(1, 4000, rng)[0]
    mean, variance = process.predict(series, (1, 2, 5))
    missed = np.nanmean((series - mean) ** 2, axis=2)
    np.testing.assert_allclose(missed, variance, rtol=0.12)
    assert np.isnan(mean[1, :, :3]).all()
    assert np.isfinite(mean[1, :, 3:]).all()
    expected = 0.5 * (np.linalg.slogdet(process.noise)[1] / 4 + 1 + np.log(2 * np.pi))
    assert process.density(series) == pytest.approx(expected, abs=0.02)


@pytest.mark.slow
def test_people_are_described_on_another_day_as_by_the_prototype(shared: Path) -> None:
    first, second = (real_networks(shared, session, 50) for session in (1, 2))
    people = covariances(first.series)
    sums, fits, stepped = GroupSums.over(people[:40]), [], []
    model = LinearModel.of(sums, Strengths(4800.0, 650.0))
    for own, series in zip(people[40:], second.series[40:], strict=True):
        process = model.infer(own)
        edges = upper_edges(LagCovariances.of(series).values[0])
        fits.append(np.corrcoef(upper_edges(process.connectivity), edges)[0, 1])
        mean, _ = process.predict(series, (1,))
        missed = (series - mean[0])[:, 2:]
        stepped.append(1 - (missed**2).sum() / (series[:, 2:] ** 2).sum())
    assert np.mean(fits) > 0.77
    assert np.mean(stepped) > 0.33
