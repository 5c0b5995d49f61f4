"""The order and signs of regional parameters, and how much of them a second session repeats."""

from __future__ import annotations

import numpy as np
import pytest
from network_people import real_networks
from scipy.stats import pearsonr
from torch import tensor
from torch.distributions import Normal, kl_divergence

from bids_dtg.dynamics.features import features_of
from bids_dtg.dynamics.parameters import SIGNED_BY, align, latent_kl, retest


def chance(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def test_kl_is_that_of_two_normal_distributions():
    mean, sd = chance(3, 4, 2), np.exp(chance(3, 4, 2, seed=1))
    expected = kl_divergence(Normal(tensor(mean), tensor(sd)), Normal(0.0, 1.0))
    np.testing.assert_allclose(latent_kl(mean, sd), expected.numpy(), atol=1e-6)


def test_alignment_undoes_any_order_and_signs():
    theta = chance(5, 20, 4)
    features = {name: theta[..., number] for number, name in enumerate(SIGNED_BY)}
    kl = np.array([3.0, 2.0, 1.0, 0.0]) + np.abs(0.1 * chance(5, 20, 4, seed=1))
    shuffled, signs = np.array([2, 0, 3, 1]), np.array([-1.0, 1.0, 1.0, -1.0])
    mixed = theta[..., shuffled] * signs
    found = align(mixed, kl[..., shuffled], features)
    np.testing.assert_array_equal(found.apply(mixed), theta)
    of_means = align(mixed, kl.mean(axis=(0, 1))[shuffled], features)
    np.testing.assert_array_equal(of_means.order, found.order)


def test_retest_looks_over_pairs_people_and_regions():
    first = chance(12, 5, 2)
    second = first + 0.5 * chance(12, 5, 2, seed=1)
    found = retest(first, second)
    assert found.pairs_r[1] == pytest.approx(
        pearsonr(first[..., 1].ravel(), second[..., 1].ravel())[0]
    )
    assert found.regions_r[3, 1] == pytest.approx(pearsonr(first[:, 3, 1], second[:, 3, 1])[0])
    assert found.people_r[7, 0] == pytest.approx(pearsonr(first[7, :, 0], second[7, :, 0])[0])
    assert found.pairs.absolute.shape == (2,)
    assert found.regions.absolute.shape == (5, 2)
    assert found.people.absolute.shape == (12, 2)


def test_what_regions_have_in_common_is_no_agreement_within_a_region():
    common = 10 * chance(1, 30, 1)
    found = retest(common + chance(40, 30, 1, seed=1), common + chance(40, 30, 1, seed=2))
    assert found.pairs.absolute[0] > 0.95
    assert found.people.absolute.mean() > 0.95
    assert abs(found.regions.absolute.mean()) < 0.1


def test_a_level_that_differs_between_sessions_is_seen_by_absolute_agreement_only():
    first = chance(12, 5, 1)
    found = retest(first, first + 3.0)
    np.testing.assert_allclose([found.pairs.consistency, found.pairs_r], 1.0)
    assert found.pairs.absolute[0] < 0.5


def test_other_people_are_refused():
    with pytest.raises(ValueError, match=r"found \(3, 5, 2\) and \(4, 5, 2\)"):
        retest(chance(3, 5, 2), chance(4, 5, 2))


@pytest.mark.slow
def test_features_of_the_real_people_repeat(shared):
    names = ("low_power", "in_strength")
    sessions = [features_of(real_networks(shared, session)) for session in (1, 2)]
    found = retest(*(np.stack([held[name] for name in names], -1) for held in sessions))
    assert found.pairs_r[0] == pytest.approx(0.85, abs=0.03)
    assert found.pairs.absolute[1] == pytest.approx(1.0)
