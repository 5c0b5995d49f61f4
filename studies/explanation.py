"""Does the explanation find what makes people differ, and nothing in permuted people?

    OMP_NUM_THREADS=1 python studies/explanation.py --seeds 11 12 13 14 15
    OMP_NUM_THREADS=1 python studies/explanation.py --seeds 11 12 13 14 15 --kind attention-unet \
      --permuted 0

Phantoms of version 2 at 8 mm, two segments of rest a person, the partial connectome on 50 ROI maps,
the weighted linear model. In each phantom one network's strength in its own area differs between
people: its map is multiplied there by exp(s e), with e standard normal, at rest and in tasks. The
contrast is the one whose true map changes most there, in three people apart. Found is whether the
ROI of the network, in its area and this contrast, has p < .05; and in how many test people it is
shown. Beside it stand the same people without that difference (s = 0), and the other ROIs of the
area that have p < .05. "Panels" is the share of panels in which anything is shown: a panel is a
contrast of a test person.

With `--kind attention-unet`, a network in place of the linear model (8 features, 30 epochs, a fifth
of the training people to choose the epoch by): its contributions are integrated gradients. The last
column is what the sum of contributions misses at most, of a contrast's largest deviation. With
`--points`, instead: how far a person's contributions from so many points of the path are from those
of 128 points, of the contrast's largest contribution.

Permuted people: training people get the measured maps of others, the model is fitted anew, and the
panels of test people are counted in which anything is shown.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.explanation import LEVEL, Areas, Differentiable, Explanation, Support
from bids_dtg.contrasts.kind import FitTask, ModelSpace
from bids_dtg.contrasts.network import kind as network_kind
from bids_dtg.contrasts.people import Float, MapModel, Person
from bids_dtg.contrasts.phantom import model
from bids_dtg.contrasts.phantom.parameters import VERSION_2
from bids_dtg.contrasts.weighted_linear import fit_weighted
from bids_dtg.phantom.streams import Cohort
from bids_dtg.settings import ModellingOptions

BLOCK, SEGMENTS, FORM = 4, 2, Form("partial", fixed=0.06)
TRAINING, TEST, STRENGTH, PERMUTED = 40, 6, 0.6, 10
_LEAST_VOXELS = 60  # of an area, so that it is no speck
_APART = 3  # people, by whom the contrast is chosen
EPOCHS = 30  # of the network
Array = NDArray[np.float32]
Fit = Callable[[list[Person]], tuple[MapModel, Array]]  # a model of people, and its gains


class UnequalPhantom(model.Phantom):
    """A phantom in which the strength of one network in its area differs between people."""

    def __init__(self, seed: int, strength: float, block: int = BLOCK) -> None:
        super().__init__(VERSION_2, seed=seed, block=block)
        self.strength = strength

    @cached_property
    def network(self) -> int:
        """The network: of those with a large area, the one that a contrast depends on most."""
        voxels = np.bincount(Areas.of(self.roi_maps).labels, minlength=len(self.roi_maps))
        weights = np.abs(self.design @ self.structure.weights).max(axis=0)
        large = voxels >= min(_LEAST_VOXELS, int(np.quantile(voxels, 0.7)))
        return int(np.argmax(np.where(large, weights, 0.0)))

    @cached_property
    def area(self) -> NDArray[np.bool_]:
        """The network's area, (voxels,)."""
        return np.asarray(Areas.of(self.roi_maps).labels == self.network)

    @cached_property
    def contrast(self) -> int:
        """The contrast whose true map changes most there, in people who take no part else."""
        change = np.zeros(len(self.design))
        for index in range(_APART):
            low, high = (
                UnequalPerson(self, Cohort.VALIDATION, index, own).true_maps() for own in (-1, 1)
            )
            change += (high - low)[:, self.area].mean(axis=1)
        return int(np.abs(change).argmax())

    def person(self, cohort: int, index: int) -> UnequalPerson:
        """Return a person; the same numbers give the same person."""
        return UnequalPerson(self, cohort, index)


class UnequalPerson(model.Person):
    """A person whose network is stronger or weaker in its area."""

    phantom: UnequalPhantom

    def __init__(
        self, phantom: UnequalPhantom, cohort: int, index: int, own: float | None = None
    ) -> None:
        super().__init__(phantom, cohort, index)
        drawn = np.random.default_rng((phantom.seed, cohort, index)).standard_normal()
        self.factor = np.float32(np.exp(phantom.strength * (drawn if own is None else own)))

    def _maps(self, further_shift_mm: NDArray[np.float64] | float = 0.0) -> Array:
        maps = super()._maps(further_shift_mm)
        maps[self.phantom.network, self.phantom.area] *= self.factor
        return maps


def linear(people: list[Person]) -> tuple[MapModel, Array]:
    """Fit the weighted linear model; return it with its gains."""
    fit = fit_weighted(people, (people[0].connectomes.shape[1],))
    return fit.model, fit.gains


def network(people: list[Person], phantom: UnequalPhantom, device: str) -> tuple[MapModel, Array]:
    """Train a network; a fifth of the people choose the epoch."""
    apart = len(people) // 5
    with tempfile.TemporaryDirectory() as folder:
        task = FitTask(
            options=ModellingOptions(features=8, epochs=EPOCHS, batch_size=8),
            space=ModelSpace(phantom.anatomy.places, phantom.roi_maps, "phantom", "", "", FORM),
            contrasts=tuple(map(str, range(len(people[0].maps)))),
            training=people[apart:],
            validation=people[:apart],
            device=device,
            folder=Path(folder),
            report=lambda line: None,
        )
        model = network_kind.fit(task).model
    return model, np.ones(len(people[0].maps), np.float32)


@dataclass(frozen=True, eq=False)
class Explained:
    """A fitted model, and what it says of test people."""

    gains: Array
    support: Support
    panels: list[Explanation]
    missed: float  # largest amount that sums miss, of a contrast's largest deviation

    @classmethod
    def of(
        cls, training: list[Person], test: list[Person], roi_maps: Array, fit: Fit = linear
    ) -> Explained:
        """Fit to training people, and explain the test people's deviations."""
        model, gains = fit(training)
        support = Support.learn(training, model, roi_maps, slice(0, len(roi_maps)))
        labels = tuple(Contrast(q, f"q{q}", "", "", "") for q in range(len(gains)))
        panels, missed = [], 0.0
        for person in test:
            halves = [half.astype(np.float32) for half in person.connectomes]
            odd, even = (support.contributions(model, half) for half in halves)
            if support.mean is not None:
                missed = max(missed, _missed(model, support, halves[0], odd))
            panels.append(support.explain(labels, (odd + even) / 2, (odd, even), gains))
        return cls(gains, support, panels, missed)

    @property
    def shown(self) -> NDArray[np.bool_]:
        """Whether anything is shown in each panel, (people, contrasts)."""
        return np.array([panel.shown.any(axis=(1, 2)) for panel in self.panels])

    @property
    def passing(self) -> NDArray[np.bool_]:
        """Whether any column passes the permutation test, whoever the person, (contrasts,)."""
        return np.asarray((self.support.p < LEVEL).any(axis=(1, 2)))


def _missed(model: MapModel, support: Support, connectome: Array, found: Float) -> float:
    """Return how much contributions miss of the deviation, of a contrast's largest."""
    assert support.mean is not None
    maps = model.predict(connectome) - model.predict(support.mean)
    deviation = support.areas.means(maps)
    largest = np.abs(deviation).max(axis=1, keepdims=True)
    return float((np.abs(found.sum(axis=1) - deviation) / largest).max())


def points_table(phantom: UnequalPhantom, people: tuple[int, int], device: str) -> None:
    """Print how far contributions of few points are from those of many, in one person."""
    training, test = people_of(phantom, *people)
    model, _ = network(training, phantom, device)
    assert isinstance(model, Differentiable)
    areas, connectome = Areas.of(phantom.roi_maps), test[0].connectomes[0].astype(np.float32)
    start = np.mean([person.mean_connectome() for person in training], axis=0)
    surest = model.path_contributions(connectome, start, areas, points=128)
    largest = np.abs(surest).max(axis=(1, 2), keepdims=True)
    print("| points | largest difference | root mean square |\n|---|---|---|")
    for points in (8, 16, 32, 64):
        found = model.path_contributions(connectome, start, areas, points=points)
        apart = np.abs(found - surest) / largest
        print(f"| {points} | {apart.max():.1%} | {np.sqrt((apart**2).mean()):.2%} |", flush=True)


def people_of(
    phantom: model.Phantom, training: int, test: int
) -> tuple[list[Person], list[Person]]:
    """Simulate training and test people."""
    sizes = {Cohort.TRAINING: training, Cohort.TEST: test}
    first, second = (
        [_as_person(phantom.person(int(cohort), index)) for index in range(number)]
        for cohort, number in sizes.items()
    )
    return first, second


def _as_person(simulated: model.Person) -> Person:
    """Return a person's rest and measured maps, as models are fitted to them."""
    rest = [simulated.connectome(0, number, FORM) for number in range(SEGMENTS)]
    return Person(
        label=f"{simulated.cohort}-{simulated.index}",
        connectomes=np.stack(rest).astype(np.float16),
        weights=(1.0,) * SEGMENTS,
        sessions=(simulated.measured_maps(0),),
        form=FORM,
    )


def permuted(people: list[Person], rng: np.random.Generator) -> list[Person]:
    """Return people who have each other's measured maps."""
    order = rng.permutation(len(people))
    return [
        replace(person, sessions=people[other].sessions)
        for person, other in zip(people, order, strict=True)
    ]


def row_of(seed: int, strength: float, found: Explained, phantom: UnequalPhantom) -> str:
    """Return the table's row on one population."""
    network, contrast = phantom.network, phantom.contrast
    of_area = found.support.p[contrast, :, network]
    own = float(of_area[network])
    others = int((np.delete(of_area, network) < LEVEL).sum())
    shown = sum(bool(panel.shown[contrast, network, network]) for panel in found.panels)
    return (
        f"| {seed} | {strength:g} | {own:.3f} | {others} of {len(of_area) - 1} "
        f"| {shown} of {len(found.panels)} | {found.shown.mean():.3f} | {found.missed:.2%} |"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13, 14, 15])
    parser.add_argument("--people", type=int, nargs=2, default=[TRAINING, TEST])
    parser.add_argument("--strength", type=float, default=STRENGTH)
    parser.add_argument("--permuted", type=int, default=PERMUTED, help="permutations a seed")
    parser.add_argument("--permuted-only", action="store_true", help="no table of populations")
    parser.add_argument("--kind", choices=["linear", "attention-unet"], default="linear")
    parser.add_argument("--points", action="store_true", help="of paths, of the first seed")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; of the network")
    args, start = parser.parse_args(), time.perf_counter()
    if args.points:
        points_table(UnequalPhantom(args.seeds[0], args.strength), tuple(args.people), args.device)
        return
    if not args.permuted_only:
        print("| seed | s | p of the ROI | other ROIs | shown in | panels | sums miss at most |")
        print("|---" * 7 + "|")
    passing, shown, by_model = [], [], []
    for seed in args.seeds:
        for strength in (args.strength,) if args.permuted_only else (args.strength, 0.0):
            phantom = UnequalPhantom(seed, strength)
            training, test = people_of(phantom, *args.people)
            fit = (
                linear
                if args.kind == "linear"
                else partial(network, phantom=phantom, device=args.device)
            )
            if not args.permuted_only:
                found = Explained.of(training, test, phantom.roi_maps, fit)
                print(row_of(seed, strength, found, phantom), flush=True)
            if not strength:
                continue
            rng = np.random.default_rng(seed)
            for _ in range(args.permuted):
                null = Explained.of(permuted(training, rng), test, phantom.roi_maps, fit)
                passing.append(float(null.passing.mean()))
                shown.append(float(null.shown.mean()))
                by_model.append(float((null.gains > 0).mean()))
    if shown:
        print(
            f"permuted people: something is shown in {np.mean(shown):.4f} of panels (largest of "
            f"{len(shown)} permutations {max(shown):.4f}); a column passes in "
            f"{np.mean(passing):.4f} of contrasts; {np.mean(by_model):.2f} of contrasts have a gain"
        )
    print(f"{(time.perf_counter() - start) / 60:.0f} minutes")


if __name__ == "__main__":
    main()
