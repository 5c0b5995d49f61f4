"""The linear core: as its page defines it, positive and stationary on any input."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.connectome.parcels import upper_edges
from bids_dtg.dynamics.linear import (
    FIXED,
    GRID,
    GroupSums,
    LagCovariances,
    LinearModel,
    LinearProcess,
    Shrinkage,
    TrainingPerson,
    fit_core,
)

SHRINKAGE = Shrinkage(2400.0, 500.0)


def people_by_chance(rng, people: int, regions: int, frames: int) -> np.ndarray:
    """Return series that share a course and remember the frame before, (people, …)."""
    white = rng.standard_normal((people, regions, frames))
    white += rng.standard_normal((people, 1, frames))
    mixing = np.eye(regions) + 0.3 * rng.standard_normal((people, regions, regions))
    return np.matmul(mixing, white + np.roll(white, 1, axis=-1))


def covariances(series: np.ndarray) -> list[LagCovariances]:
    return [LagCovariances.of(persons_series) for persons_series in series]


def by_the_page(
    people: np.ndarray, persons_series: np.ndarray, process: float, connectivity: float
):
    """Return transitions, noise and FC, written from the equations of the method's page alone."""

    def lagged(series):
        z = (series - series.mean(1)[:, None]) / series.std(1)[:, None]
        frames = z.shape[1]
        process_parts = []
        for lag in range(3):
            total = np.zeros((len(z), len(z)))
            for frame in range(lag, frames):
                total += np.outer(z[:, frame], z[:, frame - lag])
            process_parts.append(total / frames)
        return process_parts

    group = [
        sum(parts) / len(people) for parts in zip(*map(lagged, people), strict=True)
    ]
    frames = persons_series.shape[1]

    def mixed(n):
        process_parts = [
            0.9999 * (frames * c + n * g) / (frames + n)
            for c, g in zip(lagged(persons_series), group, strict=True)
        ]
        process_parts[0] = process_parts[0] + 0.0001 * np.eye(len(persons_series))
        return process_parts

    s0, s1, s2 = mixed(process)
    # A1 S0 + A2 S1' = S1 and A1 S1 + A2 S0 = S2.
    inverse = np.linalg.inv(s0)
    a2 = (s2 - s1 @ inverse @ s1) @ np.linalg.inv(s0 - s1.T @ inverse @ s1)
    a1 = (s1 - a2 @ s1.T) @ inverse
    q = s0 - a1 @ s1.T - a2 @ s2.T
    return np.stack([a1, a2]), q, s0, mixed(connectivity)[0], np.stack(group)


def test_it_is_what_the_equations_of_its_page_say():
    rng = np.random.default_rng(0)
    series = people_by_chance(rng, 7, 5, 80)
    model = LinearModel.of(GroupSums.over(covariances(series[1:])), SHRINKAGE)
    covariances_of_person = LagCovariances.of(series[0])
    process = model.infer(covariances_of_person)
    assert model.diagonal_share == 0.0
    estimates = process.transitions, process.noise, process.covariances[0]
    estimates += model.connectivity(covariances_of_person), model.group
    page = by_the_page(series[1:], series[0], 2400.0, 500.0)
    for estimate, expected in zip(estimates, page, strict=True):
        np.testing.assert_allclose(estimate, expected, rtol=0, atol=1e-8)


def test_the_covariance_of_a_frame_is_that_of_the_process():
    rng = np.random.default_rng(1)
    series = people_by_chance(rng, 6, 4, 90)
    process = LinearModel.of(GroupSums.over(covariances(series)), SHRINKAGE).infer(
        LagCovariances.of(series[0])
    )
    # The stationary covariance, by stepping the process for long.
    joint = np.zeros((8, 8))
    step = np.block([[*process.transitions], [np.eye(4), np.zeros((4, 4))]])
    noise = np.zeros((8, 8))
    noise[:4, :4] = process.noise
    for _ in range(2000):
        joint = step @ joint @ step.T + noise
    np.testing.assert_allclose(joint[:4, :4], process.covariances[0], atol=1e-8)
    np.testing.assert_allclose(joint[:4, 4:], process.covariances[1], atol=1e-8)
    simulated = process.simulate(40, 600, np.random.default_rng(2))
    assert (simulated.shape, simulated.dtype) == ((40, 4, 600), np.float32)
    for lag in (0, 1):
        products = np.einsum(
            "sit,sjt->ij", simulated[..., lag:], simulated[..., : 600 - lag]
        )
        np.testing.assert_allclose(
            products / (40 * (600 - lag)), process.covariances[lag], atol=0.06
        )
    # The first frame is drawn as all others are.
    np.testing.assert_allclose(simulated[..., 0].var(axis=0), 1.0, atol=0.7)


def awkward(number: int) -> tuple[np.ndarray, np.ndarray, Shrinkage]:
    """Return training people and a person of few frames, equal series or hardly any noise."""
    rng = np.random.default_rng(number)
    regions, frames = int(rng.integers(1, 12)), int(rng.integers(6, 40))
    series = rng.standard_normal((6, regions, frames))
    if number % 3 == 1:
        series[:, :] = series[:, :1]  # all regions have the same series
    if number % 3 == 2:
        series = series.cumsum(-1).cumsum(-1) * 10.0 ** rng.integers(-6, 6)
    return series[1:], series[0], Shrinkage(*(10.0 ** rng.uniform(-3, 5, 2)))


def require_stationary(process: LinearProcess) -> None:
    order, regions, _ = process.transitions.shape
    step = np.eye(order * regions, k=-regions)
    step[:regions] = np.concatenate(process.transitions, axis=1)
    assert np.linalg.eigvalsh(process.noise).min() > 0
    assert np.abs(np.linalg.eigvals(step)).max() < 1
    assert np.isfinite(process.transitions).all()


@pytest.mark.parametrize("tens", range(10))
def test_noise_is_positive_and_the_process_stationary_on_awkward_input(tens):
    for number in range(100 * tens, 100 * tens + 100):
        people, series, shrinkage = awkward(number)
        model = LinearModel.of(GroupSums.over(covariances(people)), shrinkage)
        require_stationary(model.infer(LagCovariances.of(series)))
        require_stationary(model.infer_group())


def test_few_frames_leave_out_connections_and_then_the_second_frame():
    rng = np.random.default_rng(3)

    def made(frames: int) -> LinearModel:
        return LinearModel.of(
            GroupSums.over(covariances(people_by_chance(rng, 5, 10, frames))), SHRINKAGE
        )

    assert [
        (made(frames).order, made(frames).diagonal_share) for frames in (40, 20, 10, 5)
    ] == [
        (2, 0.0),
        (2, 0.0),
        (2, 0.5),
        (1, 0.75),
    ]


def test_the_shrinkage_is_fixed_of_few_people_and_scales_with_the_time_between_frames():
    series = people_by_chance(np.random.default_rng(0), 11, 3, 60)
    people = [TrainingPerson.of(persons_series) for persons_series in series]
    assert fit_core(people[:9], 1.44).shrinkage == Shrinkage(FIXED[0] / 2, FIXED[1] / 2)
    grid, halves = [frames / 2 for frames in GRID], fit_core(people, 1.44).shrinkage
    assert halves.chosen_by == "the other half of the session"
    # Halves of a session are too alike for the fit of functional connectivity to choose.
    assert halves.process == grid[np.argmin(halves.scores[0])]
    assert halves.connectivity == grid[np.argmin(halves.scores[1])]
    again = people_by_chance(np.random.default_rng(1), 11, 3, 60)
    with_retest = [
        TrainingPerson.of(persons_series, again=LagCovariances.of(persons_retest))
        for persons_series, persons_retest in zip(series, again, strict=True)
    ]
    days = fit_core(with_retest, 1.44).shrinkage
    assert days.chosen_by == "another session"
    assert days.process == grid[np.argmin(days.scores[0])]
    assert days.connectivity == grid[np.argmax(days.scores[2])]
    # Of fewer than ten with another session, halves judge.
    assert (
        fit_core([*with_retest[:1], *people[1:]], 1.44).shrinkage.chosen_by
        == halves.chosen_by
    )


@pytest.mark.slow
def test_people_are_described_on_another_day_as_by_the_prototype(real_networks):
    first, second = (real_networks(session, 50) for session in (1, 2))
    people = covariances(first.series)
    model = LinearModel.of(GroupSums.over(people[:40]), Shrinkage(4800.0, 650.0))
    fits, stepped = [], []
    for persons_lags, series in zip(people[40:], second.series[40:], strict=True):
        edges = upper_edges(LagCovariances.of(series).values[0])
        fits.append(
            np.corrcoef(upper_edges(model.connectivity(persons_lags)), edges)[0, 1]
        )
        missed = (series - model.infer(persons_lags).predict(series))[:, 2:]
        stepped.append(1 - (missed**2).sum() / (series[:, 2:] ** 2).sum())
    assert np.mean(fits) > 0.77
    assert np.mean(stepped) > 0.33


def test_what_stands_in_left_out_frames_changes_nothing():
    rng = np.random.default_rng(0)
    series, keep = rng.standard_normal((3, 50)), np.arange(50) % 7 != 0
    with_gaps = np.where(keep, series, np.nan)
    np.testing.assert_array_equal(
        LagCovariances.of(series, keep).values,
        LagCovariances.of(with_gaps, keep).values,
    )


@pytest.mark.parametrize(
    "series", [np.eye(2), np.zeros((2, 9)), np.full((2, 9), np.nan)]
)
def test_series_without_covariances_are_refused(series):
    with pytest.raises(
        ValueError, match=r"more than 2 kept frames|is constant or has values that"
    ):
        LagCovariances.of(series)
    with pytest.raises(ValueError, match=r"lags \+ 1, regions, regions"):
        LagCovariances(series, frames=9)


def test_a_person_can_be_left_out_of_sums():
    rng = np.random.default_rng(1)
    people = [LagCovariances.of(rng.standard_normal((6, 40 + 9 * n))) for n in range(7)]
    whole = GroupSums.over(people)
    without = whole.without(people[0])
    np.testing.assert_allclose(
        without.mean, GroupSums.over(people[1:]).mean, atol=1e-12
    )
    assert without.dof == whole.dof - 40
