"""The published recipe at its full width on the phantom, beside simple models.

    python studies/published_recipe.py WORK --device cuda --processes 16

The network of DeepTaskGen (64 features, CR-R loss, Adam at 1e-3, batches of 10, rate lowered where
the validation loss stays) for 100 epochs of 80 updates, on people of the phantom (version 2, voxels
of 4 mm, four segments of rest), whom no other study used. Prints the table of docs/evidence/gpu.md:
means over test people of means over contrasts, with 95 % intervals over people; one population and
one training, so that nothing is said of others. The work folder keeps all results: the same command
resumes a stopped call, and training after the last whole epoch.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from recipes import (
    Array,
    World,
    blend,
    closed_form,
    compare,
    fit_network,
    print_rows,
    recentring,
    scores,
    stack,
)

from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.contrasts.plan import TrainingPlan
from bids_dtg.phantom.streams import Cohort

SEED = 16  # of the phantom: no parameter was set on it, and no model judged
BLOCK, SEGMENTS = 2, 4
SIMPLE = ("linear (Tavor)", "local ridge")
RAW, CENTRED = "published recipe, as it is", "published recipe, re-centred"
BLEND = "blend: local ridge + network"


def main() -> None:
    """Simulate, train, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder of people and models")
    parser.add_argument("--people", type=int, default=800, help="to train on")
    parser.add_argument("--held-out", type=int, default=40, help="people to validate, and to test")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--features", type=int, default=TrainingPlan.features)
    parser.add_argument("--minutes", type=float, help="of training at most, earlier calls included")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--processes", type=int, default=1, help="that simulate people")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches")
    args = parser.parse_args()
    people = {
        Cohort.TRAINING: args.people,
        Cohort.VALIDATION: args.held_out,
        Cohort.TEST: args.held_out,
    }
    keep_asked(args)
    world = World.simulate(
        args.work, Phantom(seed=SEED, block=BLOCK), people, SEGMENTS, args.processes
    )
    plan = TrainingPlan(
        features=args.features, epochs=args.epochs, minutes=args.minutes, seed=args.seed
    )
    folder = args.work / f"network_{args.seed}"
    network = fit_network(world, folder, plan, args.device)
    mean_map = mean_of(world)
    print_table(world, mean_map, predictions(world, args.work, network, mean_map))
    card = json.loads((folder / "training.json").read_text())
    print(
        f"\n{args.people} people to train on, {args.held_out} to validate and {args.held_out} to "
        f"test; {len(card['history'])} epochs in {card['seconds']:.0f} s, the best one "
        f"{card['best_epoch'] + 1}, after {card['updates']:,} updates; PyTorch {card['torch']}"
    )


def keep_asked(args: argparse.Namespace) -> None:
    """Record what is asked of a work folder; end the program where it was something else."""
    path = args.work / "asked.json"
    names = ("people", "held_out", "epochs", "features", "seed")
    asked = {name: getattr(args, name) for name in names}
    known = json.loads(path.read_text()) if path.exists() else asked
    if known != asked:
        raise SystemExit(f"{args.work} holds results of {known}, not of {asked}: name another")
    args.work.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asked))


def predictions(
    world: World, folder: Path, network: dict[str, np.ndarray], mean_map: Array
) -> Iterator[tuple[str, Array]]:
    """Yield name and test people's maps of every model."""
    held = stack(world.validation)[1]
    test = network["test"].astype(np.float32)
    yield "group average", np.broadcast_to(mean_map, test.shape)
    found = {}
    for name, maps in closed_form(world, folder, SIMPLE):
        found[name] = maps["held"], maps["test"]
        yield name, maps["test"]
    yield RAW, test
    yield "published recipe, another person's", np.roll(test, 1, axis=0)
    correction = recentring(network["validation"], held, mean_map)
    yield CENTRED, np.stack([correction.apply(maps) for maps in test])
    yield BLEND, blend(found["local ridge"], network, held, mean_map)
    yield "retest", world.answers.retest.astype(np.float32)
    yield "ceiling: what rest could tell", world.answers.knowable.astype(np.float32)


def mean_of(world: World) -> Array:
    """Return the training people's mean map, one person at a time."""
    total = np.zeros(world.training.maps.shape[1:])
    for person in range(len(world.training.maps)):
        total += world.training.measured(person)
    mean: Array = (total / len(world.training.maps)).astype(np.float32)
    return mean


def print_table(world: World, mean_map: Array, maps: Iterable[tuple[str, Array]]) -> None:
    """Print a row for each model, and the network less each of the others."""
    measured = stack(world.test)[1]
    found = {name: scores(own, measured, mean_map) for name, own in maps}
    print_rows({name: [own] for name, own in found.items()})
    print()
    for name in ("group average", *SIMPLE):
        print(compare(f"{CENTRED} - {name}", [found[CENTRED]], [found[name]]))
    print(compare(f"{BLEND} - local ridge", [found[BLEND]], [found["local ridge"]]))


if __name__ == "__main__":
    main()
