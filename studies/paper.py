"""Make the analyses and figures of Serin et al. (2025) for any cohort, by one command.

    python studies/paper.py WORK --simulate 12
    python studies/paper.py WORK --bids FMRIPREP --maps STATMAPS --phenotype age --permutations 1000

Each step is a run of `bids_dtg`, whose command is printed first: it trains on some of the people,
predicts the maps of the others, tests and embeds them, and predicts phenotypes. Then
`paper_figures.py` draws the figures. People who were used to train or tune the model are never
judged. `--judge-model` judges `--model` as it is, on all people it has not seen. `--transfer`
judges the model in a second cohort. `--tune` fine-tunes a network to one contrast on a part of that
cohort, and judges it on the other contrasts; the network is the model or, if the model is not a
network, one that is trained for this.

`WORK/steps` has a file for each finished step, with its command and the files it made. The same
command resumes the work, also after a crash.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from paper_figures import Results, draw_all

from bids_dtg.bundles.card import ModelCard
from bids_dtg.contrasts.bundle.bundle import BundleArrays, write_bundle
from bids_dtg.contrasts.bundle.kinds import ATTENTION_UNET, LINEAR
from bids_dtg.contrasts.bundle.part import MapsPart
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.demo import write_people
from bids_dtg.contrasts.linear import LinearModel, tensors_of
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.files.text import write_json
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.participants import write_sets
from bids_dtg.phantom.streams import Cohort
from bids_dtg.stats.splits import split_people

NAME = "paper"  # name of the model, or of its evaluation
BLOCK = 4  # voxels of 8 mm
PHENOTYPES = ("reasoning", "vigilance")  # of simulated people
# One contrast of each task, as in the publication's figures.
REPRESENTATIVE = (
    "emotionFacesVsShapes",
    "gamblingReward",
    "languageMathVsStory",
    "motorAvg",
    "relationalRelation",
    "socialTomVsRandom",
    "wm2bkVs0bk",
)
SIMULATED = ("simulated", "simulated-transfer", "geometry")  # folders
# Shares of validation people, who choose the epoch, and of test people.
TO_TUNE = ("0.3", "0.4")
FAILED_PEOPLE = 1  # exit code of a run that finished but could not use some people
_RUN = "import sys; from bids_dtg.cli.run import main; sys.exit(main(sys.argv[1:]))"

Words = Sequence[object]  # of a command


@dataclasses.dataclass(frozen=True)
class Step:
    """A step of the work, and the results that show that it is done."""

    name: str
    command: str  # as it is printed and recorded
    run: Callable[[], int]  # returns the exit code
    results: tuple[Path, ...]  # its files and folders


@dataclasses.dataclass(frozen=True)
class Paper:
    """The work on a cohort, in its own folder."""

    work: Path
    args: argparse.Namespace

    @property
    def out(self) -> Path:
        """Folder of the derivatives: maps of people, and group results."""
        return self.work / "out"

    @property
    def scores(self) -> Path:
        """Folder of the model's scores."""
        kind = "evaluation" if self.args.judge_model else "model"
        return self.out / "group" / f"{kind}-{NAME}"

    @property
    def model(self) -> str:
        """The model that predicts."""
        return self.args.model if self.args.judge_model else str(self.scores / "bundle")

    @property
    def is_network(self) -> bool:
        """Whether the model is a network, which can be tuned."""
        return self.args.judge_model or self.args.architecture == ATTENTION_UNET.name

    @property
    def cohort(self) -> tuple[str | Path, str | Path]:
        """Folders of the people's rest and of their measured maps."""
        if self.args.simulate:
            folder = self.work / "simulated"
            return folder / "fmriprep", folder / "statmaps"
        return self.args.bids, self.args.maps

    @property
    def second_cohort(self) -> tuple[str | Path, str | Path] | None:
        """The same folders of the second cohort; None: there is none."""
        if self.args.simulate:
            folder = self.work / "simulated-transfer"
            return folder / "fmriprep", folder / "statmaps"
        return self.args.transfer

    @property
    def base(self) -> str | Path:
        """The model from which grid, masks and ROI maps are taken."""
        return self.work / "geometry" if self.args.simulate else self.args.model

    @property
    def measured(self) -> Words:
        """Options that name the people's rest and measured maps."""
        bids, maps = self.cohort
        return ["-d", f"fmriprep={bids}", f"statmaps={maps}"]

    @property
    def contrasts(self) -> Words:
        """Options that name the contrasts."""
        return ["--contrast", *self.args.contrast] if self.args.contrast else []

    def steps(self) -> Iterator[Step]:
        """Yield the steps in order; a step may read results of earlier ones."""
        args = self.args
        if args.simulate:
            words = f"{args.simulate} people of seed {args.seed}, {args.frames} frames"
            folders = tuple(self.work / name for name in SIMULATED)
            yield Step("simulate", f"simulate {words}", self.simulate, folders)
        yield self.scoring()
        if self.second_cohort is not None:
            yield from self.transfer_steps(*self.second_cohort)
        yield from self.people_steps()
        yield Step("figures", "draw the figures", self.draw, (self.work / "figures",))

    def scoring(self) -> Step:
        """Return the step that judges the model, which it trains unless there is one."""
        args = self.args
        bids, maps = self.cohort
        analysis = ["evaluate"]
        if not args.judge_model:
            analysis = ["train", "--architecture", args.architecture]
            analysis += self.training_options()
            if args.split_file:
                analysis += ["--split-file", args.split_file]
            else:
                analysis += self.sets("scores", maps, args.held_out)
        model = ("--model", self.base, "--model-name", NAME, *self.contrasts)
        command = (bids, self.out, "group", "--analysis", *analysis, *self.measured)
        return self.call("scores", (*command, *model), self.scores)

    def transfer_steps(self, rest: str | Path, maps: str | Path) -> Iterator[Step]:
        """Yield the steps that judge the model in a second cohort, and tune a network there."""
        out = self.work / "out-transfer"
        group = (rest, out, "group", "--analysis")
        measured = ("-d", f"fmriprep={rest}", f"statmaps={maps}")
        model = ("--model", self.model, "--model-name", NAME)
        folder = out / "group" / f"evaluation-{NAME}"
        yield self.call("transfer", (*group, "evaluate", *measured, *model), folder)
        if not self.args.tune:
            return
        network = self.model
        if not self.is_network:
            folder = self.out / "group" / "model-network"
            yield self.call("network", self.network_training(), folder)
            network = str(folder / "bundle")
        options = [*self.training_options(), *self.sets("tune", maps, TO_TUNE)]
        options += ["--contrast", self.args.tune]
        model = ("--model", network, "--model-name", NAME)
        command = (*group, "finetune", *options, *measured, *model)
        yield self.call("tune", command, out / "group" / f"model-{NAME}")

    def network_training(self) -> Words:
        """Return the words of the command that trains a network to be tuned."""
        bids, maps = self.cohort
        command = [bids, self.out, "group", "--analysis", "train", *self.measured]
        command += [*self.training_options(), "--architecture", ATTENTION_UNET.name]
        command += self.sets("network", maps, TO_TUNE)
        command += ["--model", self.base, "--model-name", "network"]
        return [*command, *self.contrasts]

    def people_steps(self) -> Iterator[Step]:
        """Yield the steps that predict judged people's maps, and compare and analyse these."""
        bids, _ = self.cohort
        judged = self.judged()
        people = ("--participant-label", *judged)
        level = (bids, self.out, "participant", "--model", self.model, "--no-reports")
        folders = [self.out / f"sub-{label}" for label in judged]
        yield self.call("maps", (*level, *people, *self.contrasts), *folders)
        group = (bids, self.out, "group", "--model", self.model, *people)
        comparison = self.out / "group" / "desc-measured_comparison.tsv"
        yield self.call("group", (*group, "--no-reports", *self.measured), comparison)
        for name, words in self.analyses().items():
            folder = self.out / "group" / name
            yield self.call(name, (*group, "--analysis", *words), folder)

    def analyses(self) -> dict[str, Words]:
        """Return the words of each analysis of people's maps, by the name of its folder."""
        args = self.args
        options: Words = ["--permutations", args.permutations]
        if args.participants_file:
            options = ["-p", args.participants_file, *options]
        analyses: dict[str, Words] = {"embed": ["embed", *self.measured, *options]}
        if args.covariates:
            options = [*options, "--covariates", *args.covariates]
        if args.phenotype:
            phenotypes = ["--phenotype", *args.phenotype]
            words = ["phenotypes", *self.measured, *phenotypes, *options]
            analyses["phenotypes"] = words
        for name in args.phenotype:
            words = ["stats", "--phenotype", name, "--model-name", name, *options]
            analyses[f"stats-{name}"] = words
        return analyses

    def call(self, name: str, words: Words, *results: Path) -> Step:
        """Return a step that runs `bids_dtg`."""
        line = [str(word) for word in words]
        command = [sys.executable, "-c", _RUN, *line]

        def run() -> int:
            return subprocess.run(command, check=False).returncode

        return Step(name, f"bids_dtg {shlex.join(line)}", run, results)

    def training_options(self) -> list[str]:
        """Return the options of a training that were given."""
        options = ["--seed", str(self.args.seed)]
        if self.args.epochs:
            options += ["--epochs", self.args.epochs]
        if self.args.features:
            options += ["--config-file", self.narrow(self.args.features)]
        return options

    def sets(self, name: str, maps: str | Path, shares: Sequence[str]) -> list[str]:
        """Draw the validation and test people; return the arguments that name them."""
        folders = sorted(path.name for path in Path(maps).glob("sub-*"))
        labels = [name.removeprefix("sub-") for name in folders]
        validation, test = map(float, shares)
        seed = self.args.seed
        split = split_people(labels, validation=validation, test=test, seed=seed)
        path = self.work / f"sets-{name}.tsv"
        write_sets(path, dataclasses.asdict(split))
        return ["--split-file", str(path)]

    def narrow(self, features: str) -> str:
        """Write a configuration file with the width of a network, for which there is no flag."""
        path = self.work / "network.toml"
        path.write_text(f"[modelling]\nfeatures = {int(features)}\n", encoding="utf-8")
        return str(path)

    def judged(self) -> tuple[str, ...]:
        """Return the people who were scored; none of them was used to train or tune the model."""
        with (self.scores / "desc-people_scores.tsv").open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        return tuple(row["participant_id"].removeprefix("sub-") for row in rows)

    def draw(self) -> int:
        """Draw all figures from the results."""
        group = self.work / "out-transfer" / "group"
        transfer = group / (f"model-{NAME}" if self.args.tune else f"evaluation-{NAME}")
        _, maps = self.cohort
        results = Results(
            out=self.out,
            scores=self.scores,
            transfer=transfer if transfer.exists() else None,
            statmaps=Path(maps),
            model=self.model,
            wanted=REPRESENTATIVE,
        )
        for path in draw_all(results, self.work / "figures"):
            print(path, flush=True)
        return 0

    def simulate(self) -> int:
        """Write simulated people, a second cohort, and a model with their masks and ROI maps."""
        for name in SIMULATED:  # folders of an interrupted run
            shutil.rmtree(self.work / name, ignore_errors=True)
        phantom = Phantom(self.args.seed, BLOCK)
        half = max(self.args.simulate // 2, 3)
        cohorts = (
            ("simulated", Cohort.TRAINING, self.args.simulate),
            ("simulated-transfer", Cohort.TEST, half),
        )
        for name, cohort, number in cohorts:
            people = [phantom.person(cohort, index) for index in range(number)]
            folder = self.work / name
            write_people(folder, phantom, people, frames=self.args.frames, program=NAME)
        write_geometry(self.work / "geometry", phantom)
        return 0


def write_geometry(folder: Path, phantom: Phantom) -> None:
    """Write a model that predicts 0, from which new models take their voxels and contrasts."""
    anatomy, contrasts = phantom.anatomy, hcp_contrasts()
    rois = len(phantom.roi_maps)
    roi_maps = np.zeros((rois, int(anatomy.brain.sum())), np.float32)
    roi_maps[:, anatomy.grey_in_brain] = phantom.roi_maps
    nothing = np.zeros((rois, anatomy.places.number), np.float32)
    coefficients = np.zeros((len(contrasts), rois), np.float32)
    model = LinearModel((rois,), nothing, nothing, coefficients)
    card = ModelCard(
        name="geometry",
        version="1",
        kind=LINEAR.name,
        part=MapsPart(contrasts, anatomy.grid),
        for_science=False,
        notice="Predicts 0: it only gives voxels and contrasts to models that are trained.",
    )
    arrays = BundleArrays(
        tensors_of(model),
        roi_maps,
        VoxelPlaces.within(anatomy.grid, anatomy.brain),
        anatomy.places,
    )
    write_bundle(folder, card, arrays)


@dataclasses.dataclass(frozen=True)
class Record:
    """The record of finished steps, a folder with one file per step."""

    folder: Path

    def is_done(self, step: Step) -> bool:
        """Return whether a step was done with this command, and its files have not changed."""
        path = self.folder / f"{step.name}.json"
        if not path.exists():
            return False
        facts = json.loads(path.read_text())
        has_command = facts["command"] == step.command
        return bool(has_command and facts["files"] == sizes(step.results))

    def add(self, step: Step, seconds: tuple[float, float], exit_code: int) -> None:
        """Record that a step is done."""
        facts = {
            "command": step.command,
            "exit_code": exit_code,
            "seconds": round(seconds[0], 1),
            "processor_seconds": round(seconds[1], 1),
            "files": sizes(step.results),
        }
        write_json(self.folder / f"{step.name}.json", facts)


def sizes(results: Sequence[Path]) -> dict[str, int]:
    """Return the size of each of some files, and of each file in some folders."""
    paths = [path for result in results for path in (result, *result.rglob("*"))]
    files = sorted(path for path in paths if path.is_file())
    return {str(path): path.stat().st_size for path in files}


def processor_seconds() -> float:
    """Return the processor time of this process and its children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def make(paper: Paper) -> int:
    """Do the unfinished steps; return 0, or the exit code of the step that failed."""
    record = Record(paper.work / "steps")
    again = False  # steps after one that was done now must be repeated, as files have changed
    for step in paper.steps():
        if not again and record.is_done(step):
            print(f"{step.name}: done before", flush=True)
            continue
        again = True
        print(f"{step.name}\n$ {step.command}", flush=True)
        begun, worked = time.perf_counter(), processor_seconds()
        code = step.run()
        seconds = time.perf_counter() - begun, processor_seconds() - worked
        if code not in (0, FAILED_PEOPLE):
            print(
                f"{step.name} failed with exit code {code}; repeat the command to resume here"
            )
            return code
        if lacking := [str(path) for path in step.results if not path.exists()]:
            paths = ", ".join(lacking)
            print(f"{step.name} did not write {paths}: see the lines above")
            return code or FAILED_PEOPLE
        record.add(step, seconds, code)
        print(
            f"{step.name}: done in {seconds[0]:.0f} s ({seconds[1]:.0f} s of processor time)",
            flush=True,
        )
    print(f"figures: {paper.work / 'figures'}")
    return 0


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder of all results")
    parser.add_argument(
        "--simulate", type=int, default=0, metavar="N", help="people at 8 mm"
    )
    parser.add_argument(
        "--frames", type=int, default=300, help="of a simulated run, 1.5 s each"
    )
    parser.add_argument("--bids", help="fMRIPrep derivatives, or their dataset")
    parser.add_argument("--maps", help="measured maps, as for `-d statmaps=`")
    parser.add_argument(
        "--transfer", nargs=2, metavar=("BIDS", "MAPS"), help="a second cohort"
    )
    parser.add_argument(
        "--tune", metavar="CONTRAST", help="fine-tune to it in that cohort"
    )
    parser.add_argument(
        "--model", default="hcp-ya", help="gives grid, masks and ROI maps"
    )
    parser.add_argument(
        "--judge-model", action="store_true", help="judge --model, train none"
    )
    parser.add_argument("--architecture", default="linear")
    parser.add_argument("--features", help="of a network")
    parser.add_argument("--epochs", help="of a network, and of its fine-tuning")
    parser.add_argument("--held-out", nargs=2, default=("0", "0.5"), metavar="SHARE")
    parser.add_argument("--split-file", type=Path)
    parser.add_argument("-p", "--participants-file", type=Path)
    parser.add_argument("--phenotype", nargs="+", default=())
    parser.add_argument("--covariates", nargs="+", default=())
    parser.add_argument("--contrast", nargs="+", default=())
    parser.add_argument("--permutations", default="1000")
    parser.add_argument("--seed", type=int, default=11)
    args = parser.parse_args(argv)
    if bool(args.simulate) == bool(args.bids and args.maps):
        parser.error("give either --simulate N, or --bids and --maps")
    if args.tune and not (args.simulate or args.transfer):
        parser.error("--tune needs a second cohort: give --transfer BIDS MAPS, too")
    if args.simulate:
        if args.simulate < 10:
            parser.error(
                f"--simulate {args.simulate}: 10 people or more, half of whom train"
            )
        args.contrast = args.contrast or REPRESENTATIVE
        args.phenotype = args.phenotype or PHENOTYPES
    return args


def main() -> int:
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    return make(Paper(args.work.resolve(), args))


if __name__ == "__main__":
    sys.exit(main())
