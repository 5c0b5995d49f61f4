"""Six simulated people for twins: connectomes as arrays, event files in BIDS, and quick models."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from array_people import write

from bids_dtg.files.names import build_path
from bids_dtg.files.regions import RegionTable, encode_relmat
from bids_dtg.twin.phantom.files import write_twin_people
from bids_dtg.twin.phantom.people import TwinPeople, simulate_twin_people
from bids_dtg.twin.phantom.world import TrialSequence, trial_sequence
from bids_dtg.twin.trials import read_trials

PEOPLE = 6
REGIONS = 8
TRIALS = 18
LABELS = tuple(f"c0p{number:04d}" for number in range(PEOPLE))
SEEN = LABELS[:3]  # the training set of `TRAIN`
TRAIN = ("--epochs", "2", "--participant-label", *SEEN)
PARCELS = tuple(f"parcel {number}" for number in range(REGIONS))
ATLAS = {"atlas": "Tiny", "seg": "8n"}


def write_twins(
    folder: Path,
    *,
    tasks: tuple[str, ...] = ("hammerAP", "stroopAP"),
    number: int = PEOPLE,
    telling: bool = False,
) -> Path:
    """Write ``bids`` and ``connectomes.npz`` (people, places, edges) below a folder.

    `telling`: some edges say how slow people are, so that few people are enough.
    """
    people = simulate_twin_people(number, "easy", regions=REGIONS, seed=1)
    sequences = [short(name) for name in tasks]
    write_twin_people(folder, people, sequences, people.runs(sequences, seed=1))
    about = folder / "bids/dataset_description.json"
    about.write_text(json.dumps({**json.loads(about.read_text()), "Name": "tiny"}))
    arrays = edges(people)
    if telling:
        seconds = people.mean_rt_seconds("stroop").mean(axis=1)
        slowness = (seconds - seconds.mean()) / seconds.std()
        arrays["edges"][:, :9] += 0.5 * slowness[:, None]
    write(folder / "connectomes.npz", **arrays)
    return folder


def people_of(folder: Path, **options: Any) -> Any:
    """Return the people of `write_twins` as analyses read them."""
    from bids_dtg.settings import Settings
    from bids_dtg.twin.participant.twin_participants import TwinParticipants

    defaults = {
        "bids_dir": folder / "bids",
        "output_dir": folder / "out",
        "analysis_level": "group",
        "workflow": "twin",
        "analysis": "train",
        "input_arrays": (str(folder / "connectomes.npz"),),
    }
    return TwinParticipants.prepare(Settings.of(**{**defaults, **options}))


def quick_model(
    folder: Path, unseen: int, architecture: str = "lowrank", **changes: Any
) -> Any:
    """Fit a twin quickly to all people of `write_twins` but the first; return its bundle.

    `changes` are to the quick recipe.
    """
    from twin_bundle import write_tiny_twin
    from twin_runs import QUICK

    from bids_dtg.bundles.training_hashes import TrainingHashes
    from bids_dtg.twin.fitting import fit

    people = people_of(folder)
    labels = people.labels[unseen:]
    fitted = fit(
        people.source.connectomes(labels),
        people.stacked(people.runs(labels)),
        people=labels,
        architecture=architecture,
        recipe=replace(QUICK, **changes),
    )
    names = tuple(f"r{number}" for number in range(REGIONS))
    training_people = TrainingHashes.of_training("tiny", people.sketches(labels), {})
    place = folder / "-".join([architecture, *changes])
    return write_tiny_twin(
        place, fitted, training_people, regions=names, data_set="tiny"
    )


def edges(people: TwinPeople | None = None) -> dict[str, np.ndarray]:
    """Return people's connectomes as arrays; None: those that `write_twins` writes."""
    people = people or simulate_twin_people(PEOPLE, "easy", regions=REGIONS, seed=1)
    return {
        "people": np.array(people.labels),
        "places": np.array([f"r{number}" for number in range(REGIONS)]),
        "edges": people.connectomes,
    }


def short(name: str) -> TrialSequence:
    """Return the beginning of a shipped sequence."""
    sequence = trial_sequence(name)
    rows = sequence.rows[:TRIALS]
    trials = read_trials(sequence.trials.task, rows)
    return replace(sequence, trials=trials, rows=rows, lure=sequence.lure[:TRIALS])


def events_of(folder: Path, label: str, task: str = "stroopAP") -> Path:
    """Return a person's event file."""
    return (
        folder
        / "bids"
        / f"sub-{label}"
        / "func"
        / f"sub-{label}_task-{task}_run-01_events.tsv"
    )


def write_average(
    root: Path,
    label: str,
    values: np.ndarray,
    *,
    session: str | None = None,
    task: str = "rest",
    atlas: Mapping[str, str] = ATLAS,
    names: Sequence[str] = PARCELS,
    run: str | None = None,
    **facts: Any,
) -> Path:
    """Write Fisher z (edges,) as the participant level does; `facts` change the sidecar."""
    entities = {
        "sub": label,
        "ses": session,
        "task": task,
        "run": run,
        "space": "MNI6",
        **atlas,
    }
    path = root / build_path({**entities, "stat": "fisherz"}, "relmat", ".tsv")
    path.parent.mkdir(parents=True, exist_ok=True)
    matrix = np.full((len(names),) * 2, np.nan)
    above = np.triu_indices(len(names), 1)
    matrix[above] = matrix[above[::-1]] = values
    path.write_bytes(encode_relmat(RegionTable(tuple(names), matrix)))
    sidecar = {
        "Runs": [{"Run": f"sub-{label}_{session}_{run}"}],
        "Atlas": {"SHA256": "abc"},
        "InputType": "fmriprep",
        "DenoiseStrategy": "simple",
        "ResidualDegreesOfFreedom": 100.0,
        **facts,
    }
    path.with_suffix(".json").write_text(json.dumps(sidecar))
    return path


def write_sets(root: Path) -> Path:
    """Write the connectomes of `edges` as the participant level does."""
    for label, values in zip(LABELS, edges()["edges"], strict=True):
        write_average(root, label, values)
    return root


def arguments(
    folder: Path,
    out: Path,
    analysis: str,
    *options: str,
    arrays: str | None = "connectomes.npz",
) -> list[str]:
    """Return what a user gives for an analysis of these people; without arrays, of the output."""
    return [
        *(
            str(folder / "bids"),
            str(out),
            "group",
            "--workflow",
            "twin",
            "--analysis",
            analysis,
        ),
        *(("--input-arrays", str(folder / arrays)) if arrays else ()),
        *("--omp-nthreads", "1"),
        *options,
    ]
