"""Scores of each person, and of the typical and the atypical half."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.contrasts.judging.model_scores import score_maps
from bids_dtg.contrasts.judging.person_rows import half_rows, person_rows
from bids_dtg.contrasts.people import Person


def scored(people: int, seed: int = 0) -> tuple[list[Person], list[dict]]:
    """People whose motion spoils their predictions."""
    rng = np.random.default_rng(seed)
    mean = rng.standard_normal((2, 300))
    motion = rng.uniform(0.1, 0.4, people)
    measured = mean + 0.7 * rng.standard_normal((people, 2, 300))
    noise = 8 * motion[:, None, None] * rng.standard_normal(measured.shape)
    model = score_maps("model", measured + noise, measured)
    group = score_maps("group average", np.broadcast_to(mean, measured.shape), measured)
    nothing = np.zeros((1, 1, 300), np.float16)
    cohort = [
        Person(f"{n:02d}", nothing, (1.0,), (maps.astype(np.float32),), minutes=10.0, fd_mm=fd)
        for n, (maps, fd) in enumerate(zip(measured, motion, strict=True))
    ]
    return cohort, person_rows(model, group, cohort)


def test_a_row_a_person_has_their_own_scores():
    cohort, rows = scored(12)
    assert [row["participant_id"] for row in rows] == [f"sub-{one.label}" for one in cohort]
    motion = [one.fd_mm for one in cohort]
    assert [row["fd_mean"] for row in rows] == pytest.approx(motion, abs=1e-4)
    assert all(row["minutes"] == 10 and row["residual_dof"] is None for row in rows)
    assert all(row["contrasts"] == 2 for row in rows)
    assert {row["identification"] for row in rows} <= {0.0, 0.5, 1.0}
    typical = sorted(row["typicality"] for row in rows if row["half"] == "typical half")
    others = [row["typicality"] for row in rows if row["half"] == "atypical half"]
    assert len(typical) == len(others) == 6
    assert typical[0] > max(others)


def test_halves_have_the_means_of_their_people():
    rows = scored(12)[1]
    typical, atypical = half_rows(rows)
    own = [row["r"] for row in rows if row["half"] == "typical half"]
    assert typical["r"][0] == pytest.approx(np.mean(own), abs=1e-3)
    assert (typical["people"], atypical["people"]) == (6, 6)
    assert half_rows(scored(12)[1][:0]) == []
