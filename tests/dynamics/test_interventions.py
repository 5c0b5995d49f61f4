"""Interventions do what a closed form says, and their effects are compared between sessions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import solve_continuous_lyapunov

from bids_dtg.connectome.edges import upper_edges
from bids_dtg.dynamics.effective_connectivity import EffectiveConnectivity
from bids_dtg.dynamics.interventions import Intervention, Retest
from bids_dtg.errors import SettingsError

REGIONS = ("lh:insula", "rh:insula", "cuneus", "pole")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def drawn(rng: np.random.Generator) -> EffectiveConnectivity:
    coupling = rng.uniform(-0.1, 0.3, (4, 4))
    np.fill_diagonal(coupling, -1.2)
    return EffectiveConnectivity(coupling, rng.uniform(0.5, 1.5, 4))


def correlations(coupling: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return those of the process, by another solver."""
    found = solve_continuous_lyapunov(coupling, -np.diag(noise))
    sd = np.sqrt(found.diagonal())
    return found / np.outer(sd, sd)


def test_the_lesion_of_a_region_leaves_the_process_of_the_others(rng) -> None:
    own = drawn(rng)
    effect = Intervention.lesion("cuneus", REGIONS).effect(own)
    rest = [0, 1, 3]
    left = correlations(own.coupling[np.ix_(rest, rest)], own.noise[rest])
    whole = correlations(own.coupling, own.noise)[np.ix_(rest, rest)]
    np.testing.assert_allclose(effect[np.isfinite(effect)], upper_edges(left - whole), atol=1e-12)
    assert np.isfinite(Intervention.as_matrix(effect)).sum() == 6
    by_region = Intervention.lesion("cuneus", REGIONS).by_region(effect)
    assert np.isnan(by_region).tolist() == [False, False, True, False]
    assert by_region[0] == pytest.approx((left - whole)[0, 1:].mean())


def test_two_regions_are_apart_when_the_connections_between_them_are_gone() -> None:
    # J = -d I with a connection each way: r = 2 a d / (2 d^2) for equal weights a.
    own = EffectiveConnectivity(np.array([[-1.0, 0.3], [0.3, -1.0]]), np.ones(2))
    effect = Intervention.lesion("a:b", ("a", "b")).effect(own)
    np.testing.assert_allclose(effect, [-0.3], atol=1e-12)


def test_a_gain_multiplies_all_connections(rng) -> None:
    own = drawn(rng)
    decay = np.diag(own.coupling.diagonal())
    after = correlations(0.5 * (own.coupling - decay) + decay, own.noise)
    before = correlations(own.coupling, own.noise)
    found = Intervention.gain(0.5).effect(own)
    np.testing.assert_allclose(found, upper_edges(after - before), atol=1e-12)
    nothing = Intervention.gain(0.0).effect(own)
    np.testing.assert_allclose(nothing, -upper_edges(before), atol=1e-12)


def test_a_stimulation_moves_means_to_where_they_rest(rng) -> None:
    own = drawn(rng)
    effect = Intervention.stimulation("pole", REGIONS).effect(own)
    assert np.isnan(effect).tolist() == [False, False, False, True]
    # Small steps of the equation itself, until nothing moves.
    means = np.zeros(4)
    for _ in range(20_000):
        means += 0.01 * (own.coupling @ means + np.array([0, 0, 0, 1.2]))
    np.testing.assert_allclose(effect[:3], means[:3], atol=1e-9)


def test_effects_without_bounds_are_not_numbers(rng) -> None:
    assert np.isnan(Intervention.gain(50.0).effect(drawn(rng))).all()


@pytest.mark.parametrize(
    ("make", "fact"),
    [
        (lambda: Intervention.lesion("cuneos", REGIONS), "no region is called 'cuneos'"),
        (lambda: Intervention.lesion("pole:cuneos", REGIONS), "no region is called 'cuneos'"),
        (lambda: Intervention.lesion("pole:pole", REGIONS), "--lesion is 'pole:pole'"),
        (lambda: Intervention.lesion("a", ("a", "b")), "--lesion is 'a', of 2 regions"),
        (lambda: Intervention.stimulation("lh", REGIONS), "--stimulate: no region is called 'lh'"),
        (lambda: Intervention.gain(-1.0), "--gain is -1"),
        (lambda: Intervention.gain(1.0), "--gain is 1"),
        (lambda: Intervention.gain(float("nan")), "--gain is nan"),
    ],
)
def test_what_cannot_be_done_is_refused(make, fact: str) -> None:
    with pytest.raises(SettingsError, match=fact):
        make()


def test_names_with_colons_are_found() -> None:
    assert Intervention.lesion("lh:insula", REGIONS).targets == (0,)
    assert Intervention.lesion("lh:insula:rh:insula", REGIONS).targets == (0, 1)


def test_retest_separates_the_own_from_others_and_from_what_all_share(rng) -> None:
    shared, own = rng.standard_normal(300), rng.standard_normal((10, 300))
    first, second = (3 * shared + own + 0.5 * rng.standard_normal(own.shape) for _ in range(2))
    found = Retest.of(first, second)
    assert found.identified == 10
    assert found.own.min() > found.others.max() > 0.8
    assert 0.7 < found.individual.mean() < 0.9
    strangers = Retest.of(first, 3 * shared + rng.standard_normal(own.shape))
    assert abs(strangers.individual.mean()) < 0.1
    assert strangers.own.mean() == pytest.approx(strangers.others.mean(), abs=0.02)


def test_values_that_somebody_lacks_are_left_out_of_a_retest(rng) -> None:
    first = rng.standard_normal((4, 20))
    second = first.copy()
    second[:, 5], first[2, 7] = np.nan, np.nan
    np.testing.assert_allclose(Retest.of(first, second).own, 1.0)
    assert np.isnan(Retest.of(first[:2], second[:2]).individual).all()
    assert np.isnan(Retest.of(np.full((3, 4), np.nan), np.ones((3, 4))).own).all()
