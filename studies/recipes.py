"""Recipes and kinds of model beside simple models: tables of docs/evidence/group.md.

    nice -n 15 python studies/recipes.py --work /tmp/recipes [--epochs 12] [--seeds 3]

Voxels of 8 mm; 300 people to train, 40 to validate, 40 to test, each with a retest and 8 segments
of rest. `position`: the calibrated phantom, whose people differ in position and extent of their
networks. `gains`: people differ in the networks' gains and coupling, and hardly in position and
extent. The work folder keeps all results: the same command resumes a stopped call.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from demo_people import (
    CONNECTOME_STEP,
    Answers,
    SegmentModel,
    StoredPeople,
    StoredSamples,
    simulate_answers,
    simulate_people,
)

from bids_dtg.contrasts.blend import BlendSums, blended
from bids_dtg.contrasts.judging.model_scores import score_maps
from bids_dtg.contrasts.local_ridge import LocalRidge, LocalRidgeSums
from bids_dtg.contrasts.network.parameters import Parameters
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.contrasts.phantom.parameters import PhantomParameters
from bids_dtg.contrasts.plan import Loss, TrainingPlan
from bids_dtg.contrasts.recentring import Correction, RecentringSums
from bids_dtg.contrasts.samples import Sampling
from bids_dtg.imaging.lattice import Lattice
from bids_dtg.phantom.streams import Cohort
from bids_dtg.stats.linear import LinearBaseline
from bids_dtg.stats.paired import t_interval, wilson_interval

Array = NDArray[np.float32]
Predict = Callable[[Array], Array]  # a person's mean connectome (rois, voxels) to maps
PredictPerson = Callable[[StoredPeople, int], Array]  # of a cohort, by number

PEOPLE = {Cohort.TRAINING: 300, Cohort.VALIDATION: 40, Cohort.TEST: 40}
SEGMENTS, BLOCK = 8, 4
PENALTIES = (0.3, 1.0, 3.0)
# Numbers of directions of the whole connectome that `global ridge` adds to the local rows.
DIRECTIONS = (8, 20)
PHANTOMS = {
    "position": (PhantomParameters(), 0),
    "gains": (
        dataclasses.replace(
            PhantomParameters(), shift_mm=0.3, log_extent=0.02, trait_coupling=0.8, trait_gain=0.8
        ),
        1,
    ),
}


@dataclasses.dataclass(frozen=True, eq=False)
class World:
    """A phantom's people; arrays on disk."""

    phantom: Phantom
    training: StoredPeople
    validation: StoredPeople
    test: StoredPeople
    answers: Answers  # of the test people

    @classmethod
    def simulate(
        cls,
        folder: Path,
        phantom: Phantom,
        people: Mapping[Cohort, int],
        segments: int,
        processes: int = 1,
    ) -> World:
        made = [
            simulate_people(folder / cohort.name.lower(), phantom, cohort, n, segments, processes)
            for cohort, n in people.items()
        ]
        answers = simulate_answers(folder / "answers", phantom, Cohort.TEST, people[Cohort.TEST])
        return cls(phantom, *made, answers)


def stack(people: StoredPeople) -> tuple[Array, Array]:
    """Return mean connectomes and measured maps of everybody."""
    numbers = range(len(people.maps))
    return (
        np.stack([people.mean_connectome(n) for n in numbers]),
        np.stack([people.measured(n) for n in numbers]),
    )


def small_plan(loss: Loss, seed: int, epochs: int) -> TrainingPlan:
    return TrainingPlan(
        features=16,
        loss=loss,
        epochs=epochs,
        precision="bf16-mixed",
        seed=seed,
        sampling=Sampling(people=10),
    )


def fit_network(
    world: World, folder: Path, plan: TrainingPlan, device: str = "cpu"
) -> dict[str, NDArray[np.float16]]:
    """Train, and predict validation and test people: means over segments, kept on disk.

    So are the weights, with a record of the training: no later call trains again.
    """
    kept = {name: folder / f"{name}.npy" for name in ("validation", "test")}
    if not all(path.exists() for path in kept.values()):
        from bids_dtg.contrasts.network.prepared import prepare

        parameters = _trained(world, folder, plan, device)
        predict = prepare(parameters, world.phantom.anatomy.grey, device).predict
        for name, path in kept.items():
            people = getattr(world, name)
            maps = [
                np.mean(
                    [predict(s * np.float32(CONNECTOME_STEP)) for s in people.connectomes[n]],
                    axis=0,
                )
                for n in range(len(people.maps))
            ]
            np.save(path, np.stack(maps).astype(np.float16))
    return {name: np.load(path) for name, path in kept.items()}


def _trained(world: World, folder: Path, plan: TrainingPlan, device: str) -> Parameters:
    from safetensors.numpy import load_file, save_file

    weights = folder / "weights.safetensors"
    if not weights.exists():
        import torch

        from bids_dtg.contrasts.train import train
        from bids_dtg.training.loop import Workplace

        torch.set_num_threads(1)
        training, validation = (
            StoredSamples(people.connectomes, people.maps, world.phantom.anatomy.grey)
            for people in (world.training, world.validation)
        )
        trained = train(
            training,
            validation,
            plan,
            Workplace(folder, device),
            report=lambda line: print(plan.loss, plan.seed, line, flush=True),
        )
        (folder / "training.json").write_text(json.dumps(trained.card, indent=1))
        save_file({name: tensor.numpy() for name, tensor in trained.state.items()}, weights)
    return Parameters.from_arrays(load_file(weights), source=str(weights))


class GlobalRidge:
    """Local ridge with a person's scores along global directions as further inputs.

    The directions are the first principal components of the training people's whole
    connectomes; the scores join the local rows, the same at every voxel. So the whole brain can
    show how a trait changes the gain of a network everywhere.
    """

    def __init__(self, connectomes: Array, maps: Array, lattice: Lattice, n: int) -> None:
        self.mean = connectomes.mean(axis=0)
        flat = (connectomes - self.mean).reshape(len(connectomes), -1)
        values, vectors = np.linalg.eigh(flat @ flat.T)
        values, vectors = values[::-1][:n], vectors[:, ::-1][:, :n]
        self.directions = (flat.T @ vectors / np.sqrt(values)).T  # (n, rois × voxels), unit length
        # Scores as large as a local deviation, so that one penalty suits both.
        self.scale = flat.std() / np.sqrt(values / len(flat))
        self.sums = LocalRidgeSums(lattice)
        for connectome, own in zip(connectomes, maps, strict=True):
            self.sums.fit_person(self.extended(connectome), own)

    def extended(self, connectome: Array) -> Array:
        scores = self.scale * (self.directions @ (connectome - self.mean).ravel())
        rows = np.broadcast_to(scores[:, None], (len(scores), connectome.shape[1]))
        return np.concatenate([connectome, rows]).astype(np.float32)

    def solve_each(self, penalties: tuple[float, ...]) -> dict[float, Predict]:
        def predict(connectome: Array, model: LocalRidge) -> Array:
            return model.predict(self.extended(connectome))

        solved = self.sums.solve_each(penalties)
        return {penalty: partial(predict, model=model) for penalty, model in solved.items()}


def kernel_ridge(connectomes: Array, maps: Array, penalty: float) -> Predict:
    """Ridge of whole maps on whole connectomes, by the people's linear kernel."""
    mean_x, mean_y = connectomes.mean(axis=0), maps.mean(axis=0)
    flat = (connectomes - mean_x).reshape(len(connectomes), -1)
    kernel = flat @ flat.T
    ridge = penalty * np.trace(kernel) / len(kernel)
    dual = np.linalg.solve(
        kernel + ridge * np.eye(len(kernel)), (maps - mean_y).reshape(len(maps), -1)
    )

    def predict(connectome: Array) -> Array:
        own = flat @ (connectome - mean_x).ravel()
        return mean_y + (own @ dual).reshape(mean_y.shape)

    return predict


def chosen(models: Mapping[Any, Predict], connectomes: Array, maps: Array) -> tuple[Any, Predict]:
    """Take the model with the smallest error on the validation people."""
    errors = {
        key: float(
            np.mean(
                [np.square(predict(x) - y).mean() for x, y in zip(connectomes, maps, strict=True)]
            )
        )
        for key, predict in models.items()
    }
    best = min(errors, key=lambda key: errors[key])
    return best, models[best]


def recentring(predicted: NDArray[Any], measured: Array, mean_map: Array) -> Correction:
    sums = RecentringSums()
    for maps, own in zip(predicted, measured, strict=True):
        sums.add(maps, own)
    return sums.correction(mean_map)


def closed_form(
    world: World, folder: Path, names: Sequence[str] | None = None
) -> Iterator[tuple[str, dict[str, Array]]]:
    """Yield the models that need no training: name, validation and test people's maps.

    The maps are kept on disk: a later call only reads them.
    """
    for name, fit in _closed_form_fits(world).items():
        if names is not None and name not in names:
            continue
        # An earlier version kept the whole-brain model under the published one's name.
        file = {"linear (Tavor)": "linear in each parcel"}.get(name, name)
        kept = {part: folder / "closed_form" / f"{file}_{part}.npy" for part in ("held", "test")}
        if not all(path.exists() for path in kept.values()):
            predict = fit()
            (folder / "closed_form").mkdir(exist_ok=True)
            for path, people in zip(kept.values(), (world.validation, world.test), strict=True):
                maps = [predict(people, n) for n in range(len(people.maps))]
                np.save(path, np.stack(maps).astype(np.float16))
        yield name, {part: np.load(path).astype(np.float32) for part, path in kept.items()}


def _closed_form_fits(world: World) -> dict[str, Callable[[], PredictPerson]]:
    x, y = stack(world.training)
    held = stack(world.validation)
    lattice = world.phantom.anatomy.places.lattice(1)

    def linear() -> PredictPerson:
        return SegmentModel.fit(world.training, list(y), world.phantom.roi_maps).predict

    def whole_brain() -> Predict:
        model = LinearBaseline().fit(x, y)
        return lambda connectome: model.predict(connectome[None])[0]

    def kernel() -> Predict:
        return best("kernel ridge", {p: kernel_ridge(x, y, p) for p in (1.0, 3.0, 10.0)})

    def local(pairs: Array) -> dict[float, Predict]:
        sums = LocalRidgeSums(lattice)
        for connectome, maps in zip(pairs, y, strict=True):
            sums.fit_person(connectome, maps)
        return {p: model.predict for p, model in sums.solve_each(PENALTIES).items()}

    def wide() -> Predict:
        models = {}
        for n in DIRECTIONS:
            ridge = GlobalRidge(x, y, lattice, n)
            models |= {(n, p): predict for p, predict in ridge.solve_each(PENALTIES).items()}
        return best("global ridge", models)

    def best(name: str, models: Mapping[Any, Predict]) -> Predict:
        key, predict = chosen(models, *held)
        print(f"{name}: {key}", flush=True)
        return predict

    def of_mean(fit: Callable[[], Predict]) -> Callable[[], PredictPerson]:
        def fitted() -> PredictPerson:
            predict = fit()
            return lambda people, n: predict(people.mean_connectome(n))

        return fitted

    return {
        "linear (Tavor)": linear,
        "linear, whole brain": of_mean(whole_brain),
        "kernel ridge": of_mean(kernel),
        "local ridge": of_mean(lambda: best("local ridge", local(x))),
        "local ridge, trained on shuffled pairs": of_mean(
            lambda: local(np.roll(x, 1, axis=0))[1.0]
        ),
        "local ridge with global directions": of_mean(wide),
    }


def predictions(
    world: World, folder: Path, seeds: int, epochs: int, losses: tuple[Loss, ...]
) -> Iterator[tuple[str, int, Array]]:
    """Yield name, seed and test people's maps of every model."""
    held_y, test_y = stack(world.validation)[1], stack(world.test)[1]
    mean_map = stack(world.training)[1].mean(axis=0)
    yield "group average", 0, np.broadcast_to(mean_map, test_y.shape)
    found = {}
    for name, maps in closed_form(world, folder):
        found[name] = maps["held"], maps["test"]
        yield name, 0, maps["test"]
    ridges = found["local ridge"]
    globals_ = found["local ridge with global directions"]
    for loss in losses:
        name = {"mse": "default (MSE)", "crr": "published (CR-R)"}[loss]
        for seed in range(seeds):
            if not (folder / f"{loss}_{seed}" / "test.npy").exists():
                continue  # not trained yet
            network = fit_network(world, folder / f"{loss}_{seed}", small_plan(loss, seed, epochs))
            test = network["test"].astype(np.float32)
            yield f"{name}, raw", seed, test
            correction = recentring(network["validation"], held_y, mean_map)
            centred = np.stack([correction.apply(maps) for maps in test])
            yield f"{name}, re-centred", seed, centred
            yield f"{name}, re-centred, another person's", seed, np.roll(centred, 1, axis=0)
            for title, partner in (("local ridge", ridges), ("global directions", globals_)):
                mixed = blend(partner, network, held_y, mean_map)
                yield f"blend: {title} + {name}", seed, mixed
    answers = world.answers
    yield "retest", 0, answers.retest.astype(np.float32)
    yield "ceiling: what rest could tell", 0, answers.knowable.astype(np.float32)
    yield "ceiling: true maps", 0, answers.true.astype(np.float32)


def blend(
    ridges: tuple[Array, Array], network: Mapping[str, NDArray[Any]], held: Array, mean_map: Array
) -> Array:
    sums = BlendSums()
    for a, b, own in zip(ridges[0], network["validation"], held, strict=True):
        sums.add((a, b), own)
    weights = sums.weights()
    both = [
        np.stack([blended((a, b), weights) for a, b in zip(*pair, strict=True)])
        for pair in ((ridges[0], network["validation"]), (ridges[1], network["test"]))
    ]
    correction = recentring(both[0], held, mean_map)
    return np.stack([correction.apply(maps) for maps in both[1]])


def scores(maps: Array, measured: Array, mean_map: Array) -> dict[str, NDArray[np.float64]]:
    """Score (people, contrasts, voxels): for each person, mean over contrasts."""
    found = score_maps("", maps, measured, mean_map)
    keys = {
        "r": "r",
        "r - own": "own_mean_r",
        "index": "index",
        "product": "product",
        "id": "identification",
        "res r": "residual_r",
        "fp": "fingerprint",
    }
    values = {name: found.by_person(key) for name, key in keys.items()}
    return values | {"r - own": values["r"] - values["r - own"]}


def interval(values: NDArray[np.float64], digits: int = 3) -> str:
    """Return mean and 95 % interval over people."""
    if not np.isfinite(values).any():
        return "n/a"
    found = t_interval(values)
    mean, low, high = (figure(value, digits) for value in (found.mean, found.low, found.high))
    return f"{mean} [{low}, {high}]"


def figure(value: float, digits: int) -> str:
    """Write a figure, without a sign where it is 0."""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def row(name: str, runs: list[dict[str, NDArray[np.float64]]], group: Mapping[str, Any]) -> str:
    """Make a line of the table: mean over seeds, interval over people."""
    mean = {key: np.mean([run[key] for run in runs], axis=0) for key in runs[0]}
    spread = f" ± {np.std([run['r'].mean() for run in runs]):.4f}" if len(runs) > 1 else ""
    share = wilson_interval(float(mean["id"].mean()), len(mean["id"]))
    if name == "group average":
        return f"| {name} | 1 | {interval(mean['r'])} |" + 8 * " - |"
    return (
        f"| {name} | {len(runs)} | {mean['r'].mean():.3f}{spread} "
        f"| {interval(mean['r'] - group['r'], 4)} | {interval(mean['r - own'], 4)} "
        f"| {interval(mean['index'], 4)} | {interval(mean['product'], 4)} "
        f"| {figure(mean['index'].mean() / mean['r'].mean(), 3)} "
        f"| {share.mean:.2f} [{share.low:.2f}, {share.high:.2f}] | {mean['fp'].mean():.3f} "
        f"| {interval(mean['res r'])} |"
    )


def print_rows(runs: Mapping[str, list[dict[str, NDArray[np.float64]]]]) -> None:
    """Print the table of models, from the scores of each one's trainings."""
    print(
        "\n| model | seeds | r | r - group average | r - own mean | index | product | ratio "
        "| id | fingerprint | res r |"
    )
    print("|---" * 11 + "|")
    for model, found in runs.items():
        print(row(model, found, runs["group average"][0]))


def compare(
    title: str, first: list[dict[str, NDArray[np.float64]]], second: list[dict[str, Any]]
) -> str:
    """Make a line with the difference of two models, paired over people; means over seeds."""
    parts = []
    for key in ("r", "id", "res r"):
        a, b = (np.mean([run[key] for run in runs], axis=0) for runs in (first, second))
        parts.append(f"{key} {interval(a - b, 4)}")
    return f"- {title}: " + ", ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder of people and models")
    parser.add_argument("--epochs", type=int, default=12, help="of each network")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--losses", nargs="+", default=["mse", "crr"])
    parser.add_argument("--phantoms", nargs="+", default=list(PHANTOMS))
    parser.add_argument("--no-training", action="store_true", help="score trained models only")
    args = parser.parse_args()
    worlds = {}
    for name in args.phantoms:
        parameters, seed = PHANTOMS[name]
        phantom = Phantom(parameters, seed=seed, block=BLOCK)
        worlds[name] = World.simulate(args.work / name, phantom, PEOPLE, SEGMENTS)
    # All models are trained with the first seed before the next seed.
    for seed in range(0 if args.no_training else args.seeds):
        for name, world in worlds.items():
            for loss in args.losses:
                folder = args.work / name / f"{loss}_{seed}"
                fit_network(world, folder, small_plan(loss, seed, args.epochs))
    for name, world in worlds.items():
        print(f"\n### {name}: {world.phantom.parameters.hash[:12]}, seed {world.phantom.seed}\n")
        measured = stack(world.test)[1]
        mean_map = stack(world.training)[1].mean(axis=0)
        runs: dict[str, list[dict[str, NDArray[np.float64]]]] = {}
        folder = args.work / name
        for model, seed, maps in predictions(
            world, folder, args.seeds, args.epochs, tuple(args.losses)
        ):
            runs.setdefault(model, []).append(scores(maps, measured, mean_map))
            means = {key: round(float(value.mean()), 4) for key, value in runs[model][-1].items()}
            print(f"<!-- {model}, seed {seed}: {json.dumps(means)} -->", flush=True)
        print_rows(runs)
        print()
        published = runs.get("published (CR-R), re-centred")
        for model in runs:
            if published and ("ridge" in model or model == "default (MSE), re-centred"):
                print(compare(f"{model} - published re-centred", runs[model], published))
            if "global directions" in model or model.startswith("blend"):
                print(compare(f"{model} - local ridge", runs[model], runs["local ridge"]))


if __name__ == "__main__":
    main()
