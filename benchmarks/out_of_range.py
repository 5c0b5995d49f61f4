"""Are runs outside a model's range detected? Simulated runs, damaged in known ways.

    python benchmarks/out_of_range.py --work /tmp/out_of_range --training /tmp/demo_train

The training statistics come from the people that `scripts/train_demo.py` has simulated at 4 mm
(--training, its work folder), the threshold for 5 % false alarms from intact runs of one group of
people, and detection rates from damaged runs of another. Voxels are 4 mm, which takes an eighth of
the time. The same command resumes a stopped call.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from damaged_runs import (
    DAMAGES,
    FRAMES,
    REPETITION_TIME_S,
    STEP,
    Damage,
    mask_overlap,
    run_facts,
    simulate_damaged,
)

from bids_dtg.bundles.bundle import ModelBundle
from bids_dtg.bundles.card import ModelCard
from bids_dtg.bundles.kinds import ATTENTION_UNET
from bids_dtg.bundles.maps_part import MapsPart
from bids_dtg.connectome.connectome import Connectome, RunConnectomes
from bids_dtg.connectome.range.judge import CHECKS, RangeJudge, RunRange, verdict_of
from bids_dtg.connectome.range.pattern import PatternPlaces
from bids_dtg.connectome.range.training import Cells
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.phantom.contrasts.model import Phantom
from bids_dtg.workflows.participant.measure import ModelVoxels

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from demo_statistics import learn_range

WHOLE_COHORT, DAMAGED_COHORT = 11, 12  # numbers that no other cohort has
FALSE_ALARMS = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for simulated runs")
    parser.add_argument("--training", type=Path, required=True, help="folder of train_demo.py")
    parser.add_argument("--people", type=int, default=40, help="of each group")
    parser.add_argument("--block", type=int, default=2, help="2 mm voxels along an edge of a voxel")
    args = parser.parse_args()
    phantom = Phantom(block=args.block)
    bundle = _model(phantom)
    voxels = ModelVoxels.of(bundle)
    training = learn_range(args.training / f"{2 * args.block}mm" / "training", bundle)
    grey = voxels.maps[:, : voxels.grey_voxels]
    places = bundle.places
    judge = RangeJudge(
        PatternPlaces(grey, places.mirror(), places.neighbours()),
        training,
        Cells.of(places.lattice(training.block).cell),
    )

    def judged(folder: str, cohort: int, damages: tuple[Damage, ...]) -> dict[str, list[RunRange]]:
        work = args.work / folder
        arrays = simulate_damaged(work, phantom, bundle, cohort, args.people, damages)
        facts = run_facts(work)
        return {
            damage.name: [
                judge.judge(
                    _run(arrays[damage.name][n], facts[n][damage.name]),
                    mask_overlap(damage, phantom.person(cohort, n), bundle, voxels),
                )
                for n in range(args.people)
            ]
            for damage in damages
        }

    whole = judged("whole", WHOLE_COHORT, DAMAGES[:1])[DAMAGES[0].name]
    threshold = float(np.quantile([run.distance for run in whole], 1 - FALSE_ALARMS))
    print(
        f"{args.people} people each; threshold {threshold:.2f}; shipped rule: unusual above "
        f"{training.unusual:.2f}, outside above {training.outside:.2f}\n"
    )
    print(
        "| damage | distance, median | distance at 5 % false alarms | distance or checks | "
        "checks alone | shipped: unusual or outside | outside |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, runs in judged("damaged", DAMAGED_COHORT, DAMAGES).items():
        far = np.array([run.distance > threshold for run in runs])
        checks = np.array([bool(_checks(run)) for run in runs])
        flagged = np.array([run.verdict != "in range" for run in runs])
        outside = np.array([run.verdict == "outside" for run in runs])
        shares = [far, far | checks, checks, flagged, outside]
        cells = " | ".join(f"{100 * share.mean():.0f} %" for share in shares)
        print(f"| {name} | {np.median([run.distance for run in runs]):.1f} | {cells} |")
        fired = sorted({check for run in runs for check in _checks(run)})
        example = max(runs, key=lambda run: run.distance).reasons[:1]
        print(f"  checks: {', '.join(fired) or 'none'}; e.g. {example}", file=sys.stderr)


def _model(phantom: Phantom) -> ModelBundle:
    """Make a bundle without a network at the phantom's voxel size: grid, masks and ROI maps."""
    anatomy = phantom.anatomy
    maps = np.zeros((len(phantom.roi_maps), int(anatomy.brain.sum())), np.float32)
    maps[:, anatomy.grey_in_brain] = phantom.roi_maps
    part = MapsPart(hcp_contrasts())
    card = ModelCard("phantom", "1", ATTENTION_UNET.name, anatomy.grid, part)
    return ModelBundle(Path(), card, "", anatomy.brain, anatomy.grey, maps)


def _run(steps: np.ndarray, facts: dict[str, object]) -> RunConnectomes:
    """Rebuild from the stored data the parts of a run that the judge reads."""
    r = steps.astype(np.float32) * np.float32(STEP)
    sd, voxels = np.array(facts["series_sd"]), np.zeros(r.shape[1], np.float32)
    return RunConnectomes(
        segments=(Connectome(r, FRAMES, FRAMES * REPETITION_TIME_S),),
        whole=None,
        odd=None,
        even=None,
        agreement=voxels,
        icc=voxels,
        covered=(steps != 0).any(axis=0),
        roi_coverage=np.array(facts["roi_coverage"]),
        series=np.stack([sd, -sd]),
        roi_r=np.eye(len(r)),
        tsnr=voxels,
    )


def _checks(judged: RunRange) -> list[str]:
    """Return the checks without training statistics that fire."""
    return [figure for figure in CHECKS if verdict_of(figure, judged.figures[figure]) != "in range"]


if __name__ == "__main__":
    main()
