"""Each analysis of each workflow killed at several points: the same command completes it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import image_people
import network_arrays
import pytest
import series_arrays
import torch
import twin_people
from bids_check import require_every_file_seen
from forked_jobs import ForkingProcess, Place, Watch, all_modules
from maps_cohort import TinyCohort
from maps_job import tree
from split_options import NARROW, sets

PLACES = 4  # of each analysis, which is killed at every other two of them
LABELS = tuple(f"{number:02d}" for number in range(1, 13))
CONTRASTS = ("languageMath", "languageStory")  # which the tiny bundle predicts
NETWORK = ("--epochs", 2, "--batch-size", 3, *sets(LABELS, 0.25, 0.25))
LINEAR = ("--architecture", "linear", *sets(image_people.LABELS, 0, 0.34))
OF_AGE = ("--phenotype", "age", "--permutations", 9, "--folds", 2)

# On which people, which analysis, and what else is typed.
JOBS = {
    "train linear": ("images", "train", LINEAR),
    "cross-validate linear": ("images", "train", ("--architecture", "linear")),
    "train network": (
        "cohort",
        "train",
        ("--architecture", "attention-unet", *NARROW, *NETWORK),
    ),
    "finetune": ("cohort", "finetune", ("--contrast", CONTRASTS[0], *NETWORK)),
    "evaluate": ("cohort", "evaluate", ()),
    "group": ("results", "", ()),
    "stats": ("results", "stats", ("--permutations", 9, "--voxels")),
    "phenotypes": ("results", "phenotypes", OF_AGE),
    "embed": ("results", "embed", ()),
    "train core": ("series", "train", ()),
    "train dynamics": ("networks", "train", network_arrays.TRAIN),
    "evaluate dynamics": (
        "networks",
        "evaluate",
        ("--model", "own", "--simulations", 2),
    ),
    "simulate": ("networks", "simulate", ("--model", "own", "--simulations", 2)),
    "fixed points": (
        "networks",
        "fixed-points",
        ("--model", "own", "--participant-label", "01"),
    ),
    "train twins": ("twins", "train", twin_people.TRAIN),
    "evaluate twins": ("twins", "evaluate", ("--model", "own")),
    "intervene": ("many twins", "intervene", ("--permutations", 3)),
}


class Scene:
    """What analyses are called on; the files lie below one folder, and the output beside them."""

    def __init__(self, folder: Path, trained: dict, forks: ForkingProcess) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.trained = trained
        self.forks = forks
        self.cohort = TinyCohort(folder / "cohort", LABELS, contrasts=CONTRASTS)
        ages = "".join(f"sub-{label}\t{20 + int(label) ** 2}\n" for label in LABELS)
        (self.cohort.bids / "participants.tsv").write_text(
            f"participant_id\tage\n{ages}"
        )

    def words(self, name: str) -> list[str]:
        """Return what is typed for a job."""
        people, analysis, options = JOBS[name]
        words = [*getattr(self, f"_{people.replace(' ', '_')}")(analysis), *options]
        if people in self.trained and "own" in words:
            words[words.index("own")] = self.trained[people].bundle
        return [str(word) for word in words]

    def _cohort(self, analysis: str) -> list:
        bids, maps = self.cohort.bids, self.cohort.statmaps
        derivatives = [
            "-d",
            f"fmriprep={bids}",
            "-d",
            f"statmaps={maps}",
            "--model",
            self.cohort.model,
        ]
        return [
            bids,
            self.out,
            "group",
            *derivatives,
            *(["--analysis", analysis] if analysis else []),
        ]

    _results = _cohort

    def _images(self, analysis: str) -> list:
        return image_people.arguments(self.trained["images"].inputs, self.out, analysis)

    def _networks(self, analysis: str) -> list:
        return network_arrays.arguments(
            self.trained["networks"].inputs, self.out, analysis
        )

    def _series(self, analysis: str) -> list:
        place = self.folder / "series"
        if not place.is_dir():
            series_arrays.write_series(place)
        return series_arrays.arguments(place, self.out, analysis)

    def _twins(self, analysis: str) -> list:
        return twin_people.arguments(self.trained["twins"].inputs, self.out, analysis)

    def _many_twins(self, analysis: str) -> list:
        place = self.folder / "many-twins"
        if not place.is_dir():
            twin_people.write_twins(place, number=24, telling=True)
            twin_people.quick_model(place, 10)
        model = ("--model", place / "lowrank")
        return [*twin_people.arguments(place, self.out, analysis), *model]

    def begin(self, name: str) -> None:
        """Empty the output folder, but for participants' results where a job reads them."""
        shutil.rmtree(self.out, ignore_errors=True)
        if JOBS[name][0] == "results":
            people = self.folder / "people"
            if not people.is_dir():
                # In this process models were trained, with threads of torch.
                assert self.forks.run(self.cohort.arguments(out=people)) == [0]
            shutil.copytree(people, self.out)


@pytest.fixture(scope="module")
def scene(tmp_path_factory, trained_maps, trained_network, trained_twin):
    trained = {
        "images": trained_maps,
        "networks": trained_network,
        "twins": trained_twin,
    }
    with ForkingProcess(*all_modules()) as forks:
        yield Scene(tmp_path_factory.mktemp("scene"), trained, forks)


def contents(folder: Path) -> dict[str, str]:
    """Return what files hold: hashes; pages without the time at which they were made.

    A checkpoint also counts the parts of an epoch, which a call that goes on counts anew: of it,
    weights and records of epochs.
    """
    files = tree(folder)
    for name in files:
        if name.endswith(".html"):
            text = (folder / name).read_text()
            files[name] = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "", text)
        elif name.endswith(".ckpt"):
            checkpoint = torch.load(folder / name, weights_only=True)
            weights = {
                key: value.tolist() for key, value in checkpoint["state_dict"].items()
            }
            files[name] = repr(
                (
                    weights,
                    checkpoint["history"],
                    checkpoint["epoch"],
                    checkpoint["global_step"],
                )
            )
    return files


def places_of(log: list[str], folder: Path, count: int, turn: int) -> list[Place]:
    """Choose places over all of a call: before a change, and with half a file written, in turn.

    Of `count` places every other two are chosen, so that an even and an odd turn have all of them.
    One more is in a checkpoint, where there are any.
    """
    half = [
        number for number, line in enumerate(log[:-1], 2) if line.startswith("open ")
    ]
    chosen = []
    for place in range(count):
        if (place // 2 + turn) % 2:
            continue
        number = 1 + (2 * place + 1) * len(log) // (2 * count)
        cut = place % 2 == 1
        chosen.append(
            (
                min(half, key=lambda candidate: abs(candidate - number))
                if cut
                else number,
                cut,
            )
        )
    checkpoints = [number for number in half if log[number - 1].endswith(".ckpt")]
    if checkpoints:
        chosen.append((checkpoints[-1], True))
    # Two may have come to be one.
    return [
        Place(number, str(folder / f"{number}"), cut)
        for number, cut in dict(chosen).items()
    ]


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS)
def test_killed_anywhere_and_run_again(scene, tmp_path, job):
    """At several places of a call the output is copied: so SIGKILL would leave it.

    BIDS and its drafts know every file of the whole output.
    """
    words = scene.words(job)
    errors, log = tmp_path / "errors.txt", tmp_path / "log.txt"

    def call(*places: Place) -> None:
        log.write_text("")
        errors.write_text("")
        watch = Watch(str(scene.out), str(log), places)
        assert scene.forks.run(words, watch=watch, stderr=errors) == [0], (
            errors.read_text()
        )

    scene.begin(job)
    call()
    whole = contents(scene.out)
    assert require_every_file_seen(scene.out, tmp_path) > 0
    places = places_of(
        log.read_text().splitlines(), tmp_path, PLACES, [*JOBS].index(job)
    )
    scene.begin(job)
    call(*places)
    assert contents(scene.out) == whole
    of_copy = [place for place in places if Path(place.copy).exists()]
    assert len(of_copy) >= max(1, len(places) - 1)
    for place in of_copy:
        shutil.rmtree(scene.out)
        Path(place.copy).rename(scene.out)
        call()
        assert contents(scene.out) == whole, place
        assert [*scene.out.rglob(".dtg-*"), *scene.out.rglob("*.lock")] == []


@pytest.mark.slow
def test_a_cross_validation_goes_on_after_the_groups_that_were_scored(scene, tmp_path):
    """Killed when the third of four groups is scored, it fits the last two."""
    words, errors = scene.words("cross-validate linear"), tmp_path / "errors.txt"
    log, copy = tmp_path / "log.txt", tmp_path / "copy"

    def call(*places: Place) -> list[str]:
        log.write_text("")
        errors.write_text("")
        watch = Watch(str(scene.out), str(log), places)
        assert scene.forks.run(words, watch=watch, stderr=errors) == [0], (
            errors.read_text()
        )
        lines = errors.read_text().splitlines()
        return [
            line.split(", ")[-1] for line in lines if re.match(r"group \d of 4: ", line)
        ]

    scene.begin("cross-validate linear")
    assert call() == ["fit on 9"] * 4
    whole = contents(scene.out)
    number = next(
        n for n, line in enumerate(log.read_text().splitlines(), 1) if "scores3" in line
    )
    scene.begin("cross-validate linear")
    call(Place(number, str(copy), False))
    shutil.rmtree(scene.out)
    copy.rename(scene.out)
    assert call() == ["scored by an earlier call"] * 2 + ["fit on 9"] * 2
    assert contents(scene.out) == whole
