"""The publication's analyses and figures (Serin et al. 2025), of any cohort, by one command.

    python studies/paper.py WORK --simulate 12
    python studies/paper.py WORK --bids FMRIPREP --maps STATMAPS --phenotype age --permutations 1000

Each step is a call of `bids_dtg`, printed before it runs: train on a part of the people, predict
the maps of those left over, test and embed them, predict phenotypes. Then `paper_figures.py` draws
what the calls wrote. People who trained or tuned the model are never judged. `--judge-model` judges
`--model` as it is, on everybody whom it has not seen; `--transfer` judges the model in a second
cohort, and `--tune` fine-tunes a network to a contrast on a part of it and judges the others: the
model, or where that is none, a network that is trained for it.

`WORK/steps` has a file for each step that is done, with its command and the files it made. The same
command does what is lacking, also after a crash in a step, as calls of `bids_dtg` do.
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

NAME = "paper"  # of the model, or of its evaluation
BLOCK = 4  # voxels of 8 mm
PHENOTYPES = ("reasoning", "vigilance")  # of simulated people
# A contrast of each task, as in the publication's figures.
REPRESENTATIVE = (
    *("emotionFacesVsShapes", "gamblingReward", "languageMathVsStory", "motorAvg"),
    *("relationalMatchVsRelation", "socialTomVsRandom", "wm2bkVs0bk"),
)
SIMULATED = ("simulated", "simulated-transfer", "geometry")  # folders
TO_TUNE = ("0.3", "0.4")  # shares of people who choose the epoch, and who judge
FAILED_PEOPLE = 1  # exit code of a call that named people whom it could not use, and is done
_RUN = "import sys; from bids_dtg.cli.run import main; sys.exit(main(sys.argv[1:]))"


@dataclasses.dataclass(frozen=True)
class Step:
    """A part of the work: what it does, and what shows that it is done."""

    name: str
    command: str  # as it is printed and recorded
    run: Callable[[], int]  # the exit code
    made: tuple[Path, ...]  # folders of its results


@dataclasses.dataclass(frozen=True)
class Paper:
    """The work on a cohort, below a folder of its own."""

    work: Path
    args: argparse.Namespace

    @property
    def out(self) -> Path:
        """The derivatives: maps of people, and results of the group."""
        return self.work / "out"

    @property
    def scores(self) -> Path:
        """The folder of the scores of the model."""
        return self.out / "group" / f"{'evaluation' if self.args.judge_model else 'model'}-{NAME}"

    @property
    def model(self) -> str:
        """The model that predicts."""
        return self.args.model if self.args.judge_model else str(self.scores / "bundle")

    @property
    def is_network(self) -> bool:
        """Whether the model is a network, which can be tuned."""
        return self.args.judge_model or self.args.architecture == ATTENTION_UNET.name

    def steps(self) -> Iterator[Step]:
        """Yield what is to be done, in order; a step may read what earlier ones wrote."""
        args = self.args
        bids, maps, transfer, base = args.bids, args.maps, args.transfer, args.model
        if args.simulate:
            base, simulated = self.work / "geometry", self.work / "simulated"
            words = f"{args.simulate} people of seed {args.seed}, {args.frames} frames"
            folders = tuple(self.work / name for name in SIMULATED)
            yield Step("simulate", f"simulate {words}", self.simulate, folders)
            bids, maps = simulated / "fmriprep", simulated / "statmaps"
            other = self.work / "simulated-transfer"
            transfer = (other / "fmriprep", other / "statmaps")
        measured = ["-d", f"fmriprep={bids}", f"statmaps={maps}"]
        contrasts = ["--contrast", *args.contrast] if args.contrast else []
        network = ["--seed", args.seed]
        if args.epochs:
            network += ["--epochs", args.epochs]
        if args.features:
            network += ["--config-file", self.narrow(args.features)]
        trains = ["--architecture", args.architecture, *network]
        if args.split_file:
            trains += ["--split-file", args.split_file]
        else:
            trains += self.sets("scores", maps, args.held_out)
        analysis = ["evaluate"] if args.judge_model else ["train", *trains]
        yield self.call(
            "scores",
            (bids, self.out, "group", "--analysis", *analysis, *measured),
            ("--model", base, "--model-name", NAME, *contrasts),
            self.scores,
        )
        if transfer:
            rest, others = transfer
            out = self.work / "out-transfer"
            second = ("-d", f"fmriprep={rest}", f"statmaps={others}")
            own = (*second, "--model", self.model, "--model-name", NAME)
            yield self.call(
                "transfer",
                (rest, out, "group", "--analysis", "evaluate"),
                own,
                out / "group" / f"evaluation-{NAME}",
            )
            base_of_tuning = self.model
            if args.tune and not self.is_network:
                folder = self.out / "group" / "model-network"
                base_of_tuning = str(folder / "bundle")
                yield self.call(
                    "network",
                    (bids, self.out, "group", "--analysis", "train", *measured, *network),
                    (
                        *("--architecture", ATTENTION_UNET.name),
                        *self.sets("network", maps, TO_TUNE),
                        *("--model", base, "--model-name", "network", *contrasts),
                    ),
                    folder,
                )
            if args.tune:
                second = (*second, "--model", base_of_tuning, "--model-name", NAME)
                tuned = (*network, *self.sets("tune", others, TO_TUNE), "--contrast", args.tune)
                yield self.call(
                    "tune",
                    (rest, out, "group", "--analysis", "finetune", *tuned),
                    second,
                    out / "group" / f"model-{NAME}",
                )
        judged = self.judged()
        yield self.call(
            "maps",
            (bids, self.out, "participant", "--model", self.model, "--no-reports"),
            ("--participant-label", *judged, *contrasts),
            *(self.out / f"sub-{label}" for label in judged),
        )
        people = ("--participant-label", *judged)
        table = ("-p", args.participants_file) if args.participants_file else ()
        draws = ("--permutations", args.permutations)
        group = (bids, self.out, "group", "--model", self.model, *people)
        compared = self.out / "group" / "desc-measured_comparison.tsv"
        yield self.call("group", (*group, "--no-reports"), measured, compared)
        analyses: dict[str, tuple[object, ...]] = {"embed": ("embed", *measured, *table, *draws)}
        covariates = ("--covariates", *args.covariates) if args.covariates else ()
        asked = (*table, *draws, *covariates)
        if args.phenotype:
            analyses["phenotypes"] = (
                *("phenotypes", *measured, "--phenotype", *args.phenotype, *asked),
            )
        for name in args.phenotype:
            own = ("--phenotype", name, "--model-name", name, *asked)
            analyses[f"stats-{name}"] = ("stats", *own)
        for name, words in analyses.items():
            yield self.call(name, (*group, "--analysis", *words), (), self.out / "group" / name)
        yield Step("figures", "draw the figures", self.draw, (self.work / "figures",))

    def call(self, name: str, words: Sequence[object], more: Sequence[object], *made: Path) -> Step:
        """Return a step that is a call of `bids_dtg`."""
        line = [str(word) for word in (*words, *more)]

        def run() -> int:
            return subprocess.run([sys.executable, "-c", _RUN, *line], check=False).returncode

        return Step(name, f"bids_dtg {shlex.join(line)}", run, made)

    def sets(self, name: str, maps: str | Path, shares: Sequence[str]) -> list[str]:
        """Draw who validates and who tests; return the words that give them."""
        labels = sorted(path.name.removeprefix("sub-") for path in Path(maps).glob("sub-*"))
        validation, test = map(float, shares)
        split = split_people(labels, validation=validation, test=test, seed=self.args.seed)
        path = self.work / f"sets-{name}.tsv"
        write_sets(path, dataclasses.asdict(split))
        return ["--split-file", str(path)]

    def narrow(self, features: str) -> str:
        """Return a configuration file with the width of a network, which has no flag."""
        path = self.work / "network.toml"
        path.write_text(f"[modelling]\nfeatures = {int(features)}\n", encoding="utf-8")
        return str(path)

    def judged(self) -> tuple[str, ...]:
        """Return who was scored: nobody of them trained or tuned the model."""
        with (self.scores / "desc-people_scores.tsv").open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        return tuple(row["participant_id"].removeprefix("sub-") for row in rows)

    def draw(self) -> int:
        """Draw all figures from what the calls wrote."""
        group = self.work / "out-transfer" / "group"
        transfer = group / (f"model-{NAME}" if self.args.tune else f"evaluation-{NAME}")
        maps = self.work / "simulated" / "statmaps" if self.args.simulate else self.args.maps
        results = Results(
            self.out,
            self.scores,
            transfer if transfer.exists() else None,
            Path(maps),
            self.model,
            REPRESENTATIVE,
        )
        for path in draw_all(results, self.work / "figures"):
            print(path, flush=True)
        return 0

    def simulate(self) -> int:
        """Write simulated people, a second cohort, and masks and ROI maps at their voxels."""
        for name in SIMULATED:
            shutil.rmtree(self.work / name, ignore_errors=True)  # of a call that was ended
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
    """Write what gives a new model its voxels and contrasts: a model that predicts 0."""
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
    """Which steps are done, in a folder of a file each."""

    folder: Path

    def is_done(self, step: Step) -> bool:
        """Return whether a step was done by this command, and its files are as it left them."""
        path = self.folder / f"{step.name}.json"
        if not path.exists():
            return False
        known = json.loads(path.read_text())
        return bool(known["command"] == step.command and known["files"] == sizes(step.made))

    def keep(self, step: Step, seconds: tuple[float, float], exit_code: int) -> None:
        """Record that a step is done."""
        facts = {
            "command": step.command,
            "exit_code": exit_code,
            "seconds": round(seconds[0], 1),
            "processor_seconds": round(seconds[1], 1),
            "files": sizes(step.made),
        }
        write_json(self.folder / f"{step.name}.json", facts)


def sizes(folders: Sequence[Path]) -> dict[str, int]:
    """Return the size of each file, of some or in some folders."""
    found = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    files = sorted(path for path in found if path.is_file())
    return {str(path): path.stat().st_size for path in files}


def processor_seconds() -> float:
    """Return the time that processors worked for this call and those that it made."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def make(paper: Paper) -> int:
    """Do what is not done; return 0, or the exit code of the step that failed."""
    record = Record(paper.work / "steps")
    again = False  # after a step that was done now, later ones see other files
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
            print(f"{step.name} failed with exit code {code}; the same command goes on from here")
            return code
        if lacking := [str(folder) for folder in step.made if not folder.exists()]:
            print(f"{step.name} did not write {', '.join(lacking)}: see the lines above")
            return code or FAILED_PEOPLE
        record.keep(step, seconds, code)
        print(
            f"{step.name}: done in {seconds[0]:.0f} s, of the processor {seconds[1]:.0f} s",
            flush=True,
        )
    print(f"figures: {paper.work / 'figures'}")
    return 0


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder of all that is made")
    parser.add_argument("--simulate", type=int, default=0, metavar="N", help="people at 8 mm")
    parser.add_argument("--frames", type=int, default=300, help="of a simulated run, 1.5 s each")
    parser.add_argument("--bids", help="fMRIPrep derivatives, or their dataset")
    parser.add_argument("--maps", help="measured maps, as of `-d statmaps=`")
    parser.add_argument("--transfer", nargs=2, metavar=("BIDS", "MAPS"), help="a second cohort")
    parser.add_argument("--tune", metavar="CONTRAST", help="fine-tune to it in that cohort")
    parser.add_argument("--model", default="hcp-ya", help="gives grid, masks and ROI maps")
    parser.add_argument("--judge-model", action="store_true", help="judge --model, train none")
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
            parser.error(f"--simulate {args.simulate}: 10 people or more, half of whom train")
        args.contrast = args.contrast or REPRESENTATIVE
        args.phenotype = args.phenotype or PHENOTYPES
    return args


def main() -> int:
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    return make(Paper(args.work.resolve(), args))


if __name__ == "__main__":
    sys.exit(main())
