"""Simulated people as datasets: fMRIPrep-like derivatives, measured maps and the truth."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.phantom.bold import draw_run
from bids_dtg.contrasts.phantom.model import Person, Phantom
from bids_dtg.contrasts.phantom.phenotype import Phenotype, phenotype
from bids_dtg.contrasts.phantom.tasks import CONTRASTS
from bids_dtg.files.text import write_json, write_tsv
from bids_dtg.phantom.derivatives import DESCRIP, describe_dataset, marks, save, write_series
from bids_dtg.phantom.streams import Cohort

Array = NDArray[np.float32]
Stage = Callable[[str, float], None]  # the current step, and the share that is done

SESSIONS = ("test", "retest")
SPACE = "MNI152NLin6Asym"
# Contents of the datasets, by folder.
CONTENTS = {
    "fmriprep": "resting-state BOLD, as fMRIPrep leaves it",
    "statmaps": "measured task contrast maps, two sessions",
    "truth": "task contrast maps without measurement noise",
}
_IGNORE = "*_statmap.*\nstatmap.json\n*_timeseries.*\n"  # not in the validator's schema


@dataclass(frozen=True)
class RunPlan:
    """Length and sampling of the resting run of each participant."""

    frames: int = 300
    repetition_time_s: float = 1.5  # seconds a frame

    def __post_init__(self) -> None:
        if self.frames < 50 or not 0.2 <= self.repetition_time_s <= 10:
            raise ValueError(
                "a run has 50 frames or more of 0.2 to 10 s, not "
                f"{self.frames} of {self.repetition_time_s:g} s"
            )


def participant_label(index: int) -> str:
    """Return the label of a cohort's person, which shows that the person is simulated.

    Examples
    --------
    >>> participant_label(0)
    'sim001'
    """
    return f"sim{index + 1:03d}"


def dataset_name(phantom: Phantom, cohort: int, content: str) -> str:
    """Return the name of a dataset: cohorts have the same labels for different people."""
    known = {member.value: member.name.lower() for member in Cohort}
    whose = f"seed {phantom.seed}, cohort {known.get(cohort, cohort)}"
    return f"SIMULATED phantom {phantom.parameters.version}, {whose}: {content}"


def describe_datasets(
    out: Path,
    phantom: Phantom,
    people: Sequence[Person],
    *,
    plan: RunPlan,
    generator: dict[str, Any],
) -> None:
    """Write the descriptions and participant tables of three datasets in a folder.

    `out/fmriprep` has one resting run for each participant; `out/statmaps` the measured
    contrast maps of two sessions; `out/truth` the maps without noise.

    Parameters
    ----------
    out
        Output folder; made if needed.
    phantom, people
        The population, and the people to write.
    plan
        Length and sampling of the resting runs.
    generator
        Entry of `GeneratedBy` in the descriptions.
    """
    recipe = {
        "PhantomSeed": phantom.seed,
        "PhantomVersion": phantom.parameters.version,
        "PhantomParameters": phantom.parameters.hash,
        "Frames": plan.frames,
        "RepetitionTime": plan.repetition_time_s,
    }
    for name, content in CONTENTS.items():
        root = out / name
        describe_dataset(
            root,
            name=dataset_name(phantom, people[0].cohort, content),
            content=content,
            generator=generator,
            recipe=recipe,
            ignored=_IGNORE,
        )
        _write_participants(root, people)
    for name in ("statmaps", "truth"):
        units = {"Units": "z", "SpatialReference": SPACE, **marks()}
        write_json(out / name / "statmap.json", {"Description": CONTENTS[name], **units})


def write_participant(out: Path, person: Person, *, plan: RunPlan, stage: Stage) -> None:
    """Write all files of a participant; the same person and plan give the same bytes.

    Parameters
    ----------
    out
        Output folder, as in `describe_datasets`.
    person
        A person of a phantom.
    plan
        Length and sampling of the resting run.
    stage
        Receives the current step.
    """
    stage("resting run", 0.0)
    write_run(out / "fmriprep", person, plan)
    for session, name in enumerate(SESSIONS):
        stage(f"task maps, {name} session", 0.4 + 0.2 * session)
        _write_maps(out / "statmaps", person, person.measured_maps(session), name)
    stage("true maps", 0.8)
    _write_maps(out / "truth", person, person.true_maps(), None)


def write_run(root: Path, person: Person, plan: RunPlan) -> None:
    """Write a participant's resting run: BOLD, brain mask, confounds and their sidecars."""
    run = draw_run(person, plan.frames, plan.repetition_time_s)
    write_series(root, run, {"sub": participant_label(person.index), "task": "rest"})


def _write_maps(root: Path, person: Person, maps: Array, session: str | None) -> None:
    """Write a participant's 47 maps; without a session, the noise-free truth."""
    places = person.phantom.anatomy.places
    for contrast, values in zip(CONTRASTS, maps, strict=True):
        entities = {
            "sub": participant_label(person.index),
            "ses": session,
            "task": contrast.task.lower(),
            "space": SPACE,
            "res": places.grid.resolution,
            "contrast": contrast.label,
            "stat": "z",
            "desc": "truth" if session is None else None,
        }
        data = places.encode(values, intent="z score", description=DESCRIP)
        save(root, entities, "statmap", ".nii.gz", data)


def _write_participants(root: Path, people: Sequence[Person]) -> None:
    names = [field.name for field in dataclasses.fields(Phenotype)]
    rows = [
        (f"sub-{participant_label(person.index)}", *dataclasses.astuple(phenotype(person)))
        for person in people
    ]
    write_tsv(root / "participants.tsv", ["participant_id", *names], rows)
    score = "simulated score, mean 100 and sd 15 in the population"
    write_json(
        root / "participants.json",
        {
            "age": {"Description": "simulated age", "Units": "year"},
            "sex": {"Description": "simulated sex", "Levels": {"F": "female", "M": "male"}},
            "reasoning": {"Description": f"{score}; traits explain 60 % of its variance"},
            "vigilance": {"Description": f"{score}; traits explain 30 % of its variance"},
        },
    )


def cut_run(folder: Path, person: Person) -> None:
    """Cut a participant's BOLD file in half, as after an interrupted transfer."""
    label = participant_label(person.index)
    (bold,) = folder.glob(f"fmriprep/sub-{label}/func/*_desc-preproc_bold.nii.gz")
    with bold.open("r+b") as file:
        file.truncate(bold.stat().st_size // 2)
