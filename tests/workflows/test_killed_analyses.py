"""Each analysis of each workflow killed at some places: the same command makes it whole."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import image_people
import pytest
import tiny_networks
import tiny_series
import tiny_twins
import torch
from bids_check import require_every_file_seen
from forked_jobs import Copies, ForkingProcess, Place, Signal, all_modules
from given import NARROW, sets
from tiny_cohort import TinyCohort
from tiny_job import tree

PLACES = 4  # of each analysis, which is killed at every other two of them
LABELS = tuple(f"{number:02d}" for number in range(1, 13))
CONTRASTS = ("languageMath", "languageStory")  # which the tiny bundle predicts
Words = tuple[object, ...]


class Scene:
    """What analyses are called on; the files lie below one folder, and the output beside them."""

    def __init__(self, folder: Path, trained: dict, forks: ForkingProcess) -> None:
        self.folder, self.out, self.trained, self.forks = folder, folder / "out", trained, forks
        self._cohort: TinyCohort | None = None

    @property
    def cohort(self) -> TinyCohort:
        if self._cohort is None:
            self._cohort = TinyCohort(self.folder / "cohort", LABELS, contrasts=CONTRASTS)
            ages = "".join(f"sub-{label}\t{20 + int(label) ** 2}\n" for label in LABELS)
            (self._cohort.bids / "participants.tsv").write_text(f"participant_id\tage\n{ages}")
        return self._cohort

    def of_cohort(self, *words: object) -> Words:
        bids, maps = self.cohort.bids, self.cohort.statmaps
        given = ("-d", f"fmriprep={bids}", "-d", f"statmaps={maps}", "--model", self.cohort.model)
        return (bids, self.out, "group", *given, *words)

    def of_image_people(self, analysis: str, *words: object) -> Words:
        data = self.trained["maps"].inputs
        return tuple(image_people.arguments(data, self.out, analysis, *words))

    def of_networks(self, analysis: str, *words: object) -> Words:
        arrays = self.trained["network"].inputs
        return (*tiny_networks.arguments(arrays, self.out, analysis), *words)

    def of_series(self, analysis: str, *words: object) -> Words:
        place = self.folder / "series"
        if not place.is_dir():
            tiny_series.write_series(place)
        return (*tiny_series.arguments(place, self.out, analysis), *words)

    def of_twins(self, analysis: str, *words: object) -> Words:
        people = self.trained["twin"].inputs
        return (*tiny_twins.arguments(people, self.out, analysis), *words)

    def of_many_twins(self, analysis: str, *words: object) -> Words:
        place = self.folder / "many-twins"
        if not place.is_dir():
            tiny_twins.write_twins(place, number=24, telling=True)
            tiny_twins.quick_model(place, 10)
        model = ("--model", place / "lowrank")
        return (*tiny_twins.arguments(place, self.out, analysis), *model, *words)

    def people(self) -> Path:
        """Return the maps of the cohort, made once."""
        place = self.folder / "people"
        if not place.is_dir():
            errors = self.folder / "errors.txt"
            # In this process models were trained, with threads of torch.
            assert self.forks.run(self.cohort.arguments(out=place), stderr=errors) == [0]
        return place

    def begin(self, job: Job) -> None:
        """Empty the output folder, but for participants' results where a job reads them."""
        shutil.rmtree(self.out, ignore_errors=True)
        if job.with_people:
            shutil.copytree(self.people(), self.out)


@dataclass(frozen=True)
class Job:
    """An analysis, and what is typed for it."""

    workflow: str
    analysis: str | None  # None: the group level without one
    words: Callable[[Scene], Words]
    with_people: bool = False  # whether it reads participants' results in the output
    form: str = ""  # which of several of that analysis


def _model(scene: Scene, name: str) -> Words:
    return ("--model", scene.trained[name].bundle)


SHARES = sets(LABELS, 0.25, 0.25)
_NETWORK = (*NARROW, "--epochs", 2, "--batch-size", 3, *SHARES)
_SMALL = sets(image_people.LABELS, 0, 0.34)
_OF_AGE = ("--phenotype", "age", "--permutations", "9")
_FEW = ("--epochs", "2", "--states", "2", "--region-parameters", "2")


def _train(architecture: str, *more: object) -> Job:
    words = ("--architecture", architecture, *more)
    if more == _SMALL:
        return Job(
            "contrasts",
            "train",
            lambda scene: scene.of_image_people("train", *words),
            form=architecture,
        )
    return Job(
        "contrasts",
        "train",
        lambda scene: scene.of_cohort("--analysis", "train", *words),
        form=architecture,
    )


def _of_people(analysis: str, *more: object) -> Job:
    words = ("--analysis", analysis, *more)
    return Job("contrasts", analysis, lambda scene: scene.of_cohort(*words), with_people=True)


def _of_maps(analysis: str, *more: object) -> Job:
    words = ("--analysis", analysis, *more)
    return Job("contrasts", analysis, lambda scene: scene.of_cohort(*words))


def _of_networks(analysis: str, *more: object) -> Job:
    return Job(
        "dynamics",
        analysis,
        lambda scene: scene.of_networks(analysis, *_model(scene, "network"), *more),
    )


def _of_twins(analysis: str, *more: object) -> Job:
    return Job(
        "twin", analysis, lambda scene: scene.of_twins(analysis, *_model(scene, "twin"), *more)
    )


JOBS = (
    _train("linear", *_SMALL),
    _train("attention-unet", *_NETWORK),
    _of_maps("finetune", "--contrast", CONTRASTS[0], *_NETWORK[2:]),
    _of_maps("evaluate"),
    Job("contrasts", None, lambda scene: scene.of_cohort(), with_people=True),
    _of_people("stats", "--permutations", "9", "--voxels"),
    _of_people("phenotypes", *_OF_AGE, "--folds", 2),
    _of_people("embed"),
    Job("dynamics", "train", lambda scene: scene.of_series("train"), form="linear"),
    Job(
        "dynamics",
        "train",
        lambda scene: scene.of_networks("train", *tiny_networks.TRAIN),
        form="network",
    ),
    _of_networks("evaluate", "--simulations", 2),
    _of_networks("simulate", "--simulations", 2),
    _of_networks("fixed-points", "--participant-label", "01"),
    Job("twin", "train", lambda scene: scene.of_twins("train", *tiny_twins.TRAIN)),
    _of_twins("evaluate"),
    Job("twin", "intervene", lambda scene: scene.of_many_twins("intervene", "--permutations", 3)),
)


def _id(job: Job) -> str:
    return " ".join(filter(None, (job.workflow, job.analysis or "group", job.form)))


@pytest.fixture(scope="module")
def forks():
    with ForkingProcess(*all_modules()) as process:
        yield process


@pytest.fixture(scope="module")
def scene(tmp_path_factory, forks, trained_maps, trained_network, trained_twin):
    trained = {"maps": trained_maps, "network": trained_network, "twin": trained_twin}
    return Scene(tmp_path_factory.mktemp("scene"), trained, forks)


def contents(folder: Path) -> dict[str, str]:
    """Return what files hold: hashes; pages without the time at which they were made.

    A checkpoint also counts the parts of an epoch, which a call that goes on counts anew: of it,
    weights and records of epochs.
    """
    found = tree(folder)
    for name in found:
        if name.endswith(".html"):
            text = (folder / name).read_text()
            found[name] = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "", text)
        elif name.endswith(".ckpt"):
            kept = torch.load(folder / name, weights_only=True)
            weights = {key: value.tolist() for key, value in kept["state_dict"].items()}
            found[name] = repr((weights, kept["history"], kept["epoch"], kept["global_step"]))
    return found


def left(folder: Path) -> list[Path]:
    """Return temporaries and locks."""
    return [*folder.rglob(".dtg-*"), *folder.rglob("*.lock")]


def places_of(log: list[str], folder: Path, count: int, turn: int) -> list[Place]:
    """Choose places over all of a call: before a change, and with half a file written, in turn.

    Of `count` places every other two are chosen, so that an even and an odd turn have all of them.
    One more is in a checkpoint, where there are any.
    """
    half = [number for number, line in enumerate(log[:-1], 2) if line.startswith("open ")]
    chosen = []
    for place in range(count):
        if (place // 2 + turn) % 2:
            continue
        number = 1 + (2 * place + 1) * len(log) // (2 * count)
        cut = place % 2 == 1
        chosen.append((min(half, key=lambda one: abs(one - number)) if cut else number, cut))
    checkpoints = [number for number in half if log[number - 1].endswith(".ckpt")]
    if checkpoints:
        chosen.append((checkpoints[-1], True))
    # Two may have come to be one.
    return [Place(number, str(folder / f"{number}"), cut) for number, cut in dict(chosen).items()]


@pytest.mark.slow
@pytest.mark.parametrize("job", [pytest.param(job, id=_id(job)) for job in JOBS])
def test_killed_anywhere_and_run_again(scene, forks, tmp_path, job):
    """At several places of a call the output is copied: so SIGKILL would leave it.

    BIDS and its drafts know every file of the whole output.
    """
    words = [str(word) for word in job.words(scene)]
    errors, log = tmp_path / "errors.txt", tmp_path / "log.txt"

    def call(*places: Place) -> None:
        log.write_text("")
        errors.write_text("")
        copies = Copies(str(scene.out), str(log), places)
        assert forks.run(words, copies=copies, stderr=errors) == [0], errors.read_text()

    scene.begin(job)
    call()
    whole = contents(scene.out)
    assert require_every_file_seen(scene.out, tmp_path) > 0
    places = places_of(log.read_text().splitlines(), tmp_path, PLACES, JOBS.index(job))
    scene.begin(job)
    call(*places)
    assert contents(scene.out) == whole
    there = [place for place in places if Path(place.copy).exists()]
    assert len(there) >= max(1, len(places) - 1)
    for place in there:
        shutil.rmtree(scene.out)
        Path(place.copy).rename(scene.out)
        call()
        assert contents(scene.out) == whole, place
        assert left(scene.out) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_leaves_neither_locks_nor_temporaries(scene, forks, number):
    job = next(job for job in JOBS if job.form == "linear")
    scene.begin(job)
    where = Signal(number, "pathlib:Path.replace", 1, "before", "_scores.tsv")
    code = 143 if number == signal.SIGTERM else 130
    assert forks.run([str(word) for word in job.words(scene)], signal=where) == [code]
    assert left(scene.out) == []


@pytest.mark.slow
@pytest.mark.parametrize("size", [20, 100])
def test_files_that_cannot_grow_are_one_line(scene, forks, tmp_path, size):
    job, errors = next(job for job in JOBS if job.form == "linear"), tmp_path / "errors.txt"
    words = [str(word) for word in job.words(scene)]
    scene.begin(job)
    (code,) = forks.run(words, stderr=errors, file_size=size * 1024)
    told = errors.read_text()
    assert code in (1, 2)
    assert "Traceback" not in told
    assert "File too large" in told
    assert left(scene.out) == []
    assert forks.run(words, stderr=errors) == [0], errors.read_text()
