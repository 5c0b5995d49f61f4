"""Task runs to a model of one's own: first-level maps, then training and tuning on them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from task_dataset import MOTOR, add_rest_run, add_task_run, make_task_dataset
from task_run import TaskPlan
from tiny_bundle import write_tiny_bundle
from tiny_job import read_table

from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.phantom.streams import Cohort

pytestmark = pytest.mark.slow

PEOPLE, RUNS = 7, 2
LABELS = ("motorLh", "motorLhVsRh")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """Make a dataset of people who have rest and task runs, a model file and a model."""
    folder = tmp_path_factory.mktemp("study")
    raw, derivatives = make_task_dataset(folder / "bids")
    phantom, plan = Phantom(block=4), TaskPlan("MOTOR", blocks=2)
    for number in range(PEOPLE):
        person, label = phantom.person(Cohort.DEMO, number), f"{number + 1:02d}"
        add_rest_run(derivatives, person, label=label)
        for run in range(RUNS):
            add_task_run(raw, derivatives, person, plan, run, label=label)
    (folder / "motor.toml").write_text(MOTOR)
    anatomy = phantom.anatomy
    write_tiny_bundle(
        folder / "base",
        rois=8,
        contrasts=47,
        shape=anatomy.grid.shape,
        affine=anatomy.grid.affine,
        masks=(anatomy.brain, anatomy.grey),
    )
    return folder


def called(study: Path, *words: object) -> str:
    """Call the group level as a user types it, in the folder of the study; return its lines."""
    program = Path(sys.executable).with_name("bids_dtg")
    typed = [program, "bids", "out", "group", *words, "--omp-nthreads", 1]
    done = subprocess.run(
        [str(word) for word in typed], cwd=study, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def maps(study) -> Path:
    said = called(study, "--analysis", "glm", "--glm-model", "motor.toml")
    assert (
        f"{PEOPLE * RUNS} runs of {PEOPLE} participants: maps for --derivatives statmaps=" in said
    )
    return study / "out/group/glm"


def named_target(label: str, contrast: str) -> str:
    """Return the path of the map that the runs of a person were put together to."""
    grid = "space-MNI152NLin6Asym_res-2"
    name = f"sub-{label}_task-motor_{grid}_contrast-{contrast}_stat-z_statmap.nii.gz"
    return f"node-subjectLevel/sub-{label}/func/{name}"


def test_a_model_is_trained_on_the_maps_of_the_glm(study, maps):
    said = called(
        study,
        *("--analysis", "train", "--architecture", "linear", "--model", "base"),
        *("-d", "statmaps=out/group/glm", "--held-out", 0, 0.29),
    )
    assert f"_stat-z_statmap.nii.gz ({PEOPLE * len(LABELS)} files)" in said
    folder = study / "out/group/model-own"
    targets = read_table(folder / "desc-targets_files.tsv")
    assert {
        (row["participant_id"], row["contrast"], row["statistic"], row["n_runs"], row["files"])
        for row in targets
    } == {
        (f"sub-{n:02d}", label, "z", str(RUNS), named_target(f"{n:02d}", label))
        for n in range(1, PEOPLE + 1)
        for label in LABELS
    }
    bundle = load_bundle(folder / "bundle")
    assert [contrast.label for contrast in bundle.contrasts] == list(LABELS)
    scores = {
        row["model"]: float(row["r"]) for row in read_table(folder / "desc-models_scores.tsv")
    }
    # The mean map of the training people, from the files themselves.
    assert scores["group average"] == pytest.approx(
        average_r(folder, maps, bundle.places), abs=2e-3
    )
    # Few people: hardly more than the mean map is learned, and no less.
    assert scores["model"] == pytest.approx(scores["group average"], abs=0.02)
    assert 0.2 < scores["model"] < 0.9


def average_r(folder: Path, maps: Path, places) -> float:
    """Return the mean r of test people's maps with the mean map of those who trained."""
    split = read_table(folder / "desc-split_participants.tsv")
    found = []
    for contrast in LABELS:
        own = {
            row["participant_id"]: nib.load(
                maps / named_target(row["participant_id"].removeprefix("sub-"), contrast)
            ).get_fdata()[places.mask]
            for row in split
        }
        sides = {
            side: np.stack([own[row["participant_id"]] for row in split if row["set"] == side])
            for side in ("training", "test")
        }
        assert [len(side) for side in sides.values()] == [5, 2]
        mean = sides["training"].mean(axis=0)
        found += [np.corrcoef(one, mean)[0, 1] for one in sides["test"]]
    return float(np.mean(found))


def test_a_network_is_tuned_to_a_contrast_of_the_glm(study, maps):
    called(
        study,
        *("--analysis", "finetune", "--model", "base", "--contrast", "motorLh"),
        *("-d", "statmaps=out/group/glm", "--model-name", "tuned", "--held-out", 0.2, 0.2),
        *("--epochs", 1, "--batch-size", 3),
    )
    folder = study / "out/group/model-tuned"
    targets = read_table(folder / "desc-targets_files.tsv")
    assert {row["files"] for row in targets} == {
        named_target(f"{n:02d}", "motorLh") for n in range(1, PEOPLE + 1)
    }
    scores = {
        row["model"]: float(row["r"]) for row in read_table(folder / "desc-models_scores.tsv")
    }
    assert scores["tuned"] > scores["before tuning"] + 0.1
    assert load_bundle(folder / "bundle").card.name == "tuned"
