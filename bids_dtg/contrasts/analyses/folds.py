"""Cross-validation: few people all train, and groups of them, left out in turn, judge the model.

Each group is predicted by a fit to all others, of which everything that a fit learns is learned
anew: ROI maps, ridge, coefficients and gains. A group is judged among its own people, by one fit,
as test people are: the mean map of all others lacks a person's own maps, so that predictions of
different fits differ between people by who was left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

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
Groups = tuple[tuple[str, ...], ...]  # labels of people who are left out together
_FEWEST = 2  # people of a group: they are compared with each other
_COLUMNS = (
    Column("participant_id", "Participant"),
    Column("group", "Number of the group that was left out of the fit together"),
)


def groups_in_words(groups: Groups) -> str:
    """Return the groups and their sizes in words.

    Examples
    --------
    >>> groups_in_words((("1", "2", "3"), ("4", "5")))
    '2 groups of 2 to 3 participants'
    """
    return f"{len(groups)} groups of {_range(map(len, groups))} participants"


def _range(numbers: Iterable[int]) -> str:
    low, *_, high = sorted([*numbers] * 2)
    return f"{low}" if low == high else f"{low} to {high}"


def draw_folds(cohort: Cohort, split: Split, kind: MapsKind) -> Groups:
    """Draw the groups of a cross-validation; () where a test set judges, or nothing can."""
    options, people = cohort.settings.modelling, split.training
    alone = len(split.everybody) == len(people)
    if not alone or not trains_on_all(options, len(people), needs_validation=kind.is_network):
        return ()
    return draw_groups(people, cohort.families.by_label, seed=options.seed)


def draw_groups(people: Sequence[str], families: Mapping[str, str], *, seed: int) -> Groups:
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


def judge_folds(cohort: Cohort, groups: Groups, kind: MapsKind) -> tuple[Scores, SimpleModels]:
    """Fit a kind to all but each group in turn, score it and simple models, and join the scores.

    Returns
    -------
    The scores, and what the simple models were fitted on, with sentences on it for the page.
    """
    rows = [
        {"participant_id": f"sub-{label}", "group": number}
        for number, group in enumerate(groups, 1)
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
    for number, group in enumerate(groups, 1):
        others = [person.label for person in cohort.people if person.label not in group]
        say(
            f"group {number} of {len(groups)}: {counted(len(group), 'participant')} left "
            f"out, {len(others)} fitted"
        )
        fold, split = of_fold(cohort, number), Split(tuple(others), (), ())
        work = cohort.store.root / WORK
        fitted = fit_model(kind, fold, split, folder=work, report=lambda line: None)
        sets = fold.of(others), fold.of(group)
        with one_blas_thread():
            found, simple = score_fit(fold, fitted, *sets, report=lambda line: None)
        by_group.append(found)
        records.append(simple.record)
    record = {name: [one[name] for one in records if name in one] for name in records[0]}
    people = sum(map(len, groups))
    fitted_on = [people - len(group) for group in groups]
    words = (
        f"Scores and verdicts are of cross-validation: {groups_in_words(groups)} (families "
        f"together, seed {cohort.settings.modelling.seed}) were left out in turn. A fit to the "
        f"{_range(fitted_on)} others, with all that it chooses, predicted each group, and people "
        f"are compared within their group alone. The model in the bundle is a fit to all {people}. "
        "Each participant is tested, and trains the others' predictions: intervals and p of "
        "differences count differences as varying \N{SQUARE ROOT}2 times as much as they do. "
        "Simple models were fitted like the model."
    )
    return join_groups(by_group), SimpleModels({}, record, min(fitted_on), words=words)
