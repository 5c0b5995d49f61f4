"""What fine-tuning does on the phantom: the figures of docs/evidence/group.md.

    nice -n 15 python studies/finetuning.py --work /tmp/recipes [--epochs 50]

Starts from the network that `studies/recipes.py` trained in the same work folder (`position`,
MSE, seed 0). Schedule 1: a new scanner (more and smoother noise, more shared signal) and one of
the 47 contrasts, 40 people to tune, 10 to validate, 40 to test. Schedule 2: contrasts of tasks
that weight the networks differently, learnt from 5, 10, 20 and 40 people. Voxels of 8 mm.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from demo_people import CONNECTOME_STEP, SegmentModel, StoredPeople, simulate_people

from bids_dtg.contrasts.judging.model_scores import score_maps
from bids_dtg.contrasts.judging.model_table import summary_row
from bids_dtg.contrasts.local_ridge import LocalRidgeSums
from bids_dtg.contrasts.network.parameters import Parameters
from bids_dtg.contrasts.network.prepared import prepare
from bids_dtg.contrasts.network.unet import AttentionUNet
from bids_dtg.contrasts.network.weights import OUTPUT, with_new_outputs, with_outputs_of, with_rows
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.contrasts.phantom.parameters import PhantomParameters
from bids_dtg.contrasts.plan import TrainingPlan
from bids_dtg.contrasts.recentring import RecentringSums
from bids_dtg.contrasts.samples import PersonSamples, Sampling
from bids_dtg.contrasts.train import train
from bids_dtg.phantom.streams import Cohort
from bids_dtg.stats.linear import LinearBaseline
from bids_dtg.training.loop import Workplace

Array = NDArray[np.float32]

FEATURES, BLOCK, SEGMENTS = 16, 4, 4
TUNE, VALIDATE, TEST = 40, 10, 40
# WM 0BK; and LANGUAGE MATH and STORY, SOCIAL RANDOM and EMOTION FACES of the other tasks.
KNOWN, NEW = 21, (0, 1, 6, 9)
NEW_SCANNER = dataclasses.replace(
    PhantomParameters(), voxel_noise=1.5, voxel_noise_fwhm_mm=10.0, global_signal=0.6
)
COHORT = Cohort.DEMO  # contains nobody from the network's training


def predictions(
    state: Mapping[str, Tensor], contrasts: int, people: StoredPeople, mask: NDArray[np.bool_]
) -> Array:
    network = AttentionUNet(50, contrasts, FEATURES).eval()
    network.load_state_dict(state)
    predict = prepare(Parameters.of(network), mask).predict
    return np.stack(
        [
            np.mean([predict(steps * np.float32(CONNECTOME_STEP)) for steps in segments], axis=0)
            for segments in people.connectomes
        ]
    )


def samples(
    people: StoredPeople, numbers: Sequence[int], rows: Sequence[int], mask: NDArray[np.bool_]
) -> PersonSamples:
    connectomes = [
        people.connectomes[n].astype(np.float32) * np.float32(CONNECTOME_STEP) for n in numbers
    ]
    return PersonSamples(connectomes, [people.measured(n)[list(rows)] for n in numbers], mask)


def plan(epochs: int, people: int, loss: str, frozen: tuple[str, ...] = ()) -> TrainingPlan:
    return TrainingPlan(
        features=FEATURES,
        loss=loss,  # type: ignore[arg-type]
        epochs=epochs,
        precision="bf16-mixed",
        frozen=frozen,
        sampling=Sampling(people=min(10, people)),
    )


def recentred(predicted: Array, validation: Array, measured: Array, mean: Array) -> Array:
    sums = RecentringSums()
    for maps, own in zip(validation, measured, strict=True):
        sums.add(maps, own)
    correction = sums.correction(mean)
    return np.stack([correction.apply(maps) for maps in predicted])


def row(name: str, predicted: Array, measured: Array, mean: Array) -> str:
    """Return a row of scores of (people, contrasts, voxels), mean over contrasts."""
    found = summary_row(score_maps(name, predicted, measured, mean))
    cells = []
    for key in ("r", "residual_r", "identification"):
        cells.append("n/a" if found[key] is None else "{:.3f} [{:.3f}, {:.3f}]".format(*found[key]))
    return f"| {name} | " + " | ".join(cells) + " |"


def first(people: StoredPeople, start: int, stop: int) -> StoredPeople:
    return StoredPeople(people.connectomes[start:stop], people.maps[start:stop])


def measured_of(people: StoredPeople) -> Array:
    return np.stack([people.measured(n) for n in range(len(people.maps))])


def schedule_1(work: Path, base: Mapping[str, Tensor], epochs: int) -> None:
    phantom = Phantom(NEW_SCANNER, seed=0, block=BLOCK)
    mask = phantom.anatomy.grey
    people = simulate_people(
        work / "scanner" / "people",
        phantom,
        COHORT,
        TUNE + VALIDATE + TEST,
        SEGMENTS,
    )
    tune, validate, test = (
        first(people, 0, TUNE),
        first(people, TUNE, TUNE + VALIDATE),
        first(people, TUNE + VALIDATE, len(people.maps)),
    )
    trained = train(
        samples(people, range(TUNE), [KNOWN], mask),
        samples(people, range(TUNE, TUNE + VALIDATE), [KNOWN], mask),
        plan(epochs, TUNE, "crr", (OUTPUT,)),
        Workplace(work / "scanner" / "tuned"),
        start=with_rows(base, [KNOWN]),
    )
    whole = with_outputs_of(dict(trained.state), base)
    own, mean = measured_of(test), measured_of(tune).mean(axis=0)
    before, after = (predictions(state, 47, test, mask) for state in (base, whole))
    held = [predictions(state, 47, validate, mask) for state in (base, whole)]
    print(f"\nSchedule 1, best epoch {trained.card['best_epoch']} of {epochs}\n")
    print("| contrast | r | residual r | identified |\n|---|---|---|---|")
    tuned = slice(KNOWN, KNOWN + 1)
    print(row("tuned contrast, before", before[:, tuned], own[:, tuned], mean[tuned]))
    print(row("tuned contrast, after", after[:, tuned], own[:, tuned], mean[tuned]))
    both = [
        recentred(p, h, measured_of(validate), mean)
        for p, h in zip((before, after), held, strict=True)
    ]
    for name, maps in zip(("before", "after"), both, strict=True):
        cells = maps[:, tuned], own[:, tuned], mean[tuned]
        print(row(f"tuned contrast, {name}, re-centred", *cells))
    others = [q for q in range(47) if q != KNOWN]
    named = {"before": before, "after": after}
    named |= {f"{name}, re-centred": maps for name, maps in zip(list(named), both, strict=True)}
    for name, maps in named.items():
        cells = maps[:, others], own[:, others], mean[others]
        print(row(f"the other 46, {name}", *cells), flush=True)


def schedule_2(work: Path, base: Mapping[str, Tensor], epochs: int) -> None:
    phantom = Phantom(PhantomParameters(), seed=0, block=BLOCK)  # version 1
    order = np.random.default_rng(99).permutation(phantom.parameters.networks)
    phantom.structure = dataclasses.replace(
        phantom.structure, weights=phantom.structure.weights[:, order]
    )
    mask, rows = phantom.anatomy.grey, list(NEW)
    people = simulate_people(
        work / "new_task" / "people",
        phantom,
        COHORT,
        TUNE + VALIDATE + TEST,
        SEGMENTS,
    )
    validate = first(people, TUNE, TUNE + VALIDATE)
    test = first(people, TUNE + VALIDATE, len(people.maps))
    own, held = measured_of(test)[:, rows], measured_of(validate)[:, rows]
    test_x = [test.mean_connectome(n) for n in range(len(test.maps))]
    print("\nSchedule 2\n\n| people, model | r | residual r | identified |\n|---|---|---|---|")
    for n in (5, 10, 20, 40):
        x = [people.mean_connectome(k) for k in range(n)]
        y = [people.measured(k)[rows] for k in range(n)]
        mean = np.mean(y, axis=0)
        print(row(f"{n}, group average", np.broadcast_to(mean, own.shape), own, mean))
        parcels = SegmentModel.fit(people, y, phantom.roi_maps)
        predicted = np.stack([parcels.predict(test, k) for k in range(len(test.maps))])
        print(row(f"{n}, linear (Tavor)", predicted, own, mean))
        linear = LinearBaseline().fit(x, y)
        print(row(f"{n}, linear, whole brain", linear.predict(test_x), own, mean))
        sums = LocalRidgeSums(phantom.anatomy.places.lattice(1))
        for a, b in zip(x, y, strict=True):
            sums.fit_person(a, b)
        ridge = sums.solve(3.0)
        print(row(f"{n}, local ridge", np.stack([ridge.predict(a) for a in test_x]), own, mean))
        trained = train(
            samples(people, range(n), rows, mask),
            samples(people, range(TUNE, TUNE + VALIDATE), rows, mask),
            plan(epochs, n, "mse"),
            Workplace(work / "new_task" / f"tuned_{n}"),
            start=with_new_outputs(base, len(rows), seed=0),
        )
        p, q = (predictions(trained.state, len(rows), cohort, mask) for cohort in (test, validate))
        print(row(f"{n}, tuned network", p, own, mean))
        name = f"{n}, tuned network, re-centred on {VALIDATE} more"
        print(row(name, recentred(p, q, held, mean), own, mean), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=50)
    args = parser.parse_args()
    torch.set_num_threads(1)
    saved = torch.load(args.work / "position" / "mse_0" / "best.ckpt", weights_only=True)
    base = {
        name.removeprefix("network."): tensor.contiguous()
        for name, tensor in saved["state_dict"].items()
        if name.startswith("network.")
    }
    schedule_1(args.work, base, args.epochs)
    schedule_2(args.work, base, args.epochs)


if __name__ == "__main__":
    main()
