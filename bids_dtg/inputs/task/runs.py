"""Task runs of fMRIPrep, each with its event file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_dtg.files.names import BidsName, parse_name
from bids_dtg.files.sidecars import applies_to
from bids_dtg.inputs.dataset import InputDataset, raw_places
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.runs import find_runs
from bids_dtg.inputs.selection import STORAGE, Selection
from bids_dtg.inputs.space_choice import SpaceRule


@dataclass(frozen=True)
class TaskRun:
    """One run of a task, as files."""

    run: RestRun  # series, mask and confounds
    events: Path | None  # its event file; None: there is none


def find_task_runs(
    dataset: InputDataset, participant: str, selection: Selection, space: str
) -> tuple[TaskRun, ...]:
    """Find a participant's runs of a task in a template's space, sorted by name.

    Event files are looked for in BIDS_DIR, in the derivatives and in the raw dataset that those
    name (`DatasetLinks`) or lie in: in the folder of the run, and in those above it, whose files
    hold for all runs that have the entities of their names (the inheritance of BIDS).

    Parameters
    ----------
    dataset
        Dataset of fMRIPrep's derivatives.
    participant
        Participant's label, without `sub-`.
    selection
        The task; sessions and runs asked for.
    space
        Template, with `:res-` where there are several grids.

    Raises
    ------
    RunError
        There is no such run, none in that space, or its files are not there.
    """
    rule = SpaceRule(model=space.partition(":")[0], asked=space)
    runs = find_runs(dataset.root, participant, selection, rule=rule)
    roots = tuple(dict.fromkeys((*raw_places(dataset), dataset.root)))
    return tuple(TaskRun(run, _events_of(run, roots)) for run in runs)


def _events_of(run: RestRun, roots: Sequence[Path]) -> Path | None:
    """Return the event file of a run: the applicable one with the most entities."""
    entities = tuple(pair for pair in run.entities if pair[0] not in STORAGE)
    name = BidsName(entities, "bold", ".nii.gz")
    for root in roots:
        found = [path for path in _event_files(root, run) if _holds_for(path, name)]
        if found:
            return max(found, key=lambda path: (path.name.count("_"), len(path.parts)))
    return None


def _event_files(root: Path, run: RestRun) -> Iterator[Path]:
    person = root / f"sub-{run.participant}"
    visit = person / f"ses-{run.session}" if run.session else person
    for folder in dict.fromkeys((visit / "func", visit, person)):
        yield from sorted(folder.glob("*_events.tsv"))
    # The folder of a large dataset is not listed for each run.
    shared = root / f"task-{run.task}_events.tsv"
    if shared.is_file():
        yield shared


def _holds_for(path: Path, run: BidsName) -> bool:
    try:
        return applies_to(parse_name(path.name), run)
    except ValueError:
        return False
