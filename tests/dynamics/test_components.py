"""Components of covariances: fixed at training, ordered, signed, and of unshrunken values."""

from __future__ import annotations

import numpy as np
from series_arrays import made_series

from bids_dtg.dynamics.components import COMPONENTS, Components, find_components
from bids_dtg.dynamics.linear import LagCovariances, TrainingPerson


def people_of(
    rng: np.random.Generator, people: int = 40, edges: int = 30
) -> np.ndarray:
    """Return covariances that vary in a few patterns, the first of them everywhere."""
    patterns = np.concatenate([np.ones((1, edges)), rng.standard_normal((6, edges))])
    sizes = 0.1 * 0.7 ** np.arange(7)
    return 0.2 + (sizes * rng.standard_normal((people, 7))) @ patterns


def test_order_and_sign_are_fixed():
    edges = people_of(np.random.default_rng(0))
    components = Components.of(edges)
    assert components.loadings.shape == (COMPONENTS, 30)
    assert (np.diff(components.shares) <= 0).all()
    assert (components.loadings.mean(axis=1) > 0).all()
    np.testing.assert_allclose(
        components.loadings @ components.loadings.T, np.eye(COMPONENTS), atol=1e-9
    )
    # As by a plain decomposition, and scores have variance 1 in the people themselves.
    _, sizes, axes = np.linalg.svd(edges - edges.mean(axis=0), full_matrices=False)
    expected = axes[:COMPONENTS] * np.sign(axes[:COMPONENTS].mean(axis=1))[:, None]
    np.testing.assert_allclose(components.loadings, expected, atol=1e-9)
    np.testing.assert_allclose(
        components.shares, (sizes**2 / (sizes**2).sum())[:COMPONENTS]
    )
    np.testing.assert_allclose(components.scores(edges).std(axis=0, ddof=1), 1.0)


def training(people: int, *, twice: bool = True) -> list[TrainingPerson]:
    """Return training people of a session, and of another one."""
    first, again = (
        map(LagCovariances.of, sessions) for sessions in made_series(2, people, 4, 600)
    )
    return [
        TrainingPerson(first_session, second_session if twice else None)
        for first_session, second_session in zip(first, again, strict=True)
    ]


def test_ten_people_with_two_sessions_show_how_reliable_components_are():
    few = find_components(training(9))
    assert (few.reliability, len(few.loadings)) == ((), 5)
    components = find_components(training(12))
    assert len(components.reliability) == len(components.loadings)
    assert components.reliability[0] > 0.8
    assert find_components(training(12, twice=False)).reliability == ()
    assert find_components(training(1) * 12) is None
