"""The measured session among simulated ones: what is kept is what is drawn."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bids_dtg.connectome.edges import fc_strength, upper_edges
from bids_dtg.dynamics.measures import connectivity
from bids_dtg.dynamics.panels import predictive
from bids_dtg.dynamics.panels.predictive import keep_predictive
from bids_dtg.dynamics.panels.run import NetworkRun
from bids_dtg.dynamics.panels.words import notes_on_run
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.report.contents import ParticipantFiles, RunFiles
from bids_dtg.report.flags import flags_of
from bids_dtg.report.panels.panel import Among, Canvas, Figure, Kept, Lines, write_kept
from bids_dtg.stats.correlation import correlation

ENTITIES = {"sub": "01", "task": "rest"}


def sessions(number: int, regions: int = 8, *, shared: float = 0.4) -> np.ndarray:
    rng = np.random.default_rng(number)
    noise = rng.standard_normal((number, regions, 260))
    return (1 - shared) * noise + shared * rng.standard_normal((number, 1, 260))


def rows_of(kept: Kept) -> list[list[str]]:
    return [line.split("\t") for line in kept.content.decode().splitlines()[1:]]


def test_connectivity_that_changes_has_a_wider_spread_of_fcd():
    rng = np.random.default_rng(0)
    moving = rng.standard_normal((8, 400))
    # Half of the regions share a course in the first half of the session, the others later.
    moving[:4, :200] += 2 * rng.standard_normal(200)
    moving[4:, 200:] += 2 * rng.standard_normal(200)
    still = rng.standard_normal((20, 8, 400))
    still[:, :4] += 2 * rng.standard_normal((20, 1, 400))

    def spread(kept: Kept) -> list[tuple[str, str]]:
        return [(row[1], row[3]) for row in rows_of(kept) if row[0] == "fcd_spread"]

    own, *simulated = (float(value) for _, value in spread(keep_predictive(moving, still, 2.0)))
    assert own > 2 * max(simulated)
    short = spread(keep_predictive(moving[:, :100], still[..., :100], 2.0))
    assert {value for _, value in short} == {"n/a"}


def drawn(tmp_path, kept: Kept) -> Figure:
    dataset = DerivativeDataset(tmp_path)
    table, _ = write_kept([kept], ENTITIES, dataset)
    run = RunFiles("sub-01_task-rest", {}, {predictive.FILE: dataset.path(table)})
    figure = predictive.draw(run, Canvas(dataset, tmp_path / "sub-01/figures", run.title))
    assert figure is not None
    return figure


def test_figures_are_those_of_the_sessions():
    own, simulated = sessions(1)[0], sessions(20)
    rows = [row for row in rows_of(keep_predictive(own, simulated, 2.0)) if row[0] == "fc_strength"]
    expected = [fc_strength(connectivity(s)) for s in (own, *simulated)]
    np.testing.assert_allclose([float(row[3]) for row in rows], expected, rtol=1e-5)
    assert [row[1] for row in rows] == ["measured", *["simulated"] * 20]


def test_regions_without_a_series_are_left_out():
    own, simulated = sessions(1)[0], sessions(20)
    lost = own.copy()
    lost[3] = np.nan
    known = np.arange(8) != 3
    found = keep_predictive(lost, simulated, 2.0)
    expected = keep_predictive(own[known], simulated[:, known], 2.0)
    assert found.content == expected.content
    assert found.sidecar["Regions"] == 7


@pytest.mark.slow
def test_the_fit_is_over_all_pairs_though_some_are_drawn(tmp_path):
    own, simulated = sessions(1, 80)[0], sessions(3, 80)
    kept = keep_predictive(own, simulated, 2.0)
    mean = np.mean([upper_edges(connectivity(session)) for session in simulated], axis=0)
    fit = correlation(upper_edges(connectivity(own)), mean)
    assert kept.sidecar["FunctionalConnectivityFit"] == pytest.approx(float(fit), abs=1e-4)
    assert kept.sidecar["Pairs"] == 80 * 79 // 2
    assert sum(row[0] == "fc_pair" for row in rows_of(kept)) == 2 * 2000
    assert "3,160 pairs" in (caption := drawn(tmp_path, kept).caption)
    assert "2,000 pairs are drawn" in caption


def test_the_spectrum_has_the_middle_of_the_simulations():
    rows = rows_of(keep_predictive(sessions(1)[0], sessions(20), 2.0))
    by = {of: [float(r[3]) for r in rows if r[:2] == ["spectrum", of]] for of in ("low", "high")}
    assert len(by["low"]) == 64  # of 128 frames, without frequency 0
    assert (np.array(by["low"]) <= by["high"]).all()


def test_a_page_says_that_sessions_are_simulated_and_how_many(tmp_path):
    figure = drawn(tmp_path, keep_predictive(sessions(1)[0], sessions(20), 2.0))
    assert figure.caption.startswith("20 sessions simulated")
    assert "not measured" in figure.caption
    assert [type(piece) for piece in figure.pieces] == [Among, Among, Among, Among, Lines, Lines]
    assert all(piece.middle for piece in figure.pieces[:3])
    assert len(figure.pieces[0].dots) == 20


def test_a_session_beyond_the_simulated_ones_is_said_to_be(tmp_path):
    own = sessions(1, shared=0.9)[0]
    figure = drawn(tmp_path, keep_predictive(own, sessions(20, shared=0.1), 2.0))
    assert "The measured session lies above them." in figure.pieces[0].words


def test_with_few_simulations_no_middle_is_claimed(tmp_path):
    figure = drawn(tmp_path, keep_predictive(sessions(1)[0], sessions(5), 2.0))
    assert "With fewer than 19 simulations nothing is shaded." in figure.caption
    assert figure.pieces[0].middle is None
    assert re.match(r"Measured [\d.]+; simulated [\d.]+ to [\d.]+\.", figure.pieces[0].words)


def test_a_run_that_was_not_modelled_keeps_nothing():
    frames = np.ones(100, bool)
    assert predictive.keep(NetworkRun(frames, None, None, 2.0)) is None


def test_sessions_of_other_regions_are_refused():
    with pytest.raises(
        ValueError, match=r"\(simulations, 8 regions, frames\), found \(20, 7, 260\)"
    ):
        keep_predictive(sessions(1)[0], sessions(20, 7), 2.0)


def run_of(tmp_path, kept: Kept) -> RunFiles:
    dataset = DerivativeDataset(tmp_path)
    table, _ = write_kept([kept], ENTITIES, dataset)
    facts = {"RepetitionTime": 2.0}
    return RunFiles("sub-01_task-rest", {}, {predictive.FILE: dataset.path(table)}, facts)


def flags_at_the_top(run: RunFiles) -> list[tuple[str, str]]:
    flags = flags_of(ParticipantFiles("01", (), (run,)), {}, (), lambda made: (), notes_on_run)
    return [(flag.level, flag.text) for flag in flags]


def test_failing_checks_stand_at_the_top_of_the_page(tmp_path):
    own = sessions(1, shared=0.9)[0]
    run = run_of(tmp_path, keep_predictive(own, sessions(20, shared=0.1), 2.0))
    ((level, text),) = flags_at_the_top(run)
    assert level == "warning"
    assert text.startswith("The model does not describe this run: ")
    measured = r"mean functional connectivity 0\.\d+ \(simulated \S?0\.\d+ to \S?0\.\d+\)"
    assert re.search(measured, text)


@pytest.mark.slow
@pytest.mark.parametrize("simulations", [5, 99])
def test_a_session_like_the_simulated_ones_is_good(tmp_path, simulations):
    kept = keep_predictive(sessions(1 + simulations)[0], sessions(2 * simulations)[1::2], 2.0)
    ((level, _),) = flags_at_the_top(run_of(tmp_path, kept))
    assert level == "good"
