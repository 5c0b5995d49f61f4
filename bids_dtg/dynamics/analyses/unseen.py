"""Evaluate a network model on people outside its training set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.column import BY_PEOPLE, T_INTERVAL, Column, interval_of
from bids_dtg.dynamics.analyses.connectivity import MODEL, MODEL_WORDS, Kept, Scored
from bids_dtg.dynamics.judging.unseen import Figure, Figures, baseline_figures, figures_of
from bids_dtg.dynamics.model import GenerativeModel
from bids_dtg.dynamics.networks import Networks
from bids_dtg.notices import say
from bids_dtg.report.flags import Flag
from bids_dtg.report.pages.analysis import PageSection, Table
from bids_dtg.stats.paired import bootstrap_interval
from bids_dtg.stats.verdict import RULE, WORSE, judge_differences, too_few

Row = dict[str, Any]

UNSEEN = (
    Column("name", "Name of the model"),
    Column("words", "Description of the model"),
    Column("what", "model, or baseline"),
    Column("figure", "Name of the figure"),
    Column("session", "Session that the figure is of"),
    Column("people", "Number of people"),
    Column(
        "score",
        "Mean over people of the figure: elbo and nll_K (negative log density K frames ahead), "
        "nats a region a frame; r2_K, share of the variance K frames ahead; fit, Pearson r of "
        "functional connectivity; icc_theta_N, ICC(A,1) of parameter N with the first session",
        interval=BY_PEOPLE,
    ),
    Column(
        "advantage",
        "Difference to the model, mean over people; above 0: the model is better",
        interval=T_INTERVAL,
    ),
    Column("advantage_p", "Two-sided p of the advantage, by sign flips over people"),
    Column("verdict", f"Verdict on the model compared with this: {RULE}"),
)


def unseen_rows(
    model: GenerativeModel,
    sessions: Mapping[str, Networks],
    whole: Kept,
    baselines: Sequence[Scored],
    *,
    seed: int,
) -> list[Row]:
    """Return scores of people outside the training set, a row a model, figure and session.

    Parameters
    ----------
    model
        Amortised model.
    sessions
        Sessions that everybody has.
    whole, baselines
        Measures of the model's simulations, and of those of simple models.
    seed
        Seed of all random draws.
    """
    say("predicting frames")
    own = figures_of(model, sessions, simulations=0, seed=seed) | _fits(whole, sessions)
    rows, kin = _rows(MODEL, MODEL_WORDS, "model", own), next(iter(sessions.values())).kin
    say("the same by simple models")
    simple = baseline_figures(sessions, simulations=0, seed=seed)
    for scored in baselines:
        fits = _fits(scored.kept, sessions)
        simple.setdefault(scored.name, (scored.words, {}))[1].update(fits)
    for name, (words, figures) in simple.items():
        rows += _rows(name, words, "baseline", figures, (own, kin))
    return rows


def _fits(kept: Kept, sessions: Iterable[str]) -> Figures:
    return {Figure("fit", name): np.array(kept.fits[name]) for name in sessions}


def _rows(
    name: str,
    words: str,
    what: str,
    figures: Figures,
    judged: tuple[Figures, NDArray[np.intp]] | None = None,
) -> list[Row]:
    """Return a row for each measure; for a baseline with the verdict on the model against it.

    `judged`: the model's measures, and numbers of people's families.
    """
    rows = []
    for figure, values in figures.items():
        interval = bootstrap_interval(values)
        row: Row = {"name": name, "words": words, "what": what, "figure": figure.name}
        row |= {"session": figure.session, "people": len(values), "score": interval}
        if judged is not None and figure in judged[0]:
            sign = -1 if figure.smaller_is_better else 1
            found = judge_differences(sign * (judged[0][figure] - values), judged[1])
            row |= {**found.columns("advantage"), "verdict": found.word}
        rows.append(row)
    return rows


def unseen_sections(rows: Sequence[Row]) -> tuple[PageSection, ...]:
    """Return the page's sections on the scores: a section a kind of measure, a row a model."""
    sessions = list(dict.fromkeys(row["session"] for row in rows))
    ahead = [row for row in rows if row["figure"].startswith(("nll_", "r2_"))]
    others = [row for row in rows if row not in ahead and row["figure"] != "fit"]
    return (
        PageSection(
            title="Predicted frames",
            text=(
                "Predicted from earlier frames, all regions together: negative log likelihood of "
                "the measured values (nats a region a frame, less is better), and share of their "
                f"variance. A baseline is marked where it is better than the model: {RULE}.",
            ),
            tables=tuple(
                _by_steps([row for row in ahead if row["session"] == session], prefix, session)
                for session in sessions
                for prefix in _AHEAD
            ),
        ),
        PageSection(
            title="Evidence and agreement",
            text=(
                "ELBO: nats a region a frame. ICC: how well a parameter agrees with that inferred "
                "from the first session, over all regions of people.",
            ),
            tables=(_of_model(others),),
        ),
    )


# Names of measures at some frames ahead, by prefix.
_AHEAD = {"nll_": "negative log likelihood", "r2_": "R²"}


def _by_steps(rows: Sequence[Row], prefix: str, session: str) -> Table:
    """Return a table of measures some frames ahead in a session, a column a number of frames."""
    own = [row for row in rows if row["figure"].startswith(prefix)]
    columns = {row["figure"]: f"{row['figure'].removeprefix(prefix)} ahead" for row in own}
    return _table(f"{session}: {_AHEAD[prefix]}", own, "figure", columns)


def _table(caption: str, rows: Sequence[Row], key: str, columns: Mapping[str, str]) -> Table:
    """Return a table, a row a model; `columns` has the heading of each value of a row's `key`."""
    cells: dict[str, dict[str, Any]] = {}
    for row in rows:
        cells.setdefault(row["words"], {})[row[key]] = interval_of(row["score"])
    better = [(row["words"], columns[row[key]]) for row in rows if row.get("verdict") == WORSE]
    return Table(
        caption,
        ("name", *columns.values()),
        [(words, *(found.get(name) for name in columns)) for words, found in cells.items()],
        highlight=list({row["words"]: None for row in rows if row["what"] == "baseline"}),
        model=MODEL_WORDS,
        better=better,
    )


def _of_model(rows: Sequence[Row]) -> Table:
    """Return a table of measures that only the model has, a row each, a column a session."""
    sessions = list(dict.fromkeys(row["session"] for row in rows))
    cells: dict[str, dict[str, Any]] = {}
    for row in rows:
        words = row["figure"].replace("icc_theta_", "ICC of θ").replace("elbo", "ELBO")
        cells.setdefault(words, {})[row["session"]] = interval_of(row["score"])
    return Table(
        "The network model",
        ("figure", *sessions),
        [(words, *(found.get(name) for name in sessions)) for words, found in cells.items()],
    )


def few_people_notices(people: int) -> list[Flag]:
    """Warn if there are too few people for verdicts."""
    few = too_few(people)
    return [Flag("warning", f"{few}: values may not hold for other people")] if few else []
