"""Scores of models as one table: one row per model, contrast and person, one column per score.

The mean over people of a column is the model's score. The spread over people is valid for intervals
and tests, even if a person's score depends on the others (`score_people`). Tables,
comparisons and tests are computed from this table (`bids_dtg.contrasts.judging.tables`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bids_dtg.array_types import Float64, Floats, Indices, Mask
from bids_dtg.contrasts.judging.people_scores import score_people
from bids_dtg.contrasts.people import Person
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.stats.correlation import correlation
from bids_dtg.stats.metrics import dice_auc

# What a model is compared with, by its name in tables.
GROUP_AVERAGE = "group average"
LINEAR = "linear (Tavor)"
RETEST = "retest"
BEFORE = "before tuning"
OWN_MEAN = "own mean prediction"
ANOTHER = "another person's prediction"
ALL_PLACES = "all"
LEFT_RIGHT = "left minus right"  # part of `judging.asymmetry`
_KEYS = ["contrast", "person"]
# Scores that compare a person with others; not defined if each person has a model of their own,
# fitted on all the others.
INDIVIDUALITY = (
    "own_mean_r",
    "others_r",
    "index",
    "product",
    "residual_r",
    "residual_r_training_mean",
    "identification",
    "fingerprint",
    "own_index",
    "own_product",
    "own_residual_r",
    "own_identification",
)


class Scores(NamedTuple):
    """Scores of models on the same people."""

    # Columns: model, part, contrast, person, family, group (fold of a cross-validation; 0: none)
    # and scores. A person without a measured or predicted map of a contrast has no row for it.
    table: pd.DataFrame
    # By model, (contrasts, measured, predicted people); NaN: none.
    matrices: Mapping[str, Float64]

    def of(self, model: str, part: str = ALL_PLACES) -> pd.DataFrame:
        """Return the scores of a model over a part of the voxels, by contrast and person."""
        rows = (self.table["model"] == model) & (self.table["part"] == part)
        return self.table[rows].set_index(_KEYS)

    @property
    def models(self) -> list[str]:
        """Names of the models, in order."""
        return list(self.table["model"].unique())


def score_maps(
    name: str,
    predicted: Floats,
    measured: Floats,
    training_mean: Floats | None = None,
    families: Indices | None = None,
    *,
    labels: tuple[Sequence[str], Sequence[str]] | None = None,
    here: Mask | None = None,
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
    >>> scores = score_maps("itself", measured, measured)
    >>> len(scores.table), float(scores.table["identification"].mean())
    (16, 1.0)
    """
    people_number, contrasts_number, _ = measured.shape
    people, contrasts = labels or (
        [str(person) for person in range(people_number)],
        [str(row) for row in range(contrasts_number)],
    )
    counted = slice(None) if here is None else here
    family = np.arange(people_number) if families is None else families
    tables = []
    matrices = np.full((contrasts_number, people_number, people_number), np.nan)
    for row, contrast in enumerate(contrasts):
        p, m = predicted[:, row], measured[:, row]  # (people, voxels)
        counts = np.flatnonzero(_has_values(p, counted) & _has_values(m, counted))
        if not counts.size:
            continue
        if len(counts) < people_number:
            p, m = predicted[counts, row], measured[counts, row]
        mean = None if training_mean is None else training_mean[row]
        matrix, scores = score_people(p, m, mean, families=family[counts], here=here)
        matrices[row][np.ix_(counts, counts)] = matrix
        columns = {
            "contrast": contrast,
            "person": [people[int(person)] for person in counts],
            "family": family[counts],
            **scores,
            "dice": _dice(p, m, counted),
        }
        tables.append(pd.DataFrame(columns))
    table = pd.concat(tables, ignore_index=True)
    table.insert(0, "model", name)
    table.insert(1, "part", ALL_PLACES)
    table.insert(2, "group", 0)
    return Scores(table, {name: matrices})


def _has_values(maps: Floats, counted: slice | Mask) -> Mask:
    """Return whose maps (people, voxels) have a finite value among the voxels that count."""
    return np.array([np.isfinite(person_map[counted]).any() for person_map in maps])


def with_derived(scores: Scores) -> Scores:
    """Append two derived models: the model's own mean prediction and another person's prediction.

    The own mean prediction is one map for everybody, the mean over all people who count for a
    contrast. The r of another person's prediction is averaged over people of other families.
    """
    columns = [*INDIVIDUALITY, "dice"]
    plain = scores.table.drop(columns=columns)
    own_mean = plain.assign(model=OWN_MEAN, r=scores.table["own_mean_r"])
    another = plain.assign(model=ANOTHER, r=scores.table["others_r"])
    table = pd.concat([scores.table, own_mean, another], ignore_index=True)
    return Scores(table, scores.matrices)


def without_individuality(scores: Scores) -> Scores:
    """Remove individual scores, for a model fitted separately for each person on all the others."""
    return Scores(scores.table.assign(**dict.fromkeys(INDIVIDUALITY, np.nan)), {})


def join(several: Sequence[Scores]) -> Scores:
    """Return the scores of several models on the same people."""
    table = pd.concat([scores.table for scores in several], ignore_index=True)
    matrices: dict[str, Float64] = {}
    for scores in several:
        matrices |= scores.matrices
    return Scores(table, matrices)


def join_groups(groups: Sequence[Scores], rows: Sequence[Sequence[int]]) -> Scores:
    """Join the scores of several groups of people, each scored within the group.

    Models that are missing in a group are left out. Matrices are NaN between people of different
    groups, because different fits predicted them.

    Parameters
    ----------
    groups
        The scores of each group.
    rows
        Of each group, the rows of its people in the joined matrices.

    Examples
    --------
    >>> import numpy as np
    >>> measured = np.random.default_rng(0).standard_normal((8, 2, 500))
    >>> halves = [score_maps("itself", half, half) for half in (measured[:3], measured[3:])]
    >>> scores = join_groups(halves, [[0, 2, 4], [1, 3, 5, 6, 7]])
    >>> len(scores.table), int(np.isnan(scores.matrices["itself"][0]).sum())
    (16, 30)
    """
    names = [
        name
        for name in groups[0].models
        if all(name in group.models for group in groups)
    ]
    tables, families = [], 0
    for number, group in enumerate(groups, 1):
        # No family is in two groups.
        family = group.table["family"] + families
        table = group.table.assign(group=number, family=family)
        families = int(table["family"].max()) + 1
        tables.append(table[table["model"].isin(names)])
    table = pd.concat(tables, ignore_index=True)
    order = {name: number for number, name in enumerate(names)}
    # Keep each model's rows together, as in scores without folds.
    table = table.sort_values(
        "model", key=lambda models: models.map(order), kind="stable"
    )
    matrices = {
        name: _joined([group.matrices[name] for group in groups], rows)
        for name in names
        if name in groups[0].matrices
    }
    return Scores(table, matrices)


def _joined(blocks: Sequence[Float64], rows: Sequence[Sequence[int]]) -> Float64:
    """Return matrices (contrasts, people, people) of groups as one, NaN between groups."""
    people = sum(map(len, rows))
    joined = np.full((len(blocks[0]), people, people), np.nan)
    for group_rows, block in zip(rows, blocks, strict=True):
        joined[:, np.array(group_rows)[:, None], group_rows] = block
    return joined


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
    # The last file: without it, the others do not count.
    store.write(f"{name}/table", table, facts, {"record": dict(record)})


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
    here: Mask | None = None,
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
    counted = slice(None) if here is None else here
    with_retest = [person for person in people if len(person.sessions) > 1]
    rows = []
    for row, contrast in enumerate(contrasts):
        pairs = [
            (person.sessions[0][row][counted], person.sessions[1][row][counted])
            for person in with_retest
        ]
        agreement = np.array(_agreement(pairs), np.float64).reshape(-1, 2)
        r, residual_r = agreement[np.isfinite(agreement[:, 0])].T
        if not len(r):
            continue
        residual_r = residual_r[np.isfinite(residual_r)]
        mean_residual_r = residual_r.mean() if len(residual_r) else np.nan
        rows.append((contrast, len(r), r.mean(), mean_residual_r))
    names = ["contrast", "retest_people", "reliability", "residual_reliability"]
    table = pd.DataFrame(rows, columns=names)
    table.insert(3, "ceiling", table["reliability"].clip(lower=0) ** 0.5)
    return table.assign(
        residual_ceiling=table["residual_reliability"].clip(lower=0) ** 0.5
    )


def _agreement(pairs: Sequence[tuple[Floats, Floats]]) -> list[tuple[float, float]]:
    """Return r and residual r between the two maps (voxels,) of each person."""
    places = pairs[0][0].shape if pairs else (0,)
    total, count = np.zeros((2, *places)), np.zeros(places, np.intp)
    for pair in pairs:
        in_both = np.isfinite(pair).all(axis=0)
        total += np.where(in_both, pair, 0.0)
        count += in_both
    # With one person only, the mean would be that person's own map.
    means = np.where(count > 1, total / np.maximum(count, 1), np.nan)
    agreement = []
    for pair in pairs:
        maps = np.array(pair, np.float64)
        r, residual_r = correlation(*maps), correlation(*(maps - means))
        agreement.append((float(r), float(residual_r)))
    return agreement


def _dice(predicted: Floats, measured: Floats, counted: slice | Mask) -> list[float]:
    """Return each person's area under the Dice curve, over the voxels of both maps."""
    areas = []
    for predicted_map, measured_map in zip(predicted, measured, strict=True):
        p, m = predicted_map[counted], measured_map[counted]
        in_both = np.isfinite(m) & np.isfinite(p)
        area = 0.0
        if in_both.any():
            area = float(dice_auc(p[in_both][None], m[in_both][None])[0])
        areas.append(area)
    return areas
