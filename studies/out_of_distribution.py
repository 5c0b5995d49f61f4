"""Are clean runs of any length in a model's range, and damaged ones not? Simulated runs.

    python studies/out_of_distribution.py --work /tmp/out_of_distribution

The range is learned from training people's runs as `scripts/demo_statistics.py` does; or a bundle
is given whose range is taken (--bundle, of 2 mm voxels). Other people's runs are judged: clean ones
of each of `--minutes`, and damaged ones of each of `--damaged-minutes`. Figures are kept in the
work folder: the same command resumes a stopped call.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from damaged_runs import DAMAGES, Damage, Length, damaged_runs, mask_overlap
from demo_distribution import PEOPLE, learn_distribution, pattern_places
from rich.console import Console
from rich.progress import track
from scipy.stats import binomtest

from bids_dtg.bundles.card import ModelCard
from bids_dtg.connectome.training_distribution.distribution import TrainingDistribution
from bids_dtg.connectome.training_distribution.judge import (
    CHECKS,
    DistributionCheck,
    RunCheck,
    verdict_of,
)
from bids_dtg.connectome.training_distribution.summary import LatticeBlocks
from bids_dtg.contrasts.bundle.bundle import ModelBundle, load_bundle
from bids_dtg.contrasts.bundle.kinds import ATTENTION_UNET
from bids_dtg.contrasts.bundle.part import MapsPart
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.participant.measure import ModelVoxels
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.imaging.places import VoxelPlaces

COHORT = 11  # a number that no other cohort has
CLEAN = DAMAGES[:1]


def main() -> None:
    """Print a table of clean runs by length, and of damaged ones."""
    args = _arguments()
    phantom = Phantom(block=args.block)
    if args.bundle is None:
        bundle = phantom_bundle(phantom)
        folder = args.work / f"{2 * args.block}mm" / "training"
        training = learn_distribution(folder, phantom, bundle, args.training_people)
    else:
        bundle = load_bundle(args.bundle)
        training = bundle.training_distribution
    judged = Judged(args.work / f"{2 * args.block}mm", phantom, bundle, training)
    print(
        f"voxels of {2 * args.block} mm; unusual above {training.unusual:.2f}, outside above "
        f"{training.outside:.2f} (range of {training.participants} people)\n"
    )
    if args.people:
        print_clean(judged, args.minutes, args.repetition_times, args.people)
    if args.damaged_people:
        print_damaged(judged, args.damaged_minutes, args.damaged_people)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for what was computed")
    parser.add_argument("--bundle", help="whose range is taken; by default one is learned")
    parser.add_argument("--block", type=int, default=4, help="2 mm voxels along an edge of a voxel")
    parser.add_argument("--training-people", type=int, default=PEOPLE, help="to learn from")
    parser.add_argument("--people", type=int, default=200, help="with clean runs of each length")
    parser.add_argument("--minutes", type=float, nargs="+", default=(4.2, 5, 7, 10, 15))
    parser.add_argument("--repetition-times", type=float, nargs="+", default=(1.5,), help="in s")
    parser.add_argument("--damaged-people", type=int, default=0, help="with runs of each damage")
    parser.add_argument("--damaged-minutes", type=float, nargs="+", default=(5, 7.5, 10))
    return parser.parse_args()


def print_clean(
    judged: Judged, minutes: Sequence[float], repetition_times: Sequence[float], people: int
) -> None:
    """Print how often clean runs are not inside."""
    print(f"Clean runs of {people} people:\n")
    print("| minutes | TR | distance, median | unusual or outside (95 % interval) | outside |")
    print("|---|---|---|---|---|")
    for seconds in repetition_times:
        for length in (Length(each, seconds) for each in minutes):
            runs = judged.runs(length, CLEAN, people)[CLEAN[0].name]
            flagged = sum(run["verdict"] != "inside" for run in runs)
            outside = np.mean([run["verdict"] == "outside" for run in runs])
            interval = binomtest(flagged, people).proportion_ci(method="wilson")
            distance = np.median([run["distance"] for run in runs])
            print(
                f"| {length.minutes:g} | {seconds:g} s | {distance:.2f} | "
                f"{100 * flagged / people:.1f} % ({100 * interval.low:.1f} to "
                f"{100 * interval.high:.1f}) | {100 * outside:.1f} % |"
            )
    print()


def print_damaged(judged: Judged, minutes: Sequence[float], people: int) -> None:
    """Print how often damaged runs are found."""
    print(f"Runs of {people} people, damaged; unusual or outside (by the checks alone):\n")
    print("| damage | " + " | ".join(f"{each:g} minutes" for each in minutes) + " |")
    print("|---" * (1 + len(minutes)) + "|")
    found = [judged.runs(Length(each), DAMAGES, people) for each in minutes]
    for damage in DAMAGES:
        cells = []
        for runs in (of_length[damage.name] for of_length in found):
            flagged = np.mean([run["verdict"] != "inside" for run in runs])
            checks = np.mean([bool(run["checks"]) for run in runs])
            distance = np.median([run["distance"] for run in runs])
            cells.append(f"{100 * flagged:.0f} % ({100 * checks:.0f} %), distance {distance:.1f}")
        print(f"| {damage.name} | " + " | ".join(cells) + " |")


class Judged:
    """Verdicts on people's runs, kept in a folder; another range begins anew."""

    def __init__(
        self, folder: Path, phantom: Phantom, bundle: ModelBundle, training: TrainingDistribution
    ) -> None:
        self.phantom, self.bundle, self.voxels = phantom, bundle, ModelVoxels.of(bundle)
        cells = LatticeBlocks.of(bundle.places.lattice(training.edge).block_of)
        self.judge = DistributionCheck(pattern_places(bundle, self.voxels), training, cells)
        statistics = training.statistics
        identity = zlib.crc32(statistics.centre.tobytes() + statistics.between.tobytes())
        self.folder = folder / f"judged-{identity:08x}"

    def runs(
        self, length: Length, damages: tuple[Damage, ...], people: int
    ) -> dict[str, list[dict[str, object]]]:
        """Return facts about each person's verdict, by damage."""
        name = f"{length.minutes:g}min-{length.repetition_time_s:g}s-{len(damages)}damages"
        rows = [
            self._person(self.folder / name / f"{n:03d}.json", n, length, damages)
            for n in track(range(people), name, console=Console(stderr=True))
        ]
        return {damage.name: [row[damage.name] for row in rows] for damage in damages}

    def _person(
        self, path: Path, n: int, length: Length, damages: tuple[Damage, ...]
    ) -> dict[str, dict[str, object]]:
        if path.exists():
            known: dict[str, dict[str, object]] = json.loads(path.read_text())
            return known
        person = self.phantom.person(COHORT, n)
        facts = {
            damage.name: _facts(
                self.judge.judge(run, mask_overlap(damage, person, self.bundle, self.voxels))
            )
            for damage, run in damaged_runs(person, length, self.bundle, self.voxels, damages)
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(facts))
        return facts


def phantom_bundle(phantom: Phantom) -> ModelBundle:
    """Make a bundle without a network at the phantom's voxel size: grid, masks and ROI maps."""
    anatomy = phantom.anatomy
    maps = np.zeros((len(phantom.roi_maps), int(anatomy.brain.sum())), np.float32)
    maps[:, anatomy.grey_in_brain] = phantom.roi_maps
    part = MapsPart(hcp_contrasts(), anatomy.grid)
    card = ModelCard("phantom", "1", ATTENTION_UNET.name, part)
    brain = VoxelPlaces.within(anatomy.grid, anatomy.brain)
    return ModelBundle(Path(), card, "", brain, anatomy.places, maps)


def _facts(judged: RunCheck) -> dict[str, object]:
    """Return what tables need, and the checks without training statistics that fire."""
    figures = judged.figures
    return {
        "verdict": judged.verdict,
        "distance": judged.distance,
        "reasons": judged.reasons,
        "checks": [check for check in CHECKS if verdict_of(check, figures[check]) != "inside"],
    }


if __name__ == "__main__":
    main()
