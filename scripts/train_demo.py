"""Make the demo bundle: simulate people, train a small attention U-Net, score it, write it.

python scripts/train_demo.py --work /tmp/demo_train --minutes 40

Everything is kept in the work folder, so a call goes on where an earlier one was stopped.
With the same versions of the libraries the same options give the same bundle, but for the
number of epochs that the minutes allow. The phantom's parameters are frozen.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from demo_bundle import write_demo_bundle
from demo_people import CONNECTOME_STEP, MAP_STEP, StoredPeople, simulate_people
from demo_table import make_table

from bids_dtg.contrasts.network import AttentionUNet
from bids_dtg.contrasts.samples import ArraySamples, Sampling
from bids_dtg.contrasts.train import train
from bids_dtg.contrasts.training_plan import TrainingPlan
from bids_dtg.phantom.model import Phantom
from bids_dtg.phantom.streams import Cohort

DEMO = Path(__file__).parent.parent / "bids_dtg" / "bundles" / "demo"
# Boxes of 48 mm: each update sees other people at other places, and fits a small machine.
SAMPLING = Sampling(people=5, crop=24, boxes=4, margin=2)


def main() -> None:
    """Do all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder of data and checkpoints")
    parser.add_argument("--out", type=Path, default=DEMO, help="the bundle's folder")
    parser.add_argument("--minutes", type=float, default=40.0, help="of training")
    parser.add_argument("--people", type=int, default=240, help="to train on")
    parser.add_argument("--segments", type=int, default=2, help="of rest of each of them")
    parser.add_argument("--held-out", type=int, default=40, help="people to validate, and to test")
    parser.add_argument("--features", type=int, default=16, help="of the network's first level")
    parser.add_argument("--block", type=int, default=1, help="voxels of 2 mm a voxel; 4: a trial")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches")
    args = parser.parse_args()

    phantom = Phantom(block=args.block)
    people = args.work / "people"
    training = simulate_people(
        people / "training", phantom, Cohort.TRAINING, args.people, args.segments
    )
    validation = simulate_people(
        people / "validation", phantom, Cohort.VALIDATION, args.held_out, args.segments
    )
    plan = TrainingPlan(
        features=args.features,
        loss="mse",
        patience=4,
        factor=0.3,
        epochs=200,
        minutes=args.minutes,
        seed=args.seed,
        sampling=SAMPLING,
    )
    trained = train(
        _samples(training, phantom),
        _samples(validation, phantom),
        plan,
        args.work / "checkpoints",
        device=args.device,
        tell=lambda line: print(line, flush=True),
    )
    rois, contrasts = phantom.parameters.networks, len(phantom.design)
    network = AttentionUNet(rois, contrasts, plan.features, plan.levels).eval()
    network.load_state_dict(trained.state)
    table = make_table(args.work, phantom, training, network, people=args.held_out)
    write_demo_bundle(args.out, phantom, trained, table)


def _samples(people: StoredPeople, phantom: Phantom) -> ArraySamples:
    return ArraySamples(
        people.connectomes, people.maps, phantom.anatomy.grey, (CONNECTOME_STEP, MAP_STEP)
    )


if __name__ == "__main__":
    main()
