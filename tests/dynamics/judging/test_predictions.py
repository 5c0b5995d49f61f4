"""Predictions of sessions: each row predicts what its text says, whatever is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from series_arrays import PEOPLE, REGIONS, made_series

from bids_dtg.connectome.parcels import upper_edges
from bids_dtg.dynamics.judging.predictions import (
    ANOTHER,
    CORE,
    FIGURES,
    MODEL,
    REFERENCES,
    Judge,
    Prediction,
    Scored,
    prediction_of_simulations,
    read_people,
    score_references,
    score_row,
)
from bids_dtg.dynamics.linear import (
    GroupSums,
    LagCovariances,
    LinearModel,
    Shrinkage,
    shrunken,
)
from bids_dtg.dynamics.measures import connectivity, fcd_shares, ks_distance
from bids_dtg.dynamics.networks import PeopleSeries, standardised
from bids_dtg.stats.metrics import residual_correlation

Sessions = tuple[PeopleSeries, PeopleSeries]


@pytest.fixture(scope="module")
def sessions() -> Sessions:
    first, again = (
        PeopleSeries(PEOPLE, REGIONS, standardised(series), 0.72)
        for series in made_series(frames=200)
    )
    return first, again


@pytest.fixture(scope="module")
def model(sessions) -> LinearModel:
    people = [LagCovariances.of(series) for series in sessions[0].series]
    return LinearModel.of(GroupSums.over(people), Shrinkage(100.0, 50.0))


def scored(
    model: LinearModel,
    sessions_read: PeopleSeries,
    by: PeopleSeries,
    relation: str = ANOTHER,
):
    people = read_people(sessions_read, [model] * len(sessions_read.people))
    judge = Judge(
        "REST2", relation, by, {person.label: person.mean for person in people}
    )
    rows = score_references(people, [judge], (CORE, *REFERENCES), 0)
    return {row.name: row for row in rows}


def fc(series: np.ndarray) -> np.ndarray:
    return np.corrcoef(series)[np.triu_indices(len(series), 1)]


def test_rows_predict_what_their_words_say(model, sessions):
    first, again = sessions
    rows, mean = scored(model, first, again), upper_edges(model.group[0])
    assert [*rows] == [MODEL, "group", "retest", "half_way", "var_1", "other_person"]
    covariances = LagCovariances.of(first.series[2])
    mixed = shrunken(covariances, model.group, covariances.frames * 0.35 / 0.65)
    for name, edges in {
        MODEL: upper_edges(model.connectivity(covariances)),
        "group": mean,
        "retest": fc(first.series[2]),
        "half_way": (fc(first.series[2]) + mean) / 2,
        "var_1": upper_edges(mixed[0]),
    }.items():
        np.testing.assert_allclose(rows[name].edges[2], edges, atol=1e-6)
        fit = np.corrcoef(edges, fc(again.series[2]))[0, 1]
        assert rows[name].figures["fit"][2] == pytest.approx(fit, abs=1e-6)
    read_fc, judged = (
        [fc(series) for series in session.series] for session in (first, again)
    )
    residual = residual_correlation(np.array(read_fc), np.array(judged))
    np.testing.assert_allclose(rows["retest"].residual, residual, atol=1e-5)
    assert np.isnan(rows["group"].residual).all()
    distance = ks_distance(fcd_shares(first.series[2]), fcd_shares(again.series[2]))
    assert rows["retest"].figures["fcd"][2] == pytest.approx(float(distance))


@pytest.mark.slow
def test_residual_r_of_predictions_that_know_nothing_is_0(model):
    """The mean of few others holds a share of the noise of each, and is in both differences."""
    rng = np.random.default_rng(4)
    labels = tuple("abcde")
    by_row: dict[str, list[float]] = {"noise": [], "other_person": []}
    for _ in range(60):
        series = standardised(rng.standard_normal((15, len(REGIONS), 60)))
        read_series, again, noise = (
            PeopleSeries(labels, REGIONS, part, 0.72) for part in np.split(series, 3)
        )
        cores = []
        for left_out in range(5):
            of_the_rest = [
                LagCovariances.of(row_series)
                for row, row_series in enumerate(read_series.series)
                if row != left_out
            ]
            cores.append(
                LinearModel.of(GroupSums.over(of_the_rest), Shrinkage(100.0, 50.0))
            )
        people = read_people(read_series, cores)
        means = {person.label: person.mean for person in people}
        judge = Judge("REST2", ANOTHER, again, means)
        predictions = (
            (label, [Prediction(fc(persons_noise))])
            for label, persons_noise in zip(labels, noise.series, strict=True)
        )
        (row,) = score_row("noise", "noise", predictions, [judge])
        by_row["noise"] += row.residual.tolist()
        (row,) = score_references(people, [judge], REFERENCES[-1:], 0)
        by_row["other_person"] += row.residual.tolist()
    for name, residual in by_row.items():
        assert abs(np.mean(residual)) < 0.02, name


def test_next_frames_are_those_of_a_process_where_there_is_one(model, sessions):
    rows = scored(model, *sessions)
    with_likelihood = {
        name for name, row in rows.items() if np.isfinite(row.figures["nll"]).all()
    }
    assert with_likelihood == {MODEL, "group", "var_1"}
    series = sessions[1].series[3].astype(float)
    process = model.infer(LagCovariances.of(sessions[0].series[3]))
    missed = np.zeros((len(series), 198))
    for frame in range(2, 200):
        missed[:, frame - 2] = series[:, frame] - sum(
            transition @ series[:, frame - lag]
            for lag, transition in enumerate(process.transitions, 1)
        )
    r2 = 1 - (missed**2).sum() / (series[:, 2:] ** 2).sum()
    size = np.einsum("if,ij,jf->", missed, np.linalg.inv(process.noise), missed) / 198
    nll = 0.5 * (
        (np.linalg.slogdet(process.noise)[1] + size) / len(series) + np.log(2 * np.pi)
    )
    assert rows[MODEL].figures["r2"][3] == pytest.approx(r2)
    assert rows[MODEL].figures["nll"][3] == pytest.approx(nll)


@pytest.mark.slow
def test_frames_that_were_left_out_change_no_score_but_that_of_fcd(model, sessions):
    keep = np.random.default_rng(0).random((len(PEOPLE), 200)) < 0.8

    def scores(filling: float) -> list[np.ndarray]:
        first, again = (
            replace(
                session,
                series=np.where(keep[:, None], session.series, filling),
                keep=keep,
            )
            for session in sessions
        )
        rows = scored(model, first, again)
        return [
            row.figures[name]
            for row in rows.values()
            for name in FIGURES
            if name != "fcd"
        ]

    for score, again_score in zip(scores(0.0), scores(5.0), strict=True):
        np.testing.assert_array_equal(score, again_score)


def test_another_person_is_the_mean_over_all_of_other_families(model, sessions):
    few = [session.of(PEOPLE[:4]) for session in sessions]
    family = [replace(session, families={"01": "a", "02": "a"}) for session in few]
    fcs, again = ([fc(series) for series in some.series] for some in few)
    for (first, second), unrelated in ((few, [1, 2, 3]), (family, [2, 3])):
        rows = scored(model, first, second)
        fits = [
            np.corrcoef(fcs[unrelated_person], again[0])[0, 1]
            for unrelated_person in unrelated
        ]
        assert rows["other_person"].figures["fit"][0] == pytest.approx(
            np.mean(fits), abs=1e-6
        )
    related = [replace(session, families=dict.fromkeys(PEOPLE, "a")) for session in few]
    assert "other_person" not in scored(model, *related)


def test_simulations_predict_their_mean_and_those_that_diverged_are_left_out(sessions):
    again = sessions[1].of(PEOPLE[:2])
    simulated = np.random.default_rng(0).standard_normal((2, 7, len(REGIONS), 200))
    simulated[1, 3, 0, 100:] = np.inf
    judge = Judge("REST2", ANOTHER, again, {})
    predictions = (
        (label, [prediction_of_simulations(series_of_person)])
        for label, series_of_person in zip(PEOPLE, simulated, strict=False)
    )
    (row,) = score_row(MODEL, "a network", predictions, [judge])
    assert isinstance(row, Scored)
    assert row.diverged == 1
    used, measured = np.delete(simulated[1], 3, axis=0), fc(again.series[1])
    singles = [np.corrcoef(fc(simulation), measured)[0, 1] for simulation in used]
    mean = upper_edges(connectivity(used).mean(axis=0))
    assert row.figures["fit_single"][1] == pytest.approx(np.mean(singles))
    assert row.figures["fit"][1] == pytest.approx(np.corrcoef(mean, measured)[0, 1])
    assert np.isnan(row.residual).all()
    shares = ks_distance(fcd_shares(used[:5]), fcd_shares(again.series[1]))
    assert row.figures["fcd"][1] == pytest.approx(shares.mean())
