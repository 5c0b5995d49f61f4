"""Who is trained on, validated on and tested on: drawn, or taken from a table, and kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from bids_dtg.cohort.result_folder import ResultFolder
from bids_dtg.contrasts.analyses.analysis import Analysis
from bids_dtg.contrasts.analyses.cohort_plan import CohortPlan
from bids_dtg.errors import SettingsError
from bids_dtg.inputs.splits_file import read_sets, write_sets
from bids_dtg.notices import counted, named, say
from bids_dtg.stats.splits import SETS, Split, split_people

# Beside the bundle of a model, for `--split-file`; the bundle itself knows whom it has seen.
SPLIT_FILE = "desc-split_participants.tsv"


_SHARES = (0.1, 0.1)  # for validation and test, where --held-out is not given
_FEWEST_DIVIDED = 10  # people, where a kind needs no validation


def draw_split(
    analysis: Analysis, labels: Sequence[str], *, needs_validation: bool = True
) -> Split:
    """Take the split that was given or kept, or draw one.

    Parameters
    ----------
    analysis
        Whose folder a split may be kept in.
    labels
        Who can be used: nobody else is in a set.
    needs_validation
        Whether people must be held out to choose by. Else these train too if no shares were given,
        and of a few people everybody does.

    Raises
    ------
    SettingsError
        Somebody, or a family, is on two sides, or nobody is left to train on.
    """
    settings, kept = analysis.settings, analysis.folder / SPLIT_FILE
    families = analysis.families.by_label
    source = settings.modelling.split_file or (kept if kept.is_file() else None)
    try:
        if source is not None:
            found = read_sets(source, SETS)
            # Who cannot be used now is in no set; who is new is not either.
            sets = {name: [label for label in found[name] if label in labels] for name in SETS}
            split = Split(**{name: tuple(labels) for name, labels in sets.items()})
            split.require_whole_families(families)
        else:
            analysis.families.require_known()
            validation, test = tuple(float(text) for text in settings.modelling.held_out) or _SHARES
            if not needs_validation and not settings.modelling.held_out:
                validation = 0.0
                test = test if len(labels) >= _FEWEST_DIVIDED else 0.0
            split = split_people(
                labels,
                validation=validation,
                test=test,
                seed=settings.modelling.seed,
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


def plan_split(analysis: Analysis, plan: CohortPlan, *, needs_validation: bool = True) -> Split:
    """Return the split if everybody's data can be used; say how many families there are."""
    kept = analysis.folder / SPLIT_FILE
    if analysis.settings.modelling.split_file is None and kept.is_file():
        say(f"the split is that of an earlier call: {kept}")
    say_families(analysis, plan.labels)
    split = draw_split(analysis, plan.labels, needs_validation=needs_validation)
    if others := sorted(set(plan.labels) - set(split.everybody)):
        say(f"in no set of the split: {counted(len(others), 'participant')} ({named(others)})")
    return split


def sets_of(split: Split) -> dict[str, tuple[str, ...]]:
    """Return the sets of a split by what they are used for."""
    return {"train": split.training, "validate": split.validation, "test": split.test}


def keep_split(results: ResultFolder, split: Split) -> None:
    """Write a split, for later calls to take."""
    write_sets(results.add(SPLIT_FILE), dataclasses.asdict(split))


def say_families(analysis: Analysis, labels: Sequence[str]) -> None:
    """Say how many families some people have, or that none are known."""
    say(analysis.families.line(labels))
