"""People whose edges hold something of their own, of their family and of their site.

They are in families of two and in four sites, and their maps follow from the edges.
"""

from __future__ import annotations

import numpy as np
import pytest
from written_cohort import WrittenCohort

PEOPLE = 48
ROIS = 12
SITES = 4
EDGES = np.triu_indices(ROIS, 1)


class Truth:
    """Edges, maps and the table of everybody."""

    def __init__(self, places: int) -> None:
        rng = np.random.default_rng(3)
        number = len(EDGES[0])
        self.family = np.arange(PEOPLE) // 2
        self.site = self.family % SITES
        factor, families = (
            rng.normal(size=PEOPLE),
            rng.normal(size=PEOPLE // 2)[self.family],
        )
        of_site = np.array([3.0, -1.0, -3.0, 1.0])[self.site]
        edges = np.outer(factor, rng.normal(size=number))
        edges += 2 * rng.normal(size=(PEOPLE // 2, number))[self.family]
        edges += 2 * rng.normal(size=(SITES, number))[self.site]
        edges += 0.3 * rng.normal(size=edges.shape)
        self.edges = (0.05 * edges).round(6)
        weights = rng.normal(size=(number, 3 * places)) / np.sqrt(number)
        maps = self.edges @ weights + 0.02 * rng.normal(size=(PEOPLE, 3 * places))
        self.maps = maps.reshape(PEOPLE, 3, places)
        age = rng.integers(20, 40, PEOPLE)
        self.table = {
            "family_id": [f"F{number:02d}" for number in self.family],
            "site": [f"site{number}" for number in self.site],
            "age": age.tolist(),
            "score": (factor + 0.05 * age + 0.3 * rng.normal(size=PEOPLE))
            .round(4)
            .tolist(),
            "luck": rng.normal(size=PEOPLE).round(4).tolist(),
            "of_family": (families + 0.05 * rng.normal(size=PEOPLE)).round(4).tolist(),
            "of_site": (of_site + rng.normal(size=PEOPLE)).round(4).tolist(),
            "size": np.square(maps).sum(axis=1).round(6).tolist(),
            "drinks": ["few", *range(1, PEOPLE)],
            "sex": np.where(factor > 0, "F", "M").tolist(),
            "weight": [f"{60 + n},5" for n in range(PEOPLE)],
            "eyes": [("blue", "brown", "green")[n % 3] for n in range(PEOPLE)],
        }

    def matrices(self) -> np.ndarray:
        """Return everybody's edges, (people, rois, rois)."""
        matrices = np.zeros((PEOPLE, ROIS, ROIS))
        matrices[:, EDGES[0], EDGES[1]] = self.edges
        return matrices + matrices.transpose(0, 2, 1) + np.eye(ROIS)


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> WrittenCohort:
    cohort = WrittenCohort(tmp_path_factory.mktemp("cohort"), rois=ROIS)
    cohort.truth = Truth(cohort.places)
    rng = np.random.default_rng(0)
    cohort.labels = cohort.write(
        cohort.truth.maps,
        cohort.truth.matrices(),
        cohort.truth.table,
        rng.random(PEOPLE),
    )
    return cohort
