"""Write simulated people as datasets: fMRIPrep-like derivatives, measured maps and the truth."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np

from bids_dtg.array_types import Float32
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.phantom import parameters as p
from bids_dtg.contrasts.phantom.model import Person, Phantom
from bids_dtg.files.text import read_packaged, write_json, write_text, write_tsv
from bids_dtg.phantom.run import (
    DESCRIP,
    BoldRun,
    correlated,
    describe_dataset,
    draw_motion,
    draw_nuisance,
    persistence_of,
    save,
    simulation_facts,
    write_series,
)
from bids_dtg.phantom.streams import Cohort, Purpose

Stage = Callable[[str, float], None]  # the current step, and the share that is done

SESSIONS = ("test", "retest")
SPACE = "MNI152NLin6Asym"
# Contents of the datasets, by folder.
CONTENTS = {
    "fmriprep": "resting-state BOLD, as fMRIPrep leaves it",
    "statmaps": "measured task contrast maps, two sessions",
    "truth": "task contrast maps without measurement noise",
}
_TRUTH_STEP = 2.0**-5  # z
_IGNORE = "*_statmap.*\nstatmap.json\n*_timeseries.*\n"  # not in the validator's schema


def participant_label(index: int) -> str:
    """Return a person's label, which shows that the person is simulated.

    Examples
    --------
    >>> participant_label(0)
    'sim001'
    """
    return f"sim{index + 1:03d}"


def dataset_name(phantom: Phantom, cohort: int, content: str) -> str:
    """Return a dataset's name, which tells cohorts apart (their labels are the same)."""
    cohorts = {member.value: member.name.lower() for member in Cohort}
    population = f"seed {phantom.seed}, cohort {cohorts.get(cohort, cohort)}"
    # The name is hashed in bundles' lists of people.
    return f"SIMULATED phantom 2, {population}: {content}"


def describe_datasets(
    out: Path,
    phantom: Phantom,
    people: Sequence[Person],
    *,
    frames: int,
    repetition_time_s: float,
    program: str,
    contents: Collection[str] = tuple(CONTENTS),
) -> None:
    """Write the descriptions and participant tables of datasets in a folder.

    `out/fmriprep` has one resting run per participant, `out/statmaps` the measured contrast maps of
    two sessions, and `out/truth` the maps without noise.

    Parameters
    ----------
    out
        Output folder; made if needed.
    phantom, people
        The population, and the people to write.
    frames, repetition_time_s
        Length of the resting runs, and seconds per frame.
    program
        Name of the command that writes them.
    contents
        Datasets to write, from `CONTENTS`.

    Raises
    ------
    ValueError
        The runs are too short, or sampled too fast or too slowly, for noise and cleaning.
    """
    if frames < 50 or not 0.2 <= repetition_time_s <= 10:
        raise ValueError(
            f"a run needs 50 frames or more of 0.2 to 10 s, not {frames} of {repetition_time_s:g} s"
        )
    recipe = {
        "PhantomSeed": phantom.seed,
        "Frames": frames,
        "RepetitionTime": repetition_time_s,
    }
    for name in contents:
        root, content = out / name, CONTENTS[name]
        describe_dataset(
            root,
            name=dataset_name(phantom, people[0].cohort, content),
            content=content,
            program=program,
            recipe=recipe,
            ignored=_IGNORE,
        )
        _write_participants(root, people)
    for name in {"statmaps", "truth"} & {*contents}:
        facts = {"Description": CONTENTS[name], "Units": "z", "SpatialReference": SPACE}
        write_json(out / name / "statmap.json", {**facts, **simulation_facts()})


def write_participant(
    out: Path,
    person: Person,
    *,
    frames: int,
    repetition_time_s: float,
    stage: Stage,
    contents: Collection[str],
) -> None:
    """Write all files of a participant; the same person and run give the same bytes.

    Parameters
    ----------
    out
        Output folder, as in `describe_datasets`.
    person
        A person of a phantom.
    frames, repetition_time_s
        Length of the resting run, and seconds per frame.
    stage
        Receives the current step.
    contents
        As in `describe_datasets`.
    """
    stage("resting run", 0.0)
    write_run(out / "fmriprep", person, frames, repetition_time_s)
    for session, name in enumerate(SESSIONS if "statmaps" in contents else ()):
        stage(f"task maps, {name} session", 0.4 + 0.2 * session)
        _write_maps(out / "statmaps", person, person.measured_maps(session), name)
    stage("true maps", 0.8)
    _write_maps(out / "truth", person, person.true_maps(), None)


def write_run(
    root: Path, person: Person, frames: int, repetition_time_s: float
) -> None:
    """Write a participant's resting run: BOLD, brain mask, confounds and their sidecars."""
    run = draw_run(person, frames, repetition_time_s)
    write_series(root, run, {"sub": participant_label(person.index), "task": "rest"})


def _write_maps(root: Path, person: Person, maps: Float32, session: str | None) -> None:
    """Write a participant's 47 maps; without a session, the noise-free truth."""
    places = person.phantom.anatomy.places
    for contrast, values in zip(hcp_contrasts(), maps, strict=True):
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
        header = {"intent": "z score", "description": DESCRIP}
        if session is None:  # without noise, fewer digits are enough and halve the file
            data = places.encode_steps(values, _TRUTH_STEP, **header)
        else:
            data = places.encode(values, **header)
        save(root, entities, "statmap", ".nii.gz", data)


def _write_participants(root: Path, people: Sequence[Person]) -> None:
    rows = [
        (f"sub-{participant_label(person.index)}", *phenotype(person).values())
        for person in people
    ]
    write_tsv(root / "participants.tsv", ["participant_id", *_SHARES], rows)
    text = read_packaged("bids_dtg.contrasts.phantom", "participants.json")
    write_text(root / "participants.json", text)


def cut_run(folder: Path, person: Person) -> None:
    """Cut a participant's BOLD file in half, as after an interrupted transfer."""
    label = participant_label(person.index)
    (bold,) = folder.glob(f"fmriprep/sub-{label}/func/*_desc-preproc_bold.nii.gz")
    with bold.open("r+b") as file:
        file.truncate(bold.stat().st_size // 2)


_AGE_MEAN, _AGE_SD = 28.8, 3.7  # years, as young adults of HCP
_AGE_RANGE = 22, 37
_SCORE_MEAN, _SCORE_SD = 100.0, 15.0
# Share of variance that a trait explains.
_SHARES = {"age": 0.5, "sex": 0.5, "reasoning": 0.6, "vigilance": 0.3}


def phenotype(person: Person) -> dict[str, int | float | str]:
    """Draw a person's age in years, sex and two scores, each from one trait plus noise."""
    noise = person.stream(Purpose.PHENOTYPE).standard_normal(len(_SHARES))
    shares = np.array([*_SHARES.values()])
    traits = person.traits[: len(shares)]
    scores = np.sqrt(shares) * traits + np.sqrt(1.0 - shares) * noise
    age, sex, reasoning, vigilance = scores
    return {
        "age": int(np.clip(round(_AGE_MEAN + _AGE_SD * age), *_AGE_RANGE)),
        "sex": "F" if sex > 0 else "M",
        "reasoning": round(_SCORE_MEAN + _SCORE_SD * float(reasoning), 1),
        "vigilance": round(_SCORE_MEAN + _SCORE_SD * float(vigilance), 1),
    }


def draw_run(person: Person, frames: int, repetition_time_s: float) -> BoldRun:
    """Draw a run of a person.

    Parameters
    ----------
    person
        Person whose resting networks are simulated.
    frames, repetition_time_s
        Length of the run, and seconds per frame.
    """
    phantom = person.phantom
    persistence = persistence_of(repetition_time_s)
    rng = person.stream(Purpose.RUN_SERIES)
    states = max(1, round(frames * repetition_time_s / p.SECONDS_PER_STATE))
    state_of_frame = np.arange(frames) * states // frames
    amplitude = np.exp(p.LOG_STATE * rng.standard_normal((states, p.NETWORKS)))
    independent = correlated(rng.standard_normal((frames, p.NETWORKS)), persistence)
    series = independent @ person.series_mixing.T * amplitude[state_of_frame]
    shared = p.GLOBAL_SIGNAL * correlated(rng.standard_normal(frames), persistence)
    noise = person.rest_noise(Purpose.RUN_NOISE, frames)
    motion = draw_motion(person.stream(Purpose.MOTION), frames, level=person.motion)
    nuisance_maps, nuisance = draw_nuisance(
        phantom.anatomy,
        phantom.stable_maps,
        motion,
        persistence,
        person.stream(Purpose.NUISANCE),
    )
    return BoldRun(
        repetition_time_s=repetition_time_s,
        motion=motion[0],
        anatomy=phantom.anatomy,
        field=phantom.voxel_noise,
        network_maps=person.network_maps,
        series=series.astype(np.float32),
        shared=shared.astype(np.float32),
        noise=correlated(noise, persistence),
        nuisance_maps=nuisance_maps,
        nuisance=nuisance,
    )
