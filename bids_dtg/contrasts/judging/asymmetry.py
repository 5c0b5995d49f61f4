"""Scores of left minus right, for models whose parcels have homologues, and their table.

All deviations are those from the training people's mean asymmetry: in a cross-validation, from
that of each fold. A person's high value lowers the mean of the folds that predict it. So r over
people of predicted and measured indices themselves would be too low.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bids_dtg.array_types import Floats, Indices
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.contrasts.asymmetry import INDEX_PAIRS, Homologues
from bids_dtg.contrasts.judging.scores import LEFT_RIGHT, Scores, score_maps
from bids_dtg.contrasts.judging.tables import (
    Row,
    cells,
    families_of,
    is_folded,
    judged,
    number,
)
from bids_dtg.files.columns import Column
from bids_dtg.stats.correlation import weighted_correlation
from bids_dtg.stats.paired import wilson_interval
from bids_dtg.stats.verdict import RULE, Verdict, judge_scores

_OVER_PEOPLE = "95 % interval over participants"
_JUDGED = f"{RULE}; not corrected for the number of contrasts"
COLUMNS = (
    Column("contrast", "Label of the contrast"),
    Column("people", "Participants with both maps; a family counts as one"),
    Column(
        "r",
        "Correlation over pairs of homologous parcels of predicted with measured left minus right, "
        "mean over participants",
        interval=_OVER_PEOPLE,
    ),
    Column(
        "group_r",
        "The same of the training participants' mean map",
        "r of the group's",
        interval=_OVER_PEOPLE,
    ),
    Column(
        "r_minus_group_average",
        "r minus group_r",
        "r minus the group's",
        interval=_OVER_PEOPLE,
    ),
    Column(
        "residual_r",
        "The same correlation, both sides minus the training participants' mean",
        interval=_OVER_PEOPLE,
    ),
    Column(
        "identification",
        "Share of measured deviations from that mean that are most similar to their own "
        "prediction; chance is 1 / participants, in a cross-validation of a fold",
        "identified",
        interval="95 % interval (Wilson)",
    ),
    Column("p", "Two-sided p by sign flips of r minus the group's"),
    Column("verdict", f"Whether r is better than the group's: {_JUDGED}"),
    Column(
        "index_r",
        "Correlation over participants of predicted with measured lateralisation index, both minus "
        f"the training participants' mean. The index is the mean of the {INDEX_PAIRS} pairs that "
        "are most lateralised in that mean, each with the sign that it has there",
        "r of the index",
        interval="95 % interval, by bootstrap over participants (BCa)",
    ),
    Column("index_p", "Two-sided p by sign flips of participants' shares in it"),
    Column("index_verdict", f"Whether it is better than 0: {_JUDGED}"),
)


def score_asymmetry(
    name: str,
    maps: tuple[Floats, Floats],
    mean: Floats,
    homologues: Homologues,
    families: Indices | None,
    labels: tuple[Sequence[str], Sequence[str]],
) -> Scores:
    """Score left minus right of one model's predictions, as the part `LEFT_RIGHT`.

    Parameters
    ----------
    name
        Name of the model.
    maps
        Predicted and measured maps, (people, contrasts, parcels) each.
    mean
        Mean maps of the training people, (contrasts, parcels).
    homologues
        Pairs of the parcels.
    families, labels
        As for `score_maps`.

    Returns
    -------
    Scores
        r, residual_r and identification as in `COLUMNS`, group_r, and each person's predicted and
        measured index minus the group's.
    """
    people, contrasts = map(pd.Index, labels)
    deviations = [homologues.values(np.asarray(some) - mean, mean) for some in maps]
    group = homologues.difference(np.asarray(mean, np.float64))
    predicted, measured = (values[..., :-1] for values in deviations)
    everybody = np.broadcast_to(group, measured.shape)

    def scored(first: Floats, second: Floats) -> pd.DataFrame:
        return score_maps(name, first, second, None, families, labels=labels).table

    table = scored(predicted + group, measured + group)
    residual = scored(predicted, measured)
    keys = ["model", "part", "group", "contrast", "person", "family", "r"]
    table = table[keys].assign(
        part=LEFT_RIGHT,
        group_r=scored(everybody, measured + group)["r"],
        residual_r=residual["r"],
        identification=residual["identification"],
    )
    rows = (
        people.get_indexer(pd.Index(table["person"])),
        contrasts.get_indexer(pd.Index(table["contrast"])),
    )
    indices = (values[..., -1][rows] for values in deviations)
    table["index_predicted"], table["index_measured"] = indices
    return Scores(table, {})


def asymmetry_table(scores: Scores, model: str) -> ResultTable:
    """Return the scores of a model by contrast; no rows if it was not scored."""
    table = scores.of(model, LEFT_RIGHT)
    by_contrast = table.groupby(level="contrast", sort=False)
    rows = [
        _row(str(contrast), contrast_scores)
        for contrast, contrast_scores in by_contrast
    ]
    return ResultTable(
        COLUMNS, rows, "Scores of left minus right: one row per contrast"
    )


def _row(contrast: str, table: pd.DataFrame) -> Row:
    columns = {name: table[name] for name in ("r", "group_r", "residual_r")}
    columns["r_minus_group_average"] = table["r"] - table["group_r"]
    verdicts = {name: judged(table, values) for name, values in columns.items()}
    above = verdicts["r_minus_group_average"]
    identified = table["identification"]
    index = _judge_index(table)
    return {
        "contrast": contrast,
        **{
            name: cells(verdict.difference.within(-1.0, 1.0))
            for name, verdict in verdicts.items()
        },
        "people": above.people,
        "identification": cells(wilson_interval(identified.mean(), len(identified))),
        "p": number(above.table_p, 5),
        "verdict": above.word,
        "index_r": cells(index.difference.within(-1.0, 1.0)),
        "index_p": number(index.table_p, 5),
        "index_verdict": index.word,
    }


def _judge_index(table: pd.DataFrame) -> Verdict:
    """Judge the correlation over people of predicted with measured indices."""
    folded = is_folded(table)
    table = table.dropna(subset=["index_predicted", "index_measured"])
    predicted = table["index_predicted"].to_numpy(np.float64)
    measured = table["index_measured"].to_numpy(np.float64)
    families = families_of(table)
    verdict = judge_scores(
        lambda counts: weighted_correlation(predicted, measured, counts),
        len(table),
        families=families,
        cross_validated=folded,
    )
    return verdict or Verdict.unknown(len(np.unique(families)))
