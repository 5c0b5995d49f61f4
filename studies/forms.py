"""Forms of the connectome × kinds of model × numbers of people: docs/evidence/phantom.md.

    OMP_NUM_THREADS=1 python studies/forms.py --work /tmp/forms [--no-network]

Phantoms of several seeds at 8 mm, two segments of rest a person (14.4 minutes), by voxel and
grouped to 360 parcels. The linear kinds and local ridge learn from 5, 10, 20 and 60 people, the
network from 60. The linear kinds read one connectome of the whole run, the others one of each
segment. 20 further people choose the penalty of local ridge, the weights of the blend, and the
epoch, the mean prediction and the gains of the network. All are judged on the same 30 people, in
tens: chance of identification is 0.10. The work folder keeps all scores: the same command resumes
a stopped call.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2

from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.blend import BlendSums, blended
from bids_dtg.contrasts.judging.people_scores import PeopleScores
from bids_dtg.contrasts.linear import LeftOut, LinearSums, Parcels, fit_person, mean_features
from bids_dtg.contrasts.local_ridge import LocalRidgeSums
from bids_dtg.contrasts.local_ridge_kind import PENALTIES
from bids_dtg.contrasts.people import Person, mean_maps, predicted_maps
from bids_dtg.contrasts.phantom.model import Person as SimulatedPerson
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.contrasts.phantom.parameters import PhantomParameters
from bids_dtg.contrasts.phantom.rest import segment_connectome
from bids_dtg.contrasts.recentring import RecentringSums
from bids_dtg.imaging.lattice import Lattice, point_lattice
from bids_dtg.phantom.streams import Cohort
from bids_dtg.stats.linear import roi_parcels

Array = NDArray[np.float32]
Scores = dict[str, float]
Key = tuple[str, str, str]  # places, form, "segments" or "whole"

BLOCK, SEGMENTS, PARCELS, TEN = 4, 2, 360, 10
PEOPLE = {Cohort.TRAINING: 60, Cohort.VALIDATION: 20, Cohort.TEST: 30}
NUMBERS = 5, 10, 20, 60  # of people to train on
GROUPS = {"voxels": 1, "parcels": 3}  # of so many people, where there are enough
FORMS = {name: Form(name) for name in ("marginal", "partial")}
PLACES = ("voxels", "parcels")
EPOCHS, UPDATES = 10, 24  # of the network, and updates in each
KEYS = ("residual r", "identified", "r - group", "own mean - group", "another - group")
PAIR = "linear", "local ridge"
KINDS = (
    *("linear", "linear-parcel", "local ridge", "blend"),
    *("attention-unet", "attention-unet, not re-centred"),
)


@dataclass(frozen=True, eq=False)
class Where:
    """Places, and how a voxel's signal and values become theirs."""

    average: Array | None  # (grey voxels, places), columns add up to 1; None: the voxels
    weights: Array  # of the places in the ROI series, (rois, places or brain voxels)
    roi_maps: Array  # (rois, places)
    lattice: Lattice
    brain: NDArray[np.intp]  # positions of the grey-matter voxels among the brain's

    @classmethod
    def of(cls, phantom: Phantom, places: str) -> Where:
        anatomy = phantom.anatomy
        if places == "voxels":
            lattice = anatomy.places.lattice(1)
            weights = phantom.series_weights
            return cls(None, weights, phantom.roi_maps, lattice, anatomy.grey_in_brain)
        points = anatomy.places.points
        _, label = kmeans2(points, PARCELS, seed=phantom.seed, minit="++")
        members = (label[:, None] == np.unique(label)).astype(np.float32)
        average = members / members.sum(axis=0)
        maps = phantom.roi_maps @ average
        centres = average.T @ points
        spacing = float(np.cbrt(members.sum(axis=0).mean()) * anatomy.places.spacing_mm)
        return cls(
            average,
            np.linalg.pinv((maps - maps.mean(axis=1, keepdims=True)).T).astype(np.float32),
            maps,
            point_lattice(centres, 1, spacing),
            anatomy.grey_in_brain,
        )

    def connectome(self, frames: Array, form: Form) -> Array:
        """Return one segment's connectome, (rois, places)."""
        if self.average is None:
            return segment_connectome(frames, self.weights, self.brain, form)
        signals = frames[:, self.brain] @ self.average
        return segment_connectome(signals, self.weights, np.arange(signals.shape[1]), form)

    def values(self, maps: Array) -> Array:
        """Return maps (contrasts, places)."""
        return maps if self.average is None else maps @ self.average


class World:
    """A phantom's people at both kinds of places, in both forms."""

    def __init__(self, seed: int) -> None:
        self.phantom = Phantom(PhantomParameters(), seed=seed, block=BLOCK)  # version 1
        self.where = {places: Where.of(self.phantom, places) for places in PLACES}

    @cached_property
    def people(self) -> dict[Key, dict[Cohort, list[Person]]]:
        """People by places, form, and by whether rest is cut into segments."""
        found: dict[Key, dict[Cohort, list[Person]]] = {}
        for cohort, number in PEOPLE.items():
            for n in range(number):
                for key, person in self._simulated(self.phantom.person(cohort, n)):
                    found.setdefault(key, {}).setdefault(cohort, []).append(person)
        return found

    def _simulated(self, person: SimulatedPerson) -> Iterator[tuple[Key, Person]]:
        frames, maps = [person.frames(0, k) for k in range(SEGMENTS)], person.measured_maps(0)
        rest = {"segments": frames, "whole": [np.concatenate(frames)]}
        for (places, where), (name, form), cut in product(self.where.items(), FORMS.items(), rest):
            connectomes = np.stack([where.connectome(part, form) for part in rest[cut]])
            label, weights = f"{person.cohort}x{person.index}", (1.0,) * len(connectomes)
            simulated = Person(label, connectomes, weights, (where.values(maps),), form=form)
            yield (places, name, cut), simulated


Predict = Callable[[Person], Array]


def linear(people: Sequence[Person], parcels: Parcels) -> Predict:
    """Fit a linear kind: re-centred, its gains found by leaving each person out in turn."""
    sums = LinearSums(parcels)
    given = [
        (mean_features(person, parcels), person.maps, fit_person(person, parcels))
        for person in people
    ]
    for one in given:
        sums.add(*one)
    left_out = LeftOut(sums)
    for one in given:
        left_out.add(*one)
    model, correction = sums.model(), sums.correction(left_out.gains())
    return lambda person: correction.apply(predicted_maps(model, person))


def local_ridge(people: Sequence[Person], held: Sequence[Person], lattice: Lattice) -> Predict:
    """Fit local ridge with the penalty that has the least error on held-out people."""
    sums = LocalRidgeSums(lattice)
    for person in people:
        sums.fit_person(person.mean_connectome(), person.maps)
    solved = sums.solve_each(PENALTIES)
    errors = {
        penalty: np.mean(
            [np.square(model.predict(one.mean_connectome()) - one.maps).mean() for one in held]
        )
        for penalty, model in solved.items()
    }
    best = solved[min(errors, key=lambda penalty: errors[penalty])]
    # A linear model of the mean over segments predicts the mean over predictions.
    return lambda person: best.predict(person.mean_connectome())


def blend(pair: Sequence[Predict], held: Sequence[Person], mean_map: Array) -> Predict:
    """Weigh two kinds' deviations from the mean map by what they are worth on held-out people."""
    sums = BlendSums()
    for person in held:
        sums.add([predict(person) for predict in pair], person.maps)
    weights = sums.weights()
    return lambda person: (
        mean_map + blended([predict(person) - mean_map for predict in pair], weights)
    )


def closed_form(world: World, places: str, form: str, training: slice) -> dict[str, Scores]:
    """Fit and score the kinds that need no training, on some of the training people.

    The linear kinds read one connectome of the whole run; the others, a blend's linear model too,
    the mean of segments.
    """
    where = world.where[places]
    everybody, held, test = world.people[places, form, "segments"].values()
    people = everybody[training]
    mean_map = mean_maps(people)
    models = [linear(people, Parcels(None)), local_ridge(people, held, where.lattice)]
    fitted = {"local ridge": models[1], "blend": blend(models, held, mean_map)}
    found = {name: scores(predict, test, mean_map) for name, predict in fitted.items()}
    everybody, held, test = world.people[places, form, "whole"].values()
    parcels: dict[str, NDArray[np.intp] | None] = {"linear": None}
    if places == "voxels":
        parcels["linear-parcel"] = roi_parcels(where.roi_maps)
    for name, labels in parcels.items():
        predict = linear(everybody[training], Parcels(labels))
        found[name] = scores(predict, test, mean_map)
    return found


def network(world: World, form: str, folder: Path, epochs: int) -> dict[str, Scores]:
    """Train the network by the default recipe on all training people's voxels, and score it."""
    import torch

    from bids_dtg.contrasts.network.parameters import Parameters
    from bids_dtg.contrasts.network.prepared import prepare
    from bids_dtg.contrasts.network.unet import AttentionUNet
    from bids_dtg.contrasts.plan import TrainingPlan
    from bids_dtg.contrasts.samples import PersonSamples, Sampling
    from bids_dtg.contrasts.train import train
    from bids_dtg.training.loop import Workplace

    torch.set_num_threads(1)
    training, held, test = world.people["voxels", form, "segments"].values()
    grey = world.phantom.anatomy.grey
    trained = train(
        *(
            PersonSamples([one.connectomes for one in people], [one.maps for one in people], grey)
            for people in (training, held)
        ),
        TrainingPlan(
            features=16,
            loss="mse",
            epochs=epochs,
            choose_by="residual_r",
            precision="bf16-mixed",
            seed=world.phantom.seed,
            sampling=Sampling(people=10, batches=UPDATES),
        ),
        Workplace(folder),
        report=lambda line: print(form, line, flush=True),
    )
    rois, contrasts = training[0].connectomes.shape[1], len(training[0].maps)
    unet = AttentionUNet(rois, contrasts, 16).eval()
    unet.load_state_dict(trained.state)
    model, sums, mean_map = (
        prepare(Parameters.of(unet), grey),
        RecentringSums(),
        mean_maps(training),
    )
    for person in held:
        sums.add(predicted_maps(model, person), person.maps)
    correction = sums.correction(mean_map)
    return {
        "attention-unet": scores(
            lambda person: correction.apply(predicted_maps(model, person)), test, mean_map
        ),
        "attention-unet, not re-centred": scores(
            lambda person: predicted_maps(model, person), test, mean_map
        ),
    }


def scores(predict: Predict, people: Sequence[Person], group: Array) -> Scores:
    """Score in tens of people, one contrast at a time: means over people and contrasts."""
    predicted = np.stack([predict(person) for person in people]).astype(np.float32)
    measured = np.stack([person.maps for person in people])
    found: dict[str, list[float]] = {}
    for start in range(0, len(measured), TEN):
        ten = slice(start, start + TEN)
        for q, mean_map in enumerate(group):
            m = measured[ten, q]
            one = PeopleScores.of(predicted[ten, q], m)
            average = np.array([np.corrcoef(mean_map, own)[0, 1] for own in m])
            values = (
                one.residual_r,
                one.identified,
                one.r - average,
                one.own_mean_r - average,
                one.others_r - average,
            )
            for key, value in zip(KEYS, values, strict=True):
                found.setdefault(key, []).append(float(np.mean(np.nan_to_num(value))))
            found.setdefault("group", []).append(float(average.mean()))
    return {key: float(np.mean(values)) for key, values in found.items()}


def kept(path: Path, make: Callable[[], dict[str, Scores]]) -> dict[str, Scores]:
    """Return what an earlier call has kept, or make and keep it, with the time it took."""
    if not path.exists():
        begun = time.perf_counter()
        found = make()
        found["seconds"] = {"": time.perf_counter() - begun}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found))
        print(f"{path.stem}: {found['seconds']['']:.0f} s", flush=True)
    loaded: dict[str, Scores] = json.loads(path.read_text())
    return loaded


Row = tuple[str, int, str, str]  # places, n, kind, form


def rows(work: Path, seed: int, epochs: int) -> Iterator[tuple[Row, Scores]]:
    """Yield the scores of a phantom, each the mean over groups of training people."""
    world = World(seed)
    for places, n, form in product(PLACES, NUMBERS, FORMS):
        drawn = []
        for group in range(min(GROUPS[places], PEOPLE[Cohort.TRAINING] // n)):
            people = slice(group * n, (group + 1) * n)
            path = work / f"{seed}_{places}_{form}_{n}_{group}.json"
            drawn.append(kept(path, partial(closed_form, world, places, form, people)))
        for kind in drawn[0].keys() - {"seconds"}:
            yield (
                (places, n, kind, form),
                {key: float(np.mean([one[kind][key] for one in drawn])) for key in KEYS},
            )
    for form in FORMS if epochs else ():
        name = f"{seed}_network_{form}_{epochs}"
        found = kept(work / f"{name}.json", partial(network, world, form, work / name, epochs))
        for kind in found.keys() - {"seconds"}:
            yield ("voxels", PEOPLE[Cohort.TRAINING], kind, form), found[kind]


def print_tables(found: Mapping[Row, Sequence[Scores]]) -> None:
    """Print every score by kind, form and number of people: mean over phantoms (sd)."""
    for places, keys in product(PLACES, (KEYS[:2], KEYS[2:])):
        print(f"\n{places}: {' / '.join(keys)}\n")
        print(f"| kind | form | {' | '.join(map(str, NUMBERS))} |\n{'|---' * (2 + len(NUMBERS))}|")
        for kind, form in product(KINDS, FORMS):
            each = [found.get((places, n, kind, form), []) for n in NUMBERS]
            cells = [
                " / ".join(_figure(key, [one[key] for one in own]) for key in keys if own)
                for own in each
            ]
            if any(cells):
                print(f"| {kind} | {form} | {' | '.join(cells)} |")


def _figure(key: str, values: Sequence[float] | NDArray[np.float64]) -> str:
    digits = {"residual r": 3, "identified": 2}.get(key, 4)
    spread = np.std(values, ddof=1) if len(values) > 1 else np.nan
    return f"{np.mean(values):.{digits}f} ({spread:.{digits}f})"


def print_ratios(found: Mapping[Row, Sequence[Scores]]) -> None:
    """Print partial over marginal, and linear over local ridge: residual r / identified."""
    pairs = [
        *((f"{kind}: partial / marginal", (kind, "partial"), (kind, "marginal")) for kind in PAIR),
        *((f"{form}: linear / local ridge", *((kind, form) for kind in PAIR)) for form in FORMS),
    ]
    for places in PLACES:
        print(f"\n{places}: ratios of {' / '.join(KEYS[:2])}\n")
        print(f"| ratio | {' | '.join(map(str, NUMBERS))} |\n{'|---' * (1 + len(NUMBERS))}|")
        for title, *rows in pairs:
            cells = []
            for n in NUMBERS:
                above, below = (found[places, n, kind, form] for kind, form in rows)
                cells.append(" / ".join(_ratio(key, above, below) for key in KEYS[:2]))
            print(f"| {title} | {' | '.join(cells)} |")


def _ratio(key: str, above: Sequence[Scores], below: Sequence[Scores]) -> str:
    means = [np.mean([one[key] for one in each]) for each in (above, below)]
    return f"{means[0] / means[1]:.2f}"


def print_differences(found: Mapping[Row, Sequence[Scores]]) -> None:
    """Print the partial form minus the marginal form, of the same phantom, people and seed."""
    n = PEOPLE[Cohort.TRAINING]
    print(f"\nvoxels, {n} people, partial - marginal: {' / '.join(KEYS)}\n")
    for kind in KINDS:
        pair = [found.get(("voxels", n, kind, form), []) for form in ("partial", "marginal")]
        if all(pair):
            changes = {key: [a[key] - b[key] for a, b in zip(*pair, strict=True)] for key in KEYS}
            print(f"{kind}: {' / '.join(_figure(*change) for change in changes.items())}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder of scores and networks")
    parser.add_argument("--seeds", type=int, default=3, help="of phantoms and networks")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of each network")
    parser.add_argument("--no-network", action="store_true", help="closed forms only")
    args = parser.parse_args()
    found: dict[Row, list[Scores]] = {}
    for seed in range(args.seeds):
        for row, one in rows(args.work, seed, 0 if args.no_network else args.epochs):
            found.setdefault(row, []).append(one)
    print_tables(found)
    print_ratios(found)
    print_differences(found)
    seconds = sum(json.loads(path.read_text())["seconds"][""] for path in args.work.glob("*.json"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nfits and scores took {seconds:.0f} s; peak memory {peak:.0f} MiB")


if __name__ == "__main__":
    main()
