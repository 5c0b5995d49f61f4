"""Are clean runs of any length in a model's range, and damaged ones not? Simulated runs.

    python studies/out_of_distribution.py --work /tmp/out_of_distribution

The range is learned from training people's runs as `scripts/demo_statistics.py` does; or a bundle
is given whose range is taken (--bundle, of 2 mm voxels). `--version` says which phantom's people.
Other people's runs are judged: clean ones of each of `--minutes`, clean ones of each of
`--strategies` (by a range learned from runs cleaned alike, and by that of `simple`), and damaged
ones of each of `--damaged-minutes`. Of `--pairs` of people, two runs each are compared: would
somebody notice that one is another person's? Shares have Wilson's 95 % interval over people.
Figures are kept in the work folder: the same command resumes a stopped call.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from damaged_runs import CLEANINGS, DAMAGES, Damage, Length, damaged_runs, mask_overlap
from demo_distribution import (
    PEOPLE,
    SimulatedRun,
    brain_positions,
    learn_distribution,
    pattern_places,
)
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

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
from bids_dtg.contrasts.phantom.parameters import VERSION_2, PhantomParameters
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.stats.metrics import correlation_matrix
from bids_dtg.stats.paired import wilson_interval

COHORT = 11  # a number that no other cohort has
CLEAN = DAMAGES[:1]
REFUSED = "refused"  # a run that keeps too few frames, as the program refuses it
VERSIONS = {1: PhantomParameters(), 2: VERSION_2}


def main() -> None:
    """Print tables of clean runs, of strategies, of damaged runs, and of mixed-up people."""
    args = _arguments()
    phantom = Phantom(VERSIONS[args.version], block=args.block)
    folder = args.work / f"{2 * args.block}mm-version-{args.version}"
    if args.bundle is None:
        bundle = phantom_bundle(phantom)
        training = learn_distribution(folder / "training", phantom, bundle, args.training_people)
    else:
        bundle = load_bundle(args.bundle)
        training = bundle.training_distribution
    judged = Judged(folder, phantom, bundle, training)
    print(
        f"phantom {phantom.parameters.version}, voxels of {2 * args.block} mm; unusual above "
        f"{training.unusual:.2f}, outside above {training.outside:.2f} (range of "
        f"{training.participants} people)\n"
    )
    if args.people:
        lengths = [Length(n, tr) for tr in args.repetition_times for n in args.minutes]
        print_clean(judged, lengths, args.people)
    if args.strategies:
        chosen = [row for row in CLEANINGS if row.name in args.strategies]
        print_strategies(judged, chosen, args.damaged_minutes, args)
    if args.damaged_people:
        print_damaged(judged, args.damaged_minutes, args.damaged_people)
    if args.pairs:
        print_mixed_up(judged, args.damaged_minutes, args.pairs)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for what was computed")
    parser.add_argument("--bundle", help="whose range is taken; by default one is learned")
    parser.add_argument("--version", type=int, choices=VERSIONS, default=2, help="of the phantom")
    parser.add_argument("--block", type=int, default=4, help="2 mm voxels along an edge of a voxel")
    parser.add_argument("--training-people", type=int, default=PEOPLE, help="to learn from")
    parser.add_argument("--people", type=int, default=200, help="with clean runs of each length")
    parser.add_argument("--minutes", type=float, nargs="+", default=(4.2, 5, 7, 10, 15))
    parser.add_argument("--repetition-times", type=float, nargs="+", default=(1.5,), help="in s")
    names = [row.name for row in CLEANINGS]
    parser.add_argument("--strategies", nargs="+", choices=names, default=(), help="of cleaning")
    parser.add_argument("--strategy-people", type=int, default=100, help="with runs cleaned so")
    parser.add_argument("--damaged-people", type=int, default=0, help="with runs of each damage")
    parser.add_argument("--damaged-minutes", type=float, nargs="+", default=(5, 7.5, 10))
    parser.add_argument("--pairs", type=int, default=0, help="people with two runs each")
    return parser.parse_args()


def print_clean(judged: Judged, lengths: Sequence[Length], people: int) -> None:
    """Print how often clean runs are not inside."""
    print(f"Clean runs of {people} people:\n")
    print("| minutes | TR | distance, median | unusual or outside (95 % interval) | outside |")
    print("|---|---|---|---|---|")
    for length in lengths:
        runs = judged.runs(length, CLEAN, people)[CLEAN[0].name]
        outside = np.mean([run["verdict"] == "outside" for run in runs])
        distance = np.median([run["distance"] for run in runs])
        print(
            f"| {length.minutes:g} | {length.repetition_time_s:g} s | {distance:.2f} | "
            f"{_flagged(runs)} | {100 * outside:.1f} % |"
        )
    print()


def print_strategies(
    simple: Judged, chosen: Sequence[Damage], minutes: Sequence[float], args: argparse.Namespace
) -> None:
    """Print how often clean runs of strategies are not inside, by two ranges."""
    people = args.strategy_people
    print(f"Clean runs of {people} people; unusual or outside (95 % interval):\n")
    print(
        "| strategy | minutes | people | by a range of runs cleaned alike | by the range of "
        "`simple` |"
    )
    print("|---|---|---|---|---|")
    for row in chosen:
        assert row.cleaning is not None
        own = simple
        if row.name != CLEANINGS[0].name:
            folder = simple.folder.parent / f"training-{row.name}"
            training = learn_distribution(
                folder, simple.phantom, simple.bundle, args.training_people, cleaning=row.cleaning
            )
            own = Judged(simple.folder.parent, simple.phantom, simple.bundle, training)
        for length in map(Length, minutes):
            found = [judged.runs(length, (row,), people)[row.name] for judged in (own, simple)]
            cells = [str(len(found[0])), *map(_flagged, found)]
            print(f"| {row.name} | {length.minutes:g} | {' | '.join(cells)} |")
    print()


def print_damaged(judged: Judged, minutes: Sequence[float], people: int) -> None:
    """Print how often damaged runs are found."""
    print(
        f"Runs of {people} people, damaged; unusual or outside (95 % interval), then by the "
        "checks alone, then the median distance:\n"
    )
    print("| damage | " + " | ".join(f"{each:g} minutes" for each in minutes) + " |")
    print("|---" * (1 + len(minutes)) + "|")
    found = [judged.runs(Length(each), DAMAGES, people) for each in minutes]
    for damage in DAMAGES:
        cells = []
        for runs in (of_length[damage.name] for of_length in found):
            checks = np.mean([bool(run["checks"]) for run in runs])
            distance = np.median([run["distance"] for run in runs])
            cells.append(f"{_flagged(runs)}; {100 * checks:.0f} %; {distance:.1f}")
        print(f"| {damage.name} | " + " | ".join(cells) + " |")
    print()


def print_mixed_up(judged: Judged, minutes: Sequence[float], people: int) -> None:
    """Print how often two runs that are said to be one person's are seen to be two people's."""
    print(f"Two runs each of {people} people:\n")
    print("| minutes | finds its person's other run | mixed-up pairs found (5 % false alarms) |")
    print("|---|---|---|")
    for length in map(Length, minutes):
        alike = correlation_matrix(*judged.pairs(length, people))
        own = np.diagonal(alike)
        found = (alike >= own[:, None]).sum(axis=1) == 1
        limit = np.quantile(own, 0.05)
        # Of each person the share of others whose run is less alike than that.
        others = [np.delete(row, n) < limit for n, row in enumerate(alike)]
        share = float(np.mean(others))
        print(f"| {length.minutes:g} | {_share(found.mean(), people)} | {_share(share, people)} |")


def _flagged(runs: Sequence[Mapping[str, object]]) -> str:
    flagged = np.mean([run["verdict"] != "inside" for run in runs])
    return _share(float(flagged), len(runs))


def _share(share: float, people: int) -> str:
    found = wilson_interval(share, people)
    return f"{100 * share:.1f} % ({100 * found.low:.1f} to {100 * found.high:.1f})"


class Judged:
    """Verdicts on people's runs, kept in a folder; another range begins anew."""

    def __init__(
        self, folder: Path, phantom: Phantom, bundle: ModelBundle, training: TrainingDistribution
    ) -> None:
        self.phantom, self.bundle, self.voxels = phantom, bundle, ModelVoxels.of(bundle)
        self.training = training
        self.cells = LatticeBlocks.of(bundle.places.lattice(training.edge).block_of)
        self.judge = DistributionCheck(pattern_places(bundle, self.voxels), training, self.cells)
        statistics = training.statistics
        identity = zlib.crc32(statistics.centre.tobytes() + statistics.between.tobytes())
        self.folder = folder / f"judged-{identity:08x}"

    def runs(
        self, length: Length, damages: tuple[Damage, ...], people: int
    ) -> dict[str, list[dict[str, object]]]:
        """Return facts about each person's verdict, by damage; refused runs have none."""
        of = zlib.crc32(repr([damage.name for damage in damages]).encode())
        name = f"{_named(length)}-{of:08x}"
        rows = [
            self._person(self.folder / name / f"{n:03d}.json", n, length, damages)
            for n in track(range(people), name, console=Console(stderr=True))
        ]
        return {
            damage.name: [
                row[damage.name] for row in rows if row[damage.name]["verdict"] != REFUSED
            ]
            for damage in damages
        }

    def pairs(self, length: Length, people: int) -> NDArray[np.float32]:
        """Return two runs' connectomes less the training's mean, (2, people, values)."""
        rows = [
            self._pair(self.folder / f"{_named(length)}-pairs" / f"{n:03d}.npy", n, length)
            for n in track(range(people), f"{_named(length)}, pairs", console=Console(stderr=True))
        ]
        return np.stack(rows, axis=1)

    def _pair(self, path: Path, n: int, length: Length) -> NDArray[np.float32]:
        if path.exists():
            known: NDArray[np.float32] = np.load(path)
            return known
        person, runs = self.phantom.person(COHORT, n), []
        source = brain_positions(self.bundle).ravel()[self.voxels.places.positions]
        for number in range(2):
            simulated = SimulatedRun.of(person, length, number)
            run = simulated.connectomes(source, self.bundle, self.voxels)
            mean = np.mean([segment.marginal for segment in run.segments], axis=0)
            runs.append((self.cells.means(mean, run.covered) - self.training.basis.mean).ravel())
        path.parent.mkdir(parents=True, exist_ok=True)
        pair: NDArray[np.float32] = np.nan_to_num(np.stack(runs)).astype(np.float32)
        np.save(path, pair)
        return pair

    def _person(
        self, path: Path, n: int, length: Length, damages: tuple[Damage, ...]
    ) -> dict[str, dict[str, object]]:
        if path.exists():
            known: dict[str, dict[str, object]] = json.loads(path.read_text())
            return known
        person = self.phantom.person(COHORT, n)
        facts: dict[str, dict[str, object]]
        try:
            facts = {
                damage.name: _facts(
                    self.judge.judge(run, mask_overlap(damage, person, self.bundle, self.voxels))
                )
                for damage, run in damaged_runs(person, length, self.bundle, self.voxels, damages)
            }
        except ValueError:
            if len(damages) > 1:
                raise
            facts = {damages[0].name: {"verdict": REFUSED}}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(facts))
        return facts


def _named(length: Length) -> str:
    return f"{length.minutes:g}min-{length.repetition_time_s:g}s"


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
