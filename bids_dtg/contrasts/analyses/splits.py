"""Training, validation and test sets of participants, and groups of a cross-validation.

Sets are drawn, or read from a table, and stored. Few people all train, and groups of them, left out
in turn, judge the model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from bids_dtg.cohort.known_people import copies_in_words
from bids_dtg.contrasts.analyses.cohort import Cohort
from bids_dtg.contrasts.bundle.kinds import MapsKind
from bids_dtg.contrasts.linear import FEWEST_PEOPLE
from bids_dtg.errors import SettingsError
from bids_dtg.inputs.participants import read_sets, write_sets
from bids_dtg.notices import counted, named, say
from bids_dtg.settings import ModellingOptions
from bids_dtg.stats.splits import SETS, Split, fold_people, split_people

# Stored with a model's bundle, for `--split-file`; the bundle itself lists its people as hashes.
SPLIT_FILE = "desc-split_participants.tsv"
_SHARE = 0.1  # of the people, for validation and for test
FEW = 40  # people: fewer are too few to hold some out, where a kind needs no validation
_GROUPS, _PEOPLE = 4, 5  # groups at least where there are people enough, and people of a group
_FEWEST = 2  # people of a group: they are compared with each other
Groups = tuple[tuple[str, ...], ...]  # labels of people who are left out together


def draw_split(cohort: Cohort, *, needs_validation: bool = True) -> Split:
    """Read the given or stored split of the people who can be used, or draw one.

    Parameters
    ----------
    cohort
        The people; the folder of their analysis may hold a split.
    needs_validation
        Whether people must be held out to choose by. Otherwise they train too, and of few people
        everybody trains (`trains_on_all`).

    Raises
    ------
    SettingsError
        A person or family is in two sets, or no training people are left.
    """
    options, labels = cohort.settings.modelling, cohort.labels
    kept, families = cohort.results.path / SPLIT_FILE, cohort.families.by_label
    source = options.split_file or (kept if kept.is_file() else None)
    try:
        if source is not None:
            found = read_sets(source, SETS, labels)
            # People who cannot be used now, and people who are new, are in no set.
            sets = {name: [label for label in found[name] if label in labels] for name in SETS}
            split = Split(**{name: tuple(labels) for name, labels in sets.items()})
            split.require_whole_families(families)
        else:
            cohort.table_families.require_known()
            alone = trains_on_all(options, len(labels), needs_validation=needs_validation)
            split = split_people(
                labels,
                validation=_SHARE if needs_validation else 0.0,
                test=0.0 if alone else _SHARE,
                seed=options.seed,
                families=families,
            )
    except ValueError as err:
        raise SettingsError(f"{source or 'the split'}: {err}") from err
    if not split.training:
        raise SettingsError(
            f"{source} has nobody to train on who can be used",
            expected=f"labels of people with rest and maps, such as {', '.join(labels[:5])}",
        )
    return split


def kept_split(cohort: Cohort, *, needs_validation: bool = True) -> Split:
    """Do what `draw_split` does, and write the split for later calls to take."""
    split = draw_split(cohort, needs_validation=needs_validation)
    write_sets(cohort.results.add(SPLIT_FILE), dataclasses.asdict(split))
    return split


def trains_on_all(options: ModellingOptions, people: int, *, needs_validation: bool) -> bool:
    """Return whether everybody trains, so that cross-validation judges the model.

    A test set of few people gives no verdict, and the model lacks them.
    """
    return not needs_validation and options.split_file is None and people < FEW


def plan_split(cohort: Cohort, *, needs_validation: bool = True) -> Split:
    """Return the stored split if everybody's data can be used; report the number of families."""
    kept = cohort.results.path / SPLIT_FILE
    if cohort.settings.modelling.split_file is None and kept.is_file():
        say(f"the split is that of an earlier call: {kept}")
    say_families(cohort)
    split = draw_split(cohort, needs_validation=needs_validation)
    if others := sorted(set(cohort.labels) - set(split.everybody)):
        say(f"in no set of the split: {counted(len(others), 'participant')} ({named(others)})")
    return split


def sets_of(split: Split) -> dict[str, tuple[str, ...]]:
    """Return the sets of a split by what they are used for."""
    return {"train": split.training, "validate": split.validation, "test": split.test}


def say_families(cohort: Cohort) -> None:
    """Report how many families people have, or that none are known, and who has the same rest."""
    say(cohort.table_families.line(cohort.labels))
    for line in copies_in_words(cohort.families, cohort.sketches):
        say(line)


def groups_in_words(groups: Groups) -> str:
    """Return the groups and their sizes in words.

    Examples
    --------
    >>> groups_in_words((("1", "2", "3"), ("4", "5")))
    '2 groups of 2 to 3 participants'
    """
    return f"{len(groups)} groups of {range_of(map(len, groups))} participants"


def range_of(numbers: Iterable[int]) -> str:
    """Write the smallest and the largest of some numbers, as 2 to 3; one where they are equal."""
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
