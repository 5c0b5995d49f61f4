"""Who is in which set of a given split, and the folds of ``--folds``; families stay together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bids_dtg.errors import SettingsError
from bids_dtg.inputs.participants import Families, read_sets
from bids_dtg.notices import counted, named, say
from bids_dtg.settings import Settings
from bids_dtg.stats.splits import SETS, Split, fold_people

FOLDS = "folds"  # result of an evaluation by folds
HALVES = "halves"  # value of --folds: halves of each run, for the same people


def read_split(path: Path, labels: Sequence[str], families: Mapping[str, str]) -> Split:
    """Read who of some people is in which set; the table may name others, who are dropped.

    Parameters
    ----------
    path
        Table with the columns participant_id and set.
    labels
        Labels of the people who can be used, in the order of each set.
    families
        Family by label.

    Raises
    ------
    SettingsError
        The table cannot be used, names none of these people, or splits a family.
    """
    usable = {}
    for name, people in read_sets(path, SETS, labels).items():
        members = frozenset(people)
        usable[name] = tuple(label for label in labels if label in members)
    split = Split(**usable)
    try:
        split.require_whole_families(families)
    except ValueError as err:
        raise SettingsError(f"{path}: {err}") from err
    if not split.everybody:
        raise SettingsError(
            f"{path} has no usable participant",
            expected=f"labels such as {named(labels)}",
        )
    return split


def outside_split(
    split: Split, labels: Sequence[str], where: str = "the split"
) -> tuple[str, ...]:
    """Return a sentence on people who are in no set, if any; `where` names the split."""
    everybody = frozenset(split.everybody)
    left_out = [label for label in labels if label not in everybody]
    if not left_out:
        return ()
    people = counted(left_out, "participant")
    return (f"not in {where}, left out: {people} ({named(left_out)})",)


def draw_folds(
    settings: Settings, labels: Sequence[str], families: Families
) -> tuple[tuple[str, ...], ...]:
    """Draw the folds of ``--folds`` with ``--seed``, as labels; families stay together.

    With fewer families than folds, it says how many folds there are: one for each family.

    Raises
    ------
    SettingsError
        There are too few people or families.
    """
    folds = settings.statistics.folds
    assert isinstance(folds, int)
    try:
        groups = fold_people(
            labels, folds, seed=settings.modelling.seed, families=families.by_label
        )
    except ValueError as err:
        expected = "more people, or fewer folds"
        raise SettingsError(f"--folds {folds}: {err}", expected=expected) from err
    if len(groups) < folds:
        alike = "participants" if len(groups) == len(labels) else "families"
        say(f"--folds {folds}: {len(groups)} folds, as there are no more {alike}")
    return groups
