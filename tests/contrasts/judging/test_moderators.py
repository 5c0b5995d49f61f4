"""Who is predicted well, and what that goes with: no verdict on few, and none that is invented."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.contrasts.judging.model_scores import score_maps
from bids_dtg.contrasts.judging.moderators import (
    MODERATORS,
    SCORES,
    half_rows,
    moderator_rows,
    person_rows,
)
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


def test_motion_that_spoils_predictions_is_found_and_the_rest_is_not_invented():
    found = {(row["moderator"], row["score"]): row for row in moderator_rows(scored(40)[1], {})}
    assert set(found) == {(moderator, score) for moderator in MODERATORS for score in SCORES}
    row = found["fd_mean", "r"]
    assert row["verdict"] == "lower"
    assert row["rho"][2] < -0.5
    assert row["people"] == 40
    assert found["minutes", "r"]["verdict"] == "not computable (the same for everybody)"
    assert found["residual_dof", "r"]["verdict"] == "not computable (not known)"
    assert not any("rho" in found[name, "r"] for name in ("minutes", "residual_dof"))


@pytest.mark.parametrize("people", [2, 7])
def test_few_people_get_no_verdict(people):
    rows = moderator_rows(scored(people)[1], {})
    assert {row["verdict"] for row in rows if row["moderator"] == "fd_mean"} == {"too few people"}
    assert not any("rho" in row for row in rows)


@pytest.mark.slow
def test_relations_of_chance_are_rarely_called_any():
    rng, called = np.random.default_rng(3), 0
    for _ in range(40):
        values = rng.standard_normal((2, 20))
        rows = [
            {"participant_id": f"sub-{n}", "r": r, "fd_mean": fd}
            for n, (r, fd) in enumerate(values.T)
        ]
        called += any(row["verdict"] in ("higher", "lower") for row in moderator_rows(rows, {}))
    assert called <= 5


def test_a_family_counts_as_one():
    rows = scored(16)[1]
    twins = {f"{n:02d}": f"{n // 2}" for n in range(16)}
    alone, related = (moderator_rows(rows, families)[0]["rho"] for families in ({}, twins))
    assert alone[0] == related[0]
    assert alone[1:] != related[1:]


def test_halves_have_the_means_of_their_people():
    rows = scored(12)[1]
    typical, atypical = half_rows(rows)
    own = [row["r"] for row in rows if row["half"] == "typical half"]
    assert typical["r"][0] == pytest.approx(np.mean(own), abs=1e-3)
    assert (typical["people"], atypical["people"]) == (6, 6)
    assert half_rows(scored(12)[1][:0]) == []
