"""Who is trained on, validated on and tested on: drawn, or taken from a table, and kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from bids_dtg.bundles.bundle import ModelBundle
from bids_dtg.errors import SettingsError
from bids_dtg.inputs.splits_file import read_sets, write_sets
from bids_dtg.notices import counted, named, say
from bids_dtg.stats.splits import SETS, Split, split_people
from bids_dtg.workflows.modelling.analysis import Analysis
from bids_dtg.workflows.modelling.cohort_plan import CohortPlan

SPLIT_FILE = "desc-split_participants.tsv"  # beside the bundle of a model
EARLIER_FILE = "desc-earlier_participants.tsv"  # likewise: training people of what it was made from


def draw_split(analysis: Analysis, labels: Sequence[str]) -> Split:
    """Take the split that was given or kept, or draw one.

    Parameters
    ----------
    analysis
        Whose folder a split may be kept in.
    labels
        Who can be used: nobody else is in a set.

    Raises
    ------
    SettingsError
        Somebody, or a family, is on two sides, or nobody is left to train on.
    """
    settings, kept = analysis.settings, analysis.folder / SPLIT_FILE
    families = analysis.families
    source = settings.modelling.split_file or (kept if kept.is_file() else None)
    try:
        if source is not None:
            found = read_sets(source, SETS)
            # Who cannot be used now is in no set; who is new is not either.
            sets = {name: [label for label in found[name] if label in labels] for name in SETS}
            split = Split(*(tuple(sets[name]) for name in SETS))
            split.require_whole_families(families)
        else:
            validation, test = (float(text) for text in settings.modelling.held_out)
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
        raise SettingsError(f"{source} has nobody to train on who can be used")
    return split


def plan_split(analysis: Analysis, plan: CohortPlan) -> Split:
    """Return the split if everybody's data can be used, and say who is in no set of a table."""
    kept = analysis.folder / SPLIT_FILE
    if analysis.settings.modelling.split_file is None and kept.is_file():
        say(f"the split is that of an earlier call: {kept}")
    split = draw_split(analysis, plan.labels)
    if others := sorted(set(plan.labels) - set(split.everybody)):
        say(f"in no set of the split: {counted(len(others), 'participant')} ({named(others)})")
    return split


def keep_split(folder: Path, split: Split) -> None:
    """Write a split, for later calls to take and for the bundle beside it to be judged by."""
    write_sets(folder / SPLIT_FILE, dataclasses.asdict(split))


def trained_on(bundle: ModelBundle) -> frozenset[str]:
    """Return whom a model was trained on here, and the models that it was made from."""
    tables = (bundle.path.parent / name for name in (SPLIT_FILE, EARLIER_FILE))
    sets = [read_sets(table, SETS) for table in tables if table.is_file()]
    return frozenset(label for chosen in sets for label in chosen["training"])


def keep_earlier(folder: Path, bundle: ModelBundle) -> None:
    """Write whom the bundle was trained on, from which the model of a folder is made."""
    labels = sorted(trained_on(bundle))
    write_sets(folder / EARLIER_FILE, {"training": labels})


def untrained(bundle: ModelBundle, labels: Sequence[str]) -> tuple[str, ...]:
    """Leave out those whom a model was trained on, where it was made by this program."""
    trained = trained_on(bundle)
    kept = tuple(label for label in labels if label not in trained)
    if len(kept) < len(labels):
        less = counted(len(labels) - len(kept), "participant")
        say(f"left out: {less}, on whom the model was trained")
    return kept
