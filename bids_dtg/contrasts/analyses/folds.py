"""Cross-validation: few people all train, and groups of them, left out in turn, judge the model.

Each group is predicted by a fit to all others, of which everything that a fit learns is learned
anew: ROI maps, ridge, coefficients and gains. A group is judged among its own people, by one fit,
as test people are: the mean map of all others lacks a person's own maps, so that predictions of
different fits differ between people by who was left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bids_dtg.cohort.column import Column
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.contrasts.analyses.baselines import SimpleModels
from bids_dtg.contrasts.analyses.cohort import FOLDS, WORK, Cohort
from bids_dtg.contrasts.analyses.fit import fit_model
from bids_dtg.contrasts.analyses.judge import score_fit
from bids_dtg.contrasts.analyses.reading import of_fold
from bids_dtg.contrasts.analyses.splits import trains_on_all
from bids_dtg.contrasts.bundle.kinds import MapsKind
from bids_dtg.contrasts.judging.scores import Scores, join_groups
from bids_dtg.contrasts.linear import FEWEST_PEOPLE
from bids_dtg.engine.machine import one_blas_thread
from bids_dtg.notices import counted, say
from bids_dtg.stats.splits import Split, fold_people

_GROUPS, _PEOPLE = 4, 5  # groups at least where there are people enough, and people of a group
_FEWEST = 2  # people of a group: they are compared with each other
_COLUMNS = (
    Column("participant_id", "Participant"),
    Column("group", "Number of the group that was left out of the fit together"),
)


@dataclass(frozen=True)
class Folds:
    """Groups of people, each to be predicted by a fit to all others."""

    groups: tuple[tuple[str, ...], ...]  # labels
    seed: int  # of the draw

    @property
    def people(self) -> int:
        """How many people there are."""
        return sum(map(len, self.groups))

    @property
    def fitted_on(self) -> tuple[int, ...]:
        """On how many people each fit rests."""
        return tuple(self.people - len(group) for group in self.groups)

    @property
    def words(self) -> str:
        """The groups and their sizes in words.

        Examples
        --------
        >>> Folds((("1", "2", "3"), ("4", "5")), seed=0).words
        '2 groups of 2 to 3 participants'
        """
        sizes = sorted(map(len, self.groups))
        of = f"{sizes[0]}" if sizes[0] == sizes[-1] else f"{sizes[0]} to {sizes[-1]}"
        return f"{len(self.groups)} groups of {of} participants"

    @property
    def lead(self) -> str:
        """Describe for the page what was judged, and what its intervals and p count."""
        fewest, most = min(self.fitted_on), max(self.fitted_on)
        others = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        return (
            f"Scores and verdicts are of cross-validation: {self.words} (families together, seed "
            f"{self.seed}) were left out in turn. A fit to the {others} others, with all that it "
            "chooses, predicted each group, and people are compared within their group alone. The "
            f"model in the bundle is a fit to all {self.people}. Each participant is tested, and "
            "trains the others' predictions: intervals and p of differences count differences as "
            "varying \N{SQUARE ROOT}2 times as much as they do."
        )

    def to_json(self) -> dict[str, Any]:
        """Return the key `cross_validation` of scores and card."""
        sizes = [len(group) for group in self.groups]
        return {"cross_validation": {"groups": sizes, "seed": self.seed, "families": "together"}}


def draw_folds(cohort: Cohort, split: Split, kind: MapsKind) -> Folds | None:
    """Draw the groups of a cross-validation; None where a test set judges, or nothing can."""
    options, people = cohort.settings.modelling, split.training
    alone = len(split.everybody) == len(people)
    if not alone or not trains_on_all(options, len(people), needs_validation=kind.is_network):
        return None
    groups = draw_groups(people, cohort.families.by_label, seed=options.seed)
    return Folds(groups, options.seed) if groups else None


def draw_groups(
    people: Sequence[str], families: Mapping[str, str], *, seed: int
) -> tuple[tuple[str, ...], ...]:
    """Draw as many groups as leave each two people, and each fit enough; () where none do.

    Examples
    --------
    >>> labels = [f"{n:02d}" for n in range(39)]
    >>> [[len(group) for group in draw_groups(labels[:n], {}, seed=0)] for n in (7, 8, 20, 39)]
    [[], [2, 2, 2, 2], [5, 5, 5, 5], [6, 6, 6, 6, 5, 5, 5]]
    """
    most = min(len(people) // _FEWEST, max(_GROUPS, len(people) // _PEOPLE))
    for number in range(most, 1, -1):
        try:
            groups = fold_people(people, number, seed=seed, families=families)
        except ValueError:  # all of one family
            return ()
        sizes = [len(group) for group in groups]
        if min(sizes) >= _FEWEST and len(people) - max(sizes) >= FEWEST_PEOPLE:
            return groups
    return ()


def judge_folds(cohort: Cohort, folds: Folds, kind: MapsKind) -> tuple[Scores, SimpleModels]:
    """Fit a kind to all but each group in turn, score it and simple models, and join the scores.

    Returns
    -------
    The scores, and what the simple models were fitted on.
    """
    rows = [
        {"participant_id": f"sub-{label}", "group": number}
        for number, group in enumerate(folds.groups, 1)
        for label in group
    ]
    table = ResultTable(
        _COLUMNS,
        rows,
        "Groups of the cross-validation: a row a participant, in the order of the matrices",
    )
    cohort.results.table(FOLDS, table)
    by_group: list[Scores] = []
    records = []
    for number, group in enumerate(folds.groups, 1):
        others = [person.label for person in cohort.people if person.label not in group]
        say(
            f"group {number} of {len(folds.groups)}: {counted(len(group), 'participant')} left "
            f"out, {len(others)} fitted"
        )
        fold, split = of_fold(cohort, number), Split(tuple(others), (), ())
        work = cohort.store.root / WORK
        fitted = fit_model(kind, fold, split, folder=work, report=lambda line: None)
        people = fold.of(others), fold.of(group)
        with one_blas_thread():
            found, simple = score_fit(fold, fitted, *people, report=lambda line: None)
        by_group.append(found)
        records.append(simple.record)
    record = {name: [one[name] for one in records if name in one] for name in records[0]}
    return join_groups(by_group), SimpleModels({}, record, min(folds.fitted_on))
