"""Make the demo bundle: simulate people, train a small attention U-Net, score it, write it.

    python scripts/train_demo.py --work /tmp/demo_train --minutes 50

It first trains at 4 mm, where an update covers eight times as much of the brain, and then at 2 mm.
The work folder keeps all intermediate data, so the same command resumes an interrupted run. With
the same libraries, the same options give the same bundle, except for the number of epochs that the
minutes allow. The phantom's parameters are fixed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from demo_bundle import write_demo_bundle
from demo_people import Boxes, StoredPeople, StoredSamples, simulate_people
from demo_table import add_intervals, make_table
from torch import Tensor

from bids_dtg.contrasts.network.unet import AttentionUNet
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.contrasts.plan import TrainingPlan
from bids_dtg.contrasts.train import TrainedNetwork, train
from bids_dtg.phantom.streams import Cohort
from bids_dtg.training.loop import Workplace

DEMO = Path(__file__).parent.parent / "bids_dtg" / "bundles" / "demo"


@dataclass(frozen=True)
class Stage:
    """Training at one voxel size."""

    block: int  # edge of a voxel, in multiples of 2 mm
    segments: int  # resting-state segments of each person
    share: float  # share of the minutes
    learning_rate: float
    batch: int  # people in a batch
    boxes: Boxes  # parts of the brain that an update uses


STAGES = (
    Stage(2, 4, 0.4, 4e-3, batch=6, boxes=Boxes(2)),
    Stage(1, 2, 0.6, 1e-3, batch=2, boxes=Boxes(6)),
)


def main() -> None:
    """Simulate, train, score and write the bundle."""
    args = _arguments()
    state, records = None, []
    for stage in STAGES:
        phantom = Phantom(block=stage.block * args.block)
        training, trained = _train(args, stage, phantom, state)
        state = trained.state
        records.append({"voxel_mm": 2 * phantom.block, **trained.card})
    rois, contrasts = len(phantom.roi_maps), len(phantom.design)
    network = AttentionUNet(rois, contrasts, args.features).eval()
    network.load_state_dict(trained.state)
    table = make_table(args.work, phantom, training, network, people=args.held_out)
    write_demo_bundle(args.out, phantom, trained.state, {"stages": records}, table)
    add_intervals(args.work, args.out, args.held_out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--work", type=Path, required=True, help="folder of data and checkpoints"
    )
    parser.add_argument("--out", type=Path, default=DEMO, help="folder of the bundle")
    parser.add_argument(
        "--minutes", type=float, default=50.0, help="minutes of training"
    )
    parser.add_argument(
        "--people", type=int, default=240, help="number of training people"
    )
    parser.add_argument(
        "--held-out", type=int, default=40, help="validation and test people, each"
    )
    parser.add_argument(
        "--features", type=int, default=16, help="features of the first level"
    )
    parser.add_argument(
        "--block", type=int, default=1, help="2: a trial at twice the voxel size"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of weights and batches"
    )
    return parser.parse_args()


def _train(
    args: argparse.Namespace,
    stage: Stage,
    phantom: Phantom,
    start: Mapping[str, Tensor] | None,
) -> tuple[StoredPeople, TrainedNetwork]:
    folder = args.work / f"{2 * phantom.block}mm"
    training, validation = (
        simulate_people(
            folder / cohort.name.lower(), phantom, cohort, people, stage.segments
        )
        for cohort, people in (
            (Cohort.TRAINING, args.people),
            (Cohort.VALIDATION, args.held_out),
        )
    )
    plan = TrainingPlan(
        features=args.features,
        loss="mse",
        learning_rate=stage.learning_rate,
        patience=4,
        factor=0.3,
        epochs=200,
        minutes=args.minutes * stage.share,
        fixed_statistics=start is not None,
        precision="bf16-mixed",
        seed=args.seed,
        batch=stage.batch,
        batches=40,
    )
    trained = train(
        StoredSamples(training, phantom.anatomy.grey, stage.boxes),
        StoredSamples(validation, phantom.anatomy.grey, stage.boxes),
        plan,
        Workplace(folder / "checkpoints", device=args.device),
        start=start,
        report=lambda line: print(line, flush=True),
    )
    return training, trained


if __name__ == "__main__":
    main()
