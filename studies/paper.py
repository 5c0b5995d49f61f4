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
    *("emotionFacesVsShapes", "gamblingReward", "languageMathVsStory", "motorAvg"),
    *("relationalMatchVsRelation", "socialTomVsRandom", "wm2bkVs0bk"),
)
SIMULATED = ("simulated", "simulated-transfer", "geometry")  # folders
TO_TUNE = (
    "0.3",
    "0.4",
)  # shares of validation people, who choose the epoch, and of test people
FAILED_PEOPLE = 1  # exit code of a run that finished but could not use some people
_RUN = "import sys; from bids_dtg.cli.run import main; sys.exit(main(sys.argv[1:]))"


@dataclasses.dataclass(frozen=True)
class Step:
    """A step of the work, and the results that show that it is done."""

    name: str
    command: str  # as it is printed and recorded
    run: Callable[[], int]  # returns the exit code
    made: tuple[Path, ...]  # folders of its results


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
        return (
            self.out
            / "group"
            / f"{'evaluation' if self.args.judge_model else 'model'}-{NAME}"
        )

    @property
    def model(self) -> str:
        """The model that predicts."""
        return self.args.model if self.args.judge_model else str(self.scores / "bundle")

    @property
    def is_network(self) -> bool:
        """Whether the model is a network, which can be tuned."""
        return self.args.judge_model or self.args.architecture == ATTENTION_UNET.name

    def steps(self) -> Iterator[Step]:
        """Yield the steps in order; a step may read results of earlier ones."""
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
                    (
                        bids,
                        self.out,
                        "group",
                        "--analysis",
                        "train",
                        *measured,
                        *network,
                    ),
                    (
                        *("--architecture", ATTENTION_UNET.name),
                        *self.sets("network", maps, TO_TUNE),
                        *("--model", base, "--model-name", "network", *contrasts),
                    ),
                    folder,
                )
            if args.tune:
                second = (*second, "--model", base_of_tuning, "--model-name", NAME)
                tuned = (
                    *network,
                    *self.sets("tune", others, TO_TUNE),
                    "--contrast",
                    args.tune,
                )
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
        analyses: dict[str, tuple[object, ...]] = {
            "embed": ("embed", *measured, *table, *draws)
        }
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
            yield self.call(
                name, (*group, "--analysis", *words), (), self.out / "group" / name
            )
        yield Step("figures", "draw the figures", self.draw, (self.work / "figures",))

    def call(
        self, name: str, words: Sequence[object], more: Sequence[object], *made: Path
    ) -> Step:
        """Return a step that runs `bids_dtg`."""
        line = [str(word) for word in (*words, *more)]

        def run() -> int:
            return subprocess.run(
                [sys.executable, "-c", _RUN, *line], check=False
            ).returncode

        return Step(name, f"bids_dtg {shlex.join(line)}", run, made)

    def sets(self, name: str, maps: str | Path, shares: Sequence[str]) -> list[str]:
        """Draw the validation and test people; return the arguments that name them."""
        labels = sorted(
            path.name.removeprefix("sub-") for path in Path(maps).glob("sub-*")
        )
        validation, test = map(float, shares)
        split = split_people(
            labels, validation=validation, test=test, seed=self.args.seed
        )
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
        maps = (
            self.work / "simulated" / "statmaps"
            if self.args.simulate
            else self.args.maps
        )
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
        """Write simulated people, a second cohort, and a model with their masks and ROI maps."""
        for name in SIMULATED:
            shutil.rmtree(
                self.work / name, ignore_errors=True
            )  # left by an interrupted run
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
        known = json.loads(path.read_text())
        return bool(
            known["command"] == step.command and known["files"] == sizes(step.made)
        )

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
    """Return the size of each file in some folders."""
    found = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    files = sorted(path for path in found if path.is_file())
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
        if lacking := [str(folder) for folder in step.made if not folder.exists()]:
            print(
                f"{step.name} did not write {', '.join(lacking)}: see the lines above"
            )
            return code or FAILED_PEOPLE
        record.keep(step, seconds, code)
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
