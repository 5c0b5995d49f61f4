"""Scores of models as one table: one row per model, contrast and person, one column per score.

The mean over people of a column is the model's score. The spread over people is valid for intervals
and tests, even if a person's score depends on the others (`PeopleScores.by_name`). Tables,
comparisons and tests are computed from this table (`bids_dtg.contrasts.judging.tables`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bids_dtg.contrasts.judging.people_scores import PeopleScores
from bids_dtg.contrasts.people import Person
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.stats.correlation import correlation
from bids_dtg.stats.metrics import dice_auc

Maps = NDArray[np.floating[Any]]
Values = NDArray[np.float64]

# What a model is compared with, by its name in tables.
GROUP_AVERAGE, LINEAR, RETEST = "group average", "linear (Tavor)", "retest"
BEFORE = "before tuning"
OWN_MEAN, ANOTHER = "own mean prediction", "another person's prediction"
ALL_PLACES = "all"
_KEYS = ["contrast", "person"]
# Scores that compare a person with others; not defined if each person has a model of their own,
# fitted on all the others.
INDIVIDUALITY = (
    *(
        "own_mean_r",
        "others_r",
        "index",
        "product",
        "residual_r",
        "residual_r_training_mean",
    ),
    *("identification", "fingerprint"),
    *("own_index", "own_product", "own_residual_r", "own_identification"),
)


class Scores(NamedTuple):
    """Scores of models on the same people."""

    # Columns: model, part, contrast, person, family, group (fold of a cross-validation; 0: none)
    # and scores. A person without a measured or predicted map of a contrast has no row for it.
    table: pd.DataFrame
    matrices: Mapping[
        str, Values
    ]  # by model, (contrasts, measured, predicted people); NaN: none

    def of(self, model: str, part: str = ALL_PLACES) -> pd.DataFrame:
        """Return the scores of a model over a part of the voxels, by contrast and person."""
        here = (self.table["model"] == model) & (self.table["part"] == part)
        return self.table[here].set_index(_KEYS)

    @property
    def models(self) -> list[str]:
        """Names of the models, in order."""
        return list(self.table["model"].unique())


def score_maps(
    name: str,
    predicted: Maps,
    measured: Maps,
    training_mean: Maps | None = None,
    families: NDArray[np.intp] | None = None,
    *,
    labels: tuple[Sequence[str], Sequence[str]] | None = None,
    here: NDArray[np.bool_] | None = None,
) -> Scores:
    """Score the predictions of one model.

    Parameters
    ----------
    name
        Name of the model, for tables and pages.
    predicted, measured
        (people, contrasts, voxels), the same people; in memory or memory-mapped, read one
        contrast at a time. A person without a finite value in one of the two maps does not count
        for that contrast. Voxels that are NaN for anybody who counts are left out of r and all
        scores derived from it.
    training_mean
        (contrasts, voxels), mean maps of the training people, for the score
        `residual_r_training_mean`, which is NaN without them.
    families
        (people,), number of each person's family; None: nobody has relatives.
    labels
        Labels of people and of contrasts; None: numbers.
    here
        (voxels,), which voxels count; None: all.

    Raises
    ------
    ValueError
        The people who count have no voxel in common.

    Examples
    --------
    >>> import numpy as np
    >>> measured = np.random.default_rng(0).standard_normal((8, 2, 500))
    >>> found = score_maps("itself", measured, measured)
    >>> len(found.table), float(found.table["identification"].mean())
    (16, 1.0)
    """
    number, rows, _ = measured.shape
    people, contrasts = labels or (
        [str(n) for n in range(size)] for size in (number, rows)
    )
    counted = slice(None) if here is None else here
    related = np.arange(number) if families is None else families
    frames, matrices = [], np.full((rows, number, number), np.nan)
    for q, contrast in enumerate(contrasts):
        both = zip(predicted[:, q], measured[:, q], strict=True)
        there = np.flatnonzero(
            [all(np.isfinite(one[counted]).any() for one in pair) for pair in both]
        )
        if not there.size:
            continue
        p, m = (
            maps[:, q] if len(there) == number else maps[there, q]
            for maps in (predicted, measured)
        )
        mean = None if training_mean is None else training_mean[q]
        found = PeopleScores.of(p, m, mean, families=related[there], here=here)
        matrices[q][np.ix_(there, there)] = found.matrix
        about = {
            "contrast": contrast,
            "person": [people[int(n)] for n in there],
            "family": related[there],
        }
        frames.append(
            pd.DataFrame({**about, **found.by_name(), "dice": _dice(p, m, counted)})
        )
    table = pd.concat(frames, ignore_index=True)
    table.insert(0, "model", name)
    table.insert(1, "part", ALL_PLACES)
    table.insert(2, "group", 0)
    return Scores(table, {name: matrices})


def with_derived(scores: Scores) -> Scores:
    """Append two derived models: the model's own mean prediction and another person's prediction.

    The own mean prediction is one map for everybody, the mean over all people who count for a
    contrast. The r of another person's prediction is averaged over people of other families.
    """
    derived = [
        scores.table.assign(model=name, r=scores.table[column]).drop(
            columns=[*INDIVIDUALITY, "dice"]
        )
        for name, column in ((OWN_MEAN, "own_mean_r"), (ANOTHER, "others_r"))
    ]
    return Scores(
        pd.concat([scores.table, *derived], ignore_index=True), scores.matrices
    )


def without_individuality(scores: Scores) -> Scores:
    """Remove individual scores, for a model fitted separately for each person on all the others."""
    return Scores(scores.table.assign(**dict.fromkeys(INDIVIDUALITY, np.nan)), {})


def join(several: Sequence[Scores]) -> Scores:
    """Return the scores of several models on the same people."""
    table = pd.concat([one.table for one in several], ignore_index=True)
    return Scores(
        table, {name: own for one in several for name, own in one.matrices.items()}
    )


def join_groups(groups: Sequence[Scores]) -> Scores:
    """Join the scores of several groups of people, each scored within the group.

    Models that are missing in a group are left out. Matrices are NaN between people of different
    groups, because different fits predicted them.

    Examples
    --------
    >>> import numpy as np
    >>> measured = np.random.default_rng(0).standard_normal((8, 2, 500))
    >>> halves = [score_maps("itself", half, half) for half in (measured[:3], measured[3:])]
    >>> found = join_groups(halves)
    >>> len(found.table), int(np.isnan(found.matrices["itself"][0]).sum())
    (16, 30)
    """
    names = [
        name for name in groups[0].models if all(name in one.models for one in groups)
    ]
    tables, families = [], 0
    for number, one in enumerate(groups, 1):
        # No family is in two groups.
        own = one.table.assign(group=number, family=one.table["family"] + families)
        families = int(own["family"].max()) + 1
        tables.append(own[own["model"].isin(names)])
    table = pd.concat(tables, ignore_index=True)
    matrices = {}
    for name in groups[0].matrices.keys() & set(names):
        blocks = [one.matrices[name] for one in groups]
        ends = np.cumsum([0, *(block.shape[1] for block in blocks)])
        whole = np.full((len(blocks[0]), ends[-1], ends[-1]), np.nan)
        for first, last, block in zip(ends, ends[1:], blocks, strict=False):
            whole[:, first:last, first:last] = block
        matrices[name] = whole
    order = {name: number for number, name in enumerate(names)}
    # Keep each model's rows together, as in scores without folds.
    table = table.sort_values("model", key=lambda own: own.map(order), kind="stable")
    return Scores(table, {name: matrices[name] for name in names if name in matrices})


def store_scores(
    store: ArrayStore,
    name: str,
    scores: Scores,
    facts: Mapping[str, Any],
    record: Mapping[str, Any],
) -> None:
    """Write scores into a store, for `stored_scores`.

    Parameters
    ----------
    store, name
        The store, and a folder in it.
    scores
        The scores; all matrices have one shape.
    facts
        Everything that they depend on, as JSON values.
    record
        Further JSON values.
    """
    longest = {
        column: f"U{values.str.len().max()}"
        for column, values in scores.table.items()
        if pd.api.types.is_string_dtype(values.dtype)
    }
    table = np.asarray(scores.table.to_records(index=False, column_dtypes=longest))
    matrices = np.stack([*scores.matrices.values()])
    store.write(f"{name}/matrices", matrices, facts, {"models": [*scores.matrices]})
    store.write(
        f"{name}/table", table, facts, {"record": dict(record)}
    )  # the last file


def stored_scores(
    store: ArrayStore, name: str, facts: Mapping[str, Any]
) -> tuple[Scores, Mapping[str, Any]] | None:
    """Return the scores and the record that `store_scores` wrote; None without those facts."""
    if not (store.has(f"{name}/table", facts) and store.has(f"{name}/matrices", facts)):
        return None
    stored = store.read(f"{name}/table")
    table = pd.DataFrame(
        {column: stored[column] for column in stored.dtype.names or ()}
    )
    models = store.notes(f"{name}/matrices")["models"]
    matrices = dict(zip(models, store.read(f"{name}/matrices"), strict=True))
    return Scores(table, matrices), store.notes(f"{name}/table")["record"]


def ceilings(
    people: Sequence[Person],
    contrasts: Sequence[str],
    here: NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """Return the reliability of measured maps, and the noise ceilings that follow from it.

    Even a perfect prediction of a person's true map correlates with a measured map by no more than
    the square root of the reliability, which is the r between two measurements (Spearman 1904,
    Am. J. Psychol. 15: 72). The same holds for deviations from the mean, and so for residual r.

    Parameters
    ----------
    people
        People with one or two sessions of measured maps (contrasts, voxels); only those with two
        are used. Voxels missing in one of a person's maps are left out of that person's r.
    contrasts
        Labels of the contrasts, in their order.
    here
        (voxels,), which voxels count; None: all.

    Returns
    -------
    pandas.DataFrame
        One row per contrast that somebody has twice: contrast, retest_people, reliability, ceiling,
        residual_reliability, residual_ceiling.
    """
    of = slice(None) if here is None else here
    rows = []
    for q, contrast in enumerate(contrasts):
        pairs = [
            tuple(session[q][of] for session in person.sessions[:2])
            for person in people
            if len(person.sessions) > 1
        ]
        found = np.array(_agreement(pairs), np.float64).reshape(-1, 2)
        found = found[np.isfinite(found[:, 0])]
        if not len(found):
            continue
        known = np.isfinite(found[:, 1])
        residual = found[known, 1].mean() if known.any() else np.nan
        rows.append((contrast, len(found), found[:, 0].mean(), residual))
    names = ["contrast", "retest_people", "reliability", "residual_reliability"]
    table = pd.DataFrame(rows, columns=names)
    table.insert(3, "ceiling", table["reliability"].clip(lower=0) ** 0.5)
    return table.assign(
        residual_ceiling=table["residual_reliability"].clip(lower=0) ** 0.5
    )


def _agreement(pairs: Sequence[tuple[Maps, ...]]) -> list[tuple[float, float]]:
    """Return r and residual r between the two maps (voxels,) of each person."""
    places = pairs[0][0].shape if pairs else (0,)
    total, count = np.zeros((2, *places)), np.zeros(places, np.intp)
    for pair in pairs:
        both = np.isfinite(pair).all(axis=0)
        total += np.where(both, pair, 0.0)
        count += both
    # With one person only, the mean would be that person's own map.
    means = np.where(count > 1, total / np.maximum(count, 1), np.nan)
    return [
        (float(correlation(*values)), float(correlation(*(values - means))))
        for values in (np.array(pair, np.float64) for pair in pairs)
    ]


def _dice(
    predicted: Maps, measured: Maps, here: slice | NDArray[np.bool_]
) -> list[float]:
    """Return each person's area under the Dice curve, over the voxels of both maps."""
    found = []
    for pair in zip(predicted, measured, strict=True):
        p, m = (maps[here] for maps in pair)
        known = np.isfinite(m) & np.isfinite(p)
        found.append(
            float(dice_auc(p[known][None], m[known][None])[0]) if known.any() else 0.0
        )
    return found
