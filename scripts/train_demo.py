"""Make the demo bundle: simulate people, train a small attention U-Net, score it, write it.

    python scripts/train_demo.py --work /tmp/demo_train --minutes 50

It first trains on voxels of 4 mm, where an update sees eight times as much of a brain, and then
at 2 mm. The work folder keeps all intermediate data, so the same command resumes a stopped call.
With the same libraries, the same options give the same bundle, except for the number of epochs
that the minutes allow. The phantom's parameters are frozen.
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
    """Training on voxels of one size."""

    block: int  # 2 mm voxels along an edge of a voxel
    segments: int  # of rest for each person
    share: float  # of the minutes
    learning_rate: float
    batch: int  # people in a batch
    boxes: Boxes  # each update sees other people at other places


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
    parser.add_argument("--work", type=Path, required=True, help="folder of data and checkpoints")
    parser.add_argument("--out", type=Path, default=DEMO, help="the bundle's folder")
    parser.add_argument("--minutes", type=float, default=50.0, help="of training")
    parser.add_argument("--people", type=int, default=240, help="to train on")
    parser.add_argument("--held-out", type=int, default=40, help="people to validate, and to test")
    parser.add_argument("--features", type=int, default=16, help="of the network's first level")
    parser.add_argument("--block", type=int, default=1, help="2: a trial at twice the voxel size")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches")
    return parser.parse_args()


def _train(
    args: argparse.Namespace, stage: Stage, phantom: Phantom, start: Mapping[str, Tensor] | None
) -> tuple[StoredPeople, TrainedNetwork]:
    folder = args.work / f"{2 * phantom.block}mm"
    training, validation = (
        simulate_people(folder / cohort.name.lower(), phantom, cohort, people, stage.segments)
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
