"""Training, validation and test sets of participants, and groups (folds) of a cross-validation.

Sets are drawn, or read from a table, and stored. With few people, everybody trains, and the model
is scored by cross-validation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from bids_dtg.cohort.recognised_participants import copies_in_words
from bids_dtg.cohort.splits import outside_split, read_split
from bids_dtg.contrasts.analyses.cohort import CohortFiles, CohortPlan
from bids_dtg.errors import SettingsError
from bids_dtg.inputs.participants import write_sets
from bids_dtg.notices import say
from bids_dtg.stats.splits import Split, fold_people, split_people

# Stored next to a model's bundle, for `--split-file`; the bundle itself lists people as hashes.
SPLIT_FILE = "desc-split_participants.tsv"
_SHARE = 0.1  # of the people for validation, and the same for test
FEW = 40  # with fewer people, nobody is held out (if the kind needs no validation)
_LEAST_GROUPS, _GROUP_SIZE = 4, 5  # usually
_SMALLEST_GROUP = 2  # because its people are compared with each other
Groups = tuple[tuple[str, ...], ...]  # labels of people who are left out together


def draw_split(files: CohortFiles) -> Split:
    """Read the given split of the usable people, or that in the analysis's folder, or draw one.

    If the kind of model needs no validation people, they train too; with few people, everybody
    trains (`trains_on_all`).

    Raises
    ------
    SettingsError
        A person or family is in two sets, or no training people are left.
    """
    plan, labels = files.plan, files.labels
    options, families = plan.settings.modelling, files.families.by_label
    stored = plan.results.path / SPLIT_FILE
    source = options.split_file or (stored if stored.is_file() else None)
    if source is not None:
        # People who cannot be used now are dropped; people who are new are in no set.
        split = read_split(source, labels, families)
    else:
        plan.table_families.require_known()
        try:
            split = split_people(
                labels,
                validation=_SHARE if plan.kind.needs_validation else 0.0,
                test=0.0 if trains_on_all(plan, len(labels)) else _SHARE,
                seed=options.seed,
                families=families,
            )
        except ValueError as err:
            raise SettingsError(f"the split: {err}") from err
    if not split.training:
        raise SettingsError(
            f"{source} has no training participant with usable data",
            expected=f"labels of people with rest and maps, such as {', '.join(labels[:5])}",
        )
    return split


def store_split(files: CohortFiles) -> Split:
    """Do what `draw_split` does, and write the split, so that later runs use it."""
    split = draw_split(files)
    write_sets(files.plan.results.add(SPLIT_FILE), dataclasses.asdict(split))
    return split


def trains_on_all(plan: CohortPlan, people: int) -> bool:
    """Return whether everybody trains and cross-validation scores the model.

    With few people, a test set gives no verdict and leaves too few to train on.
    """
    is_given = plan.settings.modelling.split_file is not None
    return not (plan.kind.needs_validation or is_given) and people < FEW


def plan_split(files: CohortFiles) -> Split:
    """Return the split, assuming that everybody's data can be used; report the families."""
    say_families(files)
    split = draw_split(files)
    say(*outside_split(split, files.labels))
    return split


def sets_of(split: Split) -> dict[str, tuple[str, ...]]:
    """Return the sets of a split by their use."""
    return {"train": split.training, "validate": split.validation, "test": split.test}


def say_families(files: CohortFiles) -> None:
    """Report the number of families, or that none are known, and people with the same rest."""
    say(files.plan.table_families.line(files.labels))
    say(*copies_in_words(files.families, files.sketches))


def groups_in_words(groups: Groups) -> str:
    """Return the groups and their sizes in words.

    Examples
    --------
    >>> groups_in_words((("1", "2", "3"), ("4", "5")))
    '2 groups of 2 to 3 participants'
    """
    return f"{len(groups)} groups of {range_of([*map(len, groups)])} participants"


def range_of(numbers: Sequence[int]) -> str:
    """Write a range of numbers as "2 to 3", or as one number if all are equal."""
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low} to {high}"


def draw_folds(files: CohortFiles, split: Split) -> Groups:
    """Draw the groups of a cross-validation; () if a test set is used or people are too few."""
    plan, people = files.plan, split.training
    if not trains_on_all(plan, len(people)) or len(people) < len(split.everybody):
        return ()
    seed, families = plan.settings.modelling.seed, files.families.by_label
    return draw_groups(people, families, plan.kind.fewest_people, seed=seed)


def draw_groups(
    people: Sequence[str], families: Mapping[str, str], fewest: int, *, seed: int
) -> Groups:
    """Draw groups with enough people in each group and in each fit; () if that is impossible.

    `fewest` is how many people a fit needs.

    Examples
    --------
    >>> labels = [f"{n:02d}" for n in range(39)]
    >>> [[len(group) for group in draw_groups(labels[:n], {}, 5, seed=0)] for n in (7, 8, 20)]
    [[], [2, 2, 2, 2], [5, 5, 5, 5]]
    >>> draw_groups(labels, dict.fromkeys(labels, "one family"), 5, seed=0)
    ()
    """
    usual = max(_LEAST_GROUPS, len(people) // _GROUP_SIZE)
    most = min(len(people) // _SMALLEST_GROUP, usual)
    for number in range(most, 1, -1):
        try:
            groups = fold_people(people, number, seed=seed, families=families)
        except ValueError:  # all of one family
            return ()
        sizes = [len(group) for group in groups]
        if min(sizes) >= _SMALLEST_GROUP and len(people) - max(sizes) >= fewest:
            return groups
    return ()
