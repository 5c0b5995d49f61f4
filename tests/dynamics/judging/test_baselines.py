"""Simple models of a person's session, and ceilings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from network_people import chance_networks, real_networks

from bids_dtg.connectome.edges import upper_edges
from bids_dtg.dynamics.judging.baselines import BASELINES, Process, fit_baseline, var_1
from bids_dtg.dynamics.measures import autocorrelation, connectivity, fc_fit
from bids_dtg.dynamics.networks import standardised
from bids_dtg.stats.correlation import correlation

BY_NAME = {baseline.name: baseline for baseline in BASELINES}
PEOPLE = chance_networks(people=6)


def chance_process(seed: int = 0) -> Process:
    """Return a process of regions each of which follows another one's last frame."""
    white = np.random.default_rng(seed).standard_normal((4, 400))
    return var_1(white + np.roll(np.roll(white, 1, axis=0), 1, axis=1))


@pytest.mark.parametrize("name", list(BY_NAME))
def test_each_process_is_stationary(name):
    for process in fit_baseline(BY_NAME[name], PEOPLE):
        assert np.abs(np.linalg.eigvals(process.transition)).max() < 1
        noise = process.covariance - process.transition @ process.covariance @ process.transition.T
        assert np.linalg.eigvalsh(noise).min() > -1e-6
        np.testing.assert_allclose(process.covariance.diagonal(), 1.0, rtol=1e-4)


@pytest.mark.parametrize("process", [chance_process(), fit_baseline(BY_NAME["group"], PEOPLE)[0]])
def test_simulated_sessions_have_the_process_s_covariances(process):
    sessions = process.simulate(60, 400, np.random.default_rng(1)).astype(np.float64)
    assert sessions.shape == (60, len(process.covariance), 400)
    same = np.einsum("sit,sjt->ij", sessions, sessions) / (60 * 400)
    later = np.einsum("sit,sjt->ij", sessions[..., 1:], sessions[..., :-1]) / (60 * 399)
    scale = np.abs(process.covariance).max()
    np.testing.assert_allclose(same, process.covariance, atol=0.1 * scale)
    np.testing.assert_allclose(later, process.transition @ process.covariance, atol=0.1 * scale)
    # From the first frame on: there is nothing to leave out.
    first = np.einsum("si,sj->ij", sessions[..., 0], sessions[..., 0]) / 60
    np.testing.assert_allclose(first, process.covariance, atol=0.6 * scale)


def test_the_same_seed_gives_the_same_sessions():
    process = chance_process()
    one, other = (process.simulate(2, 20, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_prediction_explains_what_is_left_after_the_noise():
    process = chance_process()
    session = process.simulate(1, 50_000, np.random.default_rng(2))[0]
    noise = process.covariance - process.transition @ process.covariance @ process.transition.T
    expected = 1 - noise.trace() / process.covariance.trace()
    assert process.one_step_r2(session) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("frames", [300, 8, 5])
def test_var_1_keeps_the_fit_of_connectivities_however_few_frames(frames):
    series = chance_networks(frames=frames).series[0]
    process = var_1(series)
    assert np.abs(np.linalg.eigvals(process.transition)).max() < 1
    assert fc_fit(process.connectivity, connectivity(series)) == pytest.approx(1.0, abs=1e-4)


def test_var_1_is_least_squares_where_there_are_many_frames():
    series = chance_networks(frames=20_000).series[0].astype(np.float64)
    expected = np.linalg.lstsq(series[:, :-1].T, series[:, 1:].T, rcond=None)[0].T
    np.testing.assert_allclose(var_1(series).transition, expected, atol=5e-3)


def test_regions_that_only_drive_each_other_keep_their_drive():
    """They are not correlated within a frame, as white noise is not."""
    np.testing.assert_allclose(
        chance_process().transition, 0.5 * np.roll(np.eye(4), 1, axis=0), atol=0.12
    )


def test_ar_1_remembers_as_much_as_each_region():
    for process, series in zip(fit_baseline(BY_NAME["ar_1"], PEOPLE), PEOPLE.series, strict=True):
        np.testing.assert_allclose(process.transition, np.diag(autocorrelation(series)))
        np.testing.assert_array_equal(process.covariance, np.eye(6))


def test_global_signal_is_the_product_of_correlations_with_it():
    process = fit_baseline(BY_NAME["global_signal"], PEOPLE)[2]
    r = correlation(PEOPLE.series[2], PEOPLE.series[2].mean(axis=0))
    np.testing.assert_allclose(
        upper_edges(process.connectivity), upper_edges(np.outer(r, r)), rtol=1e-5
    )


def test_ceilings_are_connectivities_of_others_or_of_the_own_session():
    fcs = connectivity(PEOPLE.series)
    found = {
        name: np.stack([process.connectivity for process in fit_baseline(BY_NAME[name], PEOPLE)])
        for name in ("own_session", "group")
    }
    np.testing.assert_allclose(found["own_session"], fcs, atol=1e-6)
    np.testing.assert_allclose(found["group"][2], fcs[[0, 1, 3, 4, 5]].mean(axis=0), atol=1e-6)


def test_other_people_are_of_other_families():
    family = replace(PEOPLE, families={"01": "a", "02": "a", "03": "b"})
    fcs = connectivity(PEOPLE.series)
    other = BY_NAME["other_person"].judges(family)
    apart = [[0, 3, 4, 5], [0, 3, 4, 5], [0, 1, 2, 4, 5]]
    assert [np.flatnonzero(row).tolist() for row in other[1:4]] == apart
    group = fit_baseline(BY_NAME["group"], family)[1]
    np.testing.assert_allclose(group.connectivity, fcs[[0, 3, 4, 5]].mean(axis=0), atol=1e-6)
    related = replace(family, families=dict.fromkeys(PEOPLE.people, "a"))
    with pytest.raises(ValueError, match="'group' needs 2 people of different families, found 6"):
        fit_baseline(BY_NAME["group"], related)


def test_factors_come_nearer_to_the_own_connectivity_the_more_they_are():
    fcs = connectivity(PEOPLE.series)
    found = np.array(
        [
            [process.connectivity for process in fit_baseline(BY_NAME[f"factors_{n}"], PEOPLE)]
            for n in (1, 2, 3, 6)
        ]
    )
    errors = np.abs(found - fcs).mean(axis=(1, 2, 3))
    assert (np.diff(errors) < 0).all()
    np.testing.assert_allclose(found[-1], fcs, atol=1e-5)
    # One factor: each pair is the product of two loadings, whatever the other regions.
    one = found[0, 0]
    assert one[0, 1] * one[2, 3] == pytest.approx(one[0, 2] * one[1, 3], abs=1e-6)


def test_shrunken_connectivity_is_half_way_to_the_mean_of_others():
    halves, own, group = (
        np.stack([process.connectivity for process in fit_baseline(BY_NAME[name], PEOPLE)])
        for name in ("shrunken", "own_session", "group")
    )
    np.testing.assert_allclose(halves, (own + group) / 2, atol=1e-6)


def homogeneous_people(coupling: float, decay: float):
    """Return people who are homogeneous networks with other weights each, and their processes."""
    people = chance_networks(people=6, regions=10, frames=1000)
    rng, processes = np.random.default_rng(0), []
    for weights in people.weights.astype(np.float64):
        jacobian = decay * (coupling * weights - np.eye(10))
        values, vectors = np.linalg.eigh(jacobian)
        covariance = vectors @ np.diag(-decay / values) @ vectors.T
        processes.append(Process(vectors @ np.diag(np.exp(values)) @ vectors.T, covariance))
    series = np.concatenate([process.simulate(1, 1000, rng) for process in processes])
    return replace(people, series=standardised(series)), processes


def test_homogeneous_network_fits_its_own_people_as_well_as_they_themselves():
    people, true = homogeneous_people(coupling=0.15, decay=0.4)
    found = fit_baseline(BY_NAME["homogeneous"], people)
    observed = connectivity(people.series)

    def fit(processes):
        rng = np.random.default_rng(1)
        sessions = [process.simulate(20, 1000, rng) for process in processes]
        return np.mean(
            [fc_fit(connectivity(own), fc) for own, fc in zip(sessions, observed, strict=True)]
        )

    assert fit(found) > fit(true)
    memory = autocorrelation(people.series).mean()
    of_fits = np.mean([(own.transition @ own.covariance).diagonal().mean() for own in found])
    assert of_fits == pytest.approx(memory, abs=0.02)


def test_homogeneous_network_is_tuned_on_others():
    """A person's own series change nothing for the person, and something for the others."""
    first = fit_baseline(BY_NAME["homogeneous"], PEOPLE)
    series = PEOPLE.series.copy()
    series[4] = np.random.default_rng(5).standard_normal(series[4].shape)
    second = fit_baseline(BY_NAME["homogeneous"], replace(PEOPLE, series=series))
    same = [
        np.array_equal(one.transition, other.transition)
        for one, other in zip(first, second, strict=True)
    ]
    assert same[4]
    assert not all(same)


@pytest.mark.parametrize("name", ["homogeneous", "other_person", "group", "shrunken"])
def test_others_are_needed(name):
    with pytest.raises(ValueError, match=f"'{name}' needs 2 people of different families, found 1"):
        fit_baseline(BY_NAME[name], PEOPLE.of(["03"]))


def test_gaps_are_refused():
    series = PEOPLE.series.copy()
    series[1, 2, 3] = np.nan
    with pytest.raises(ValueError, match="all finite"):
        fit_baseline(BY_NAME["var_1"], replace(PEOPLE, series=series))


# Facts of Sip et al. 2023, section 11: fit of connectivities with the same session and with the
# second one; of other people, so in round figures.
PUBLISHED = {
    "var_1": (1.0, 0.785),
    "global_signal": (0.522, 0.425),
    "homogeneous": (0.289, 0.289),
    "other_person": (0.483, 0.47),
    "group": (0.688, 0.67),
    "own_session": (1.0, 0.785),
}


@pytest.mark.slow
def test_figures_of_the_real_people(shared):
    first, second = (real_networks(shared, session) for session in (1, 2))
    observed = [connectivity(people.series) for people in (first, second)]
    fits = {name: fit_baseline(baseline, first) for name, baseline in BY_NAME.items()}
    for name, expected in PUBLISHED.items():
        fc = np.stack([process.connectivity for process in fits[name]])
        by = BY_NAME[name].judges(first)
        pairs = [fc_fit(fc[None], session[:, None])[by] for session in observed]
        found = [own.mean() for own in pairs]
        assert found == pytest.approx(expected, abs=0.02), name
    for name, expected in {"ar_1": 0.285, "var_1": 0.298}.items():
        r2 = [
            fit.one_step_r2(series) for fit, series in zip(fits[name], second.series, strict=True)
        ]
        assert np.mean(r2) == pytest.approx(expected, abs=0.01), name
