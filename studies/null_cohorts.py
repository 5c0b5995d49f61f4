"""How often `stats`, `associate` and `phenotypes` find anything where there is nothing.

    python studies/null_cohorts.py stats [--cohorts 400] [--permutations 499] [--seed 3]
    python studies/null_cohorts.py associate
    python studies/null_cohorts.py phenotypes
    python studies/null_cohorts.py effects --cohorts 100

`--record FILE` keeps what each cohort gave, so that a call that was ended goes on.

Smooth noise: maps of 25 x 40 voxels for `stats`, 10 x 10 for `associate`. A row a kind of cohort:
the share in which anything has q <= 0.05, by the counted false discovery rate and, for comparison,
by p of t (Benjamini and Hochberg), and the share in which anything has a family-wise p <= 0.05; of
cohorts in which the size of people's maps goes with what is tested, nothing is corrected, and
nothing found. A rate of 5 % should call 5 % of the cohorts.

`phenotypes` predicts from four sets of features: 40 edges, maps of 60 voxels and two contrasts that
follow from these, measured maps, and means of the predicted ones over 6 regions, with those of both
contrasts side by side. A row has the share in which a sentence of the page says that
anything is predicted beyond chance, in which any q, which is of the contrasts of one set, and in
which any p is up to 0.05. Folds are drawn once.

`effects` adds one to some of the voxels: the share of these that is found, and the mean share of
false ones among what is found.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from bids_dtg.contrasts.row import FEATURES
from bids_dtg.statistics.phenotypes.analysis import corrected_for_contrasts, predict_from
from bids_dtg.statistics.phenotypes.page import (
    ALL,
    PhenotypeResults,
    Prediction,
    answer,
    judged_together,
)
from bids_dtg.stats.cohort.association import Association, corrected
from bids_dtg.stats.cohort.coding import Coded, add_levels
from bids_dtg.stats.cohort.exchangeability import permutations, sign_flips
from bids_dtg.stats.cohort.map_sizes import LEVEL as SIZES_LEVEL
from bids_dtg.stats.cohort.map_sizes import residual_sizes, sizes_p
from bids_dtg.stats.cohort.pooled_fdr import why_no_q
from bids_dtg.stats.cohort.second_level import GroupDesign, correct_for_voxels, fit_group
from bids_dtg.stats.paired import false_discovery_rate
from bids_dtg.stats.prediction.folds import repeated_folds
from bids_dtg.stats.prediction.phenotypes import Target
from bids_dtg.stats.prediction.question import Question
from bids_dtg.stats.prediction.ridge import Features

SHAPES = {"stats": (25, 40), "associate": (10, 10), "phenotypes": (6, 10), "effects": (25, 40)}
EDGES, CONTRASTS = 40, ("a", "b")  # of `phenotypes`; its regions are the rows of its maps
SMOOTH = 1.5
WAYS = ("counted q", "q by p of t", "family-wise p")
WAYS_OF_SENTENCES = ("a sentence", "any q of a set", "any p")
LEVEL = 0.05
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cohort:
    """Maps in which there is nothing, and how they are tested."""

    maps: Floats  # (people, voxels)
    tested: Floats  # (people,); all 1: their mean
    families: NDArray[np.intp]  # (people,)
    sites: NDArray[np.intp] | None = None  # (people,)
    covariates: Floats | None = None  # (people, columns)

    def given(self) -> Floats:
        """Return the covariates, with levels of sites as the program adds them."""
        names = tuple(map(str, range(0 if self.covariates is None else self.covariates.shape[1])))
        none = np.empty((len(self.tested), 0))
        coded = Coded(names, none if self.covariates is None else self.covariates)
        if self.sites is None or not np.ptp(self.tested):
            return coded.values
        return add_levels(coded, "site", [str(site) for site in self.sites], self.tested).values


@dataclass(frozen=True, eq=False)
class Noise:
    """Smooth maps of one shape."""

    shape: tuple[int, int]

    def of(self, rng: np.random.Generator, people: int) -> Floats:
        """Return maps of unrelated people, (people, voxels), with a standard deviation of 1."""
        maps = gaussian_filter(rng.standard_normal((people, *self.shape)), (0, SMOOTH, SMOOTH))
        return maps.reshape(people, -1) / maps.std()

    def heavy(self, rng: np.random.Generator, people: int) -> Floats:
        """Return maps whose voxels have the tails of t with 3 degrees of freedom."""
        maps = self.of(rng, people)
        return maps / np.sqrt(rng.chisquare(3, size=(people, 1)) / 3)

    def related(self, rng: np.random.Generator, families: NDArray[np.intp], alike: float) -> Floats:
        """Return maps that correlate within families."""
        maps = np.sqrt(alike) * self.of(rng, int(families.max()) + 1)[families]
        return maps + np.sqrt(1 - alike) * self.of(rng, len(families))


@dataclass(frozen=True, eq=False)
class Rest:
    """People whose rest says nothing of their phenotypes."""

    features: list[tuple[str, str, Floats]]  # kind, contrast, and values (people, columns)
    phenotypes: Mapping[str, Target]
    families: NDArray[np.intp]  # (people,)
    sites: NDArray[np.intp] | None = None  # (people,)


Draw = Callable[[np.random.Generator, Noise], Cohort]
DrawRest = Callable[[np.random.Generator, Noise], Rest]


def scales(rng: np.random.Generator, people: int) -> Floats:
    """Return unequal scales of people, (people, 1)."""
    return np.exp(rng.standard_normal(people))[:, None]


def some(people: int, members: int) -> NDArray[np.floating]:
    """Return 1 for the first members of a group, 0 for everybody else."""
    return (np.arange(people) < members).astype(float)


def families_of(members: int, number: int, alike: float, *, groups: bool) -> Draw:
    """Return what draws families whose maps correlate, tested for a mean or two groups."""
    families = np.repeat(np.arange(number), members)

    def draw(rng: np.random.Generator, noise: Noise) -> Cohort:
        tested = (families % 2).astype(float) if groups else np.ones(len(families))
        return Cohort(noise.related(rng, families, alike), tested, families)

    return draw


def three_sites(rng: np.random.Generator, noise: Noise, people: int = 40) -> Cohort:
    sites = np.arange(people) % 3
    maps = noise.of(rng, people) * np.array([0.5, 1.0, 2.0])[sites][:, None]
    maps += noise.of(rng, 3)[sites]
    tested = rng.standard_normal(people) + sites
    return Cohort(maps, tested, np.arange(people), sites)


def alone(people: int, draw: Callable[[np.random.Generator, Noise], tuple[Floats, Floats]]) -> Draw:
    """Return what draws maps and the tested column of unrelated people."""
    return lambda rng, noise: Cohort(*draw(rng, noise), np.arange(people))


STATS: dict[str, Draw] = {
    "40 unrelated, regression": alone(40, lambda r, n: (n.of(r, 40), r.standard_normal(40))),
    "12 unrelated, mean": alone(12, lambda r, n: (n.of(r, 12), np.ones(12))),
    "40, group of 2, people of unequal scales": alone(
        40, lambda r, n: (n.of(r, 40) * scales(r, 40), some(40, 2))
    ),
    "20 families of 2 (ICC .3), mean": families_of(2, 20, 0.3, groups=False),
    "20 families of 2 (ICC .5), mean": families_of(2, 20, 0.5, groups=False),
    "14 families of 3 (ICC .4), two groups": families_of(3, 14, 0.4, groups=True),
    "12 families of 4 (ICC .8), mean": families_of(4, 12, 0.8, groups=False),
    "40 of 3 sites with means and scales, regression": three_sites,
    "40, 10 patients with doubled maps": alone(
        40, lambda r, n: (n.of(r, 40) * (1 + some(40, 10))[:, None], some(40, 10))
    ),
}


def associations(people: int) -> dict[str, Draw]:
    """Return kinds of cohorts of a size, with a phenotype that nothing goes with."""
    rare = max(2, round(people / 20))

    def moved(rng: np.random.Generator, noise: Noise) -> Cohort:
        motion = np.abs(rng.standard_normal(people))
        maps = noise.of(rng, people) * (1 + motion)[:, None]
        tested = motion + rng.standard_normal(people)
        return Cohort(maps, tested, np.arange(people), covariates=motion[:, None])

    def aged(rng: np.random.Generator, noise: Noise) -> Cohort:
        given = rng.standard_normal((people, 3))
        maps = noise.of(rng, people) + given @ noise.of(rng, 3)
        tested = given.sum(axis=1) + rng.standard_normal(people)
        return Cohort(maps, tested, np.arange(people), covariates=given)

    def families(members: int, alike: float) -> Draw:
        own = np.repeat(np.arange(people // members), members)

        def draw(rng: np.random.Generator, noise: Noise) -> Cohort:
            shared = rng.standard_normal(people // members)[own]
            tested = np.sqrt(alike) * shared + np.sqrt(1 - alike) * rng.standard_normal(len(own))
            return Cohort(noise.related(rng, own, alike), tested, own)

        return draw

    def plain(tested: Callable[[np.random.Generator], Floats], kind: str = "of") -> Draw:
        return alone(people, lambda r, n: (getattr(n, kind)(r, people), tested(r)))

    def unequal(tested: Callable[[np.random.Generator], Floats]) -> Draw:
        return alone(people, lambda r, n: (n.of(r, people) * scales(r, people), tested(r)))

    def normal(rng: np.random.Generator) -> Floats:
        return rng.standard_normal(people)

    kinds = {
        "normal": plain(normal),
        "heavy tails": plain(normal, "heavy"),
        "skewed phenotype": plain(lambda r: np.exp(r.standard_normal(people))),
        "phenotype of 5 levels": plain(lambda r: r.integers(0, 5, people).astype(float)),
        "two groups": plain(lambda _: some(people, people // 2)),
        "group of 5 %": plain(lambda _: some(people, rare)),
        "group of 5 %, people of unequal scales": unequal(lambda _: some(people, rare)),
        "people of unequal scales": unequal(normal),
        "families of 2 (ICC .5)": families(2, 0.5),
        "3 sites": lambda r, n: three_sites(r, n, people),
        "motion in maps and phenotype, as covariate": moved,
        "3 covariates": aged,
        "25 % patients with doubled maps": alone(
            people,
            lambda r, n: (
                n.of(r, people) * (1 + some(people, people // 4))[:, None],
                some(people, people // 4),
            ),
        ),
    }
    return {f"{people}, {name}": draw for name, draw in kinds.items()}


def four_sets(
    rng: np.random.Generator, noise: Noise, edges: Floats
) -> list[tuple[str, str, Floats]]:
    """Return features by kind and contrast: edges, and what follows from them."""
    people = len(edges)
    features, regions = [("edges", "", edges)], list[Floats]()
    for contrast in CONTRASTS:
        maps = edges @ noise.of(rng, EDGES) / np.sqrt(EDGES) + 0.2 * noise.of(rng, people)
        features += [
            ("maps", contrast, maps),
            ("measured", contrast, maps + noise.of(rng, people)),
        ]
        means = maps.reshape(people, *noise.shape).mean(axis=2)
        features.append(("regions", contrast, means))
        regions.append(means)
    return [*features, ("regions", ALL, np.hstack(regions))]


def predictions(people: int) -> dict[str, DrawRest]:
    """Return kinds of cohorts with phenotypes that rest says nothing of."""
    alone = np.arange(people)

    def edges(rng: np.random.Generator) -> Floats:
        return rng.standard_normal((people, EDGES))

    def number(rng: np.random.Generator) -> Target:
        return Target.numbers(rng.standard_normal(people))

    def patients(rng: np.random.Generator, count: int) -> Target:
        levels = np.where(rng.permutation(people) < count, "patient", "control")
        return Target.two_levels(levels.tolist())

    def families(rng: np.random.Generator, noise: Noise) -> Rest:
        own = alone // 2
        shared = rng.standard_normal((people // 2, EDGES + 1))[own]
        both = shared + rng.standard_normal(shared.shape)
        return Rest(four_sets(rng, noise, both[:, 1:]), {"x": Target.numbers(both[:, 0])}, own)

    def sites(rng: np.random.Generator, noise: Noise) -> Rest:
        own = alone % 3
        values = edges(rng) * np.array([0.5, 1.0, 2.0])[own][:, None]
        values += rng.standard_normal((3, EDGES))[own]
        tested = Target.numbers(rng.standard_normal(people) + own)
        return Rest(four_sets(rng, noise, values), {"x": tested}, alone, own)

    def unrelated(
        *phenotypes: Callable[[np.random.Generator], Target],
        scaled: Callable[[np.random.Generator, int], Floats | float] = lambda r, n: 1.0,
    ) -> DrawRest:
        return lambda r, n: Rest(
            four_sets(r, n, edges(r) * scaled(r, people)),
            {f"x{place}": draw(r) for place, draw in enumerate(phenotypes)},
            alone,
        )

    kinds = {
        "3 patients": unrelated(lambda r: patients(r, 3)),
        "a number": unrelated(number),
        "15 patients, and a number": unrelated(lambda r: patients(r, 15), number),
        "families of 2 (ICC .5), a number": families,
        "3 sites with means and scales, a number": sites,
        "people of unequal scales, a number": unrelated(number, scaled=scales),
    }
    return {f"{people}, {name}": draw for name, draw in kinds.items()}


# Cohorts, the share of voxels with an effect, and its size as the mean of t there.
EFFECTS: dict[str, tuple[Draw, float, float]] = {
    "40 unrelated, regression, 1 %": (STATS["40 unrelated, regression"], 0.01, 4),
    "40 unrelated, regression, 5 %": (STATS["40 unrelated, regression"], 0.05, 4),
    "40 unrelated, regression, 20 %": (STATS["40 unrelated, regression"], 0.2, 4),
    "12 unrelated, mean, 20 %": (STATS["12 unrelated, mean"], 0.2, 5),
    "20 families of 2 (ICC .5), mean, 5 %": (STATS["20 families of 2 (ICC .5), mean"], 0.05, 4),
    "14 families of 3 (ICC .4), two groups, 5 %": (
        STATS["14 families of 3 (ICC .4), two groups"],
        0.05,
        4,
    ),
    "12 families of 4 (ICC .8), mean, 20 %": (STATS["12 families of 4 (ICC .8), mean"], 0.2, 7),
    "40 of 3 sites with means and scales, 5 %": (
        STATS["40 of 3 sites with means and scales, regression"],
        0.05,
        4,
    ),
}


def with_effect(cohort: Cohort, share: float, size: float) -> tuple[Cohort, NDArray[np.bool_]]:
    """Return a cohort with an effect in the first of its voxels, and where it is."""
    others = cohort.given() - cohort.given().mean(axis=0)
    if np.ptp(cohort.tested):
        others = np.column_stack([others, np.ones(len(others))])
    basis = np.linalg.qr(others)[0]
    left = cohort.tested - basis @ (basis.T @ cohort.tested)
    there = np.arange(cohort.maps.shape[1]) < share * cohort.maps.shape[1]
    added = size / np.linalg.norm(left) * cohort.tested[:, None] * there
    return replace(cohort, maps=cohort.maps + added), there


def found_of_effect(
    cohort: Cohort, share: float, size: float, number: int, seed: int
) -> tuple[float, ...]:
    """Return the shares found and false: by counted rate, by rate of p of t, family-wise."""
    cohort, there = with_effect(cohort, share, size)
    given = cohort.given()
    design = GroupDesign(cohort.tested, given if given.size else None)
    drawn = (
        sign_flips(number, cohort.families, seed=seed).signs
        if design.tests_mean
        else permutations(number, cohort.families, sites=cohort.sites, seed=seed).orders
    )
    counted = correct_for_voxels(cohort.maps, design, drawn)
    by_t = false_discovery_rate(fit_group(cohort.maps, design).p) <= LEVEL
    shares = []
    for found in (counted.discoveries, by_t, counted.significant):
        shares += [found[there].mean(), (found & ~there).sum() / max(found.sum(), 1)]
    return tuple(map(float, shares))


def print_effects(noise: Noise, cohorts: int, number: int, first: int) -> None:
    """Print the table of effects that were added."""
    heads = [f"{how}: {what}, %" for how in WAYS for what in ("found", "false")]
    print(f"| cohorts, share with an effect | {' | '.join(heads)} |\n|---{'|---' * 6}|")
    for name, (draw, share, size) in EFFECTS.items():
        rng = np.random.default_rng(first)
        rows = [
            found_of_effect(draw(rng, noise), share, size, number, seed) for seed in range(cohorts)
        ]
        print(_row(name, np.mean(rows, axis=0)), flush=True)


def found_by_stats(cohort: Cohort, number: int, seed: int) -> tuple[float, float, float]:
    """Return the smallest q and p of all voxels: counted rate, rate by p of t, family-wise."""
    given = cohort.given()
    design = GroupDesign(cohort.tested, given if given.size else None)
    if design.tests_mean:
        draws: NDArray[np.integer] = sign_flips(number, cohort.families, seed=seed).signs
    else:
        draws = permutations(number, cohort.families, sites=cohort.sites, seed=seed).orders
    by_t = float(false_discovery_rate(fit_group(cohort.maps, design).p).min())
    if not design.tests_mean and _unfair(cohort, design.taken_out, draws):
        return 1.0, by_t, 1.0
    found = correct_for_voxels(cohort.maps, design, draws)
    return float(found.q.min()), by_t, float(found.p.min())


def found_by_associate(cohort: Cohort, number: int, seed: int) -> tuple[float, float, float]:
    """Return the smallest q and p of all columns: counted rate, rate by p of t, family-wise."""
    given = cohort.given()
    drawn = permutations(number, cohort.families, sites=cohort.sites, seed=seed)
    tests = Association.of(cohort.tested, given, drawn).test(cohort.maps)
    by_t = float(false_discovery_rate(tests.p).min())
    others = np.column_stack([np.ones(len(given)), given])
    if why_no_q(number, drawn.possible) or _unfair(cohort, others, drawn.orders):
        return 1.0, by_t, 1.0
    (found,) = corrected([tests])
    return float(found.q.min()), by_t, float(found.p_fwe.min())


def found_by_phenotypes(cohort: Rest, number: int, seed: int) -> tuple[float, float, float]:
    """Return 0 if a sentence says that anything is predicted, else 1; the smallest q and p."""
    drawn = permutations(number, cohort.families, sites=cohort.sites, seed=seed)
    kinds = {kind.name: kind for kind in FEATURES}
    results = []
    for name, target in cohort.phenotypes.items():
        folds = repeated_folds(
            cohort.families,
            repeats=1,
            seed=seed,
            sites=cohort.sites,
            levels=(target.values > 0).astype(np.intp) if target.levels else None,
        )
        question = Question(target, folds, orders=drawn.orders, seed=seed)
        found = [
            predict_from(Features.of(values), kinds[kind], contrast, question)
            for kind, contrast, values in cohort.features
        ]
        results.append(_results(name, target, corrected_for_contrasts(found)))
    results = judged_together(results)
    sure = any("Predicted beyond chance" in answer(own) for own in results)
    fits = [found.nested for own in results for found in own.predictions]
    return float(not sure), min(fit.q for fit in fits), min(fit.p for fit in fits)


def _results(name: str, target: Target, found: list[Prediction]) -> PhenotypeResults:
    return PhenotypeResults(
        name=name,
        levels=target.levels,
        people=len(target.values),
        effective_people=target.effective_people,
        score=target.headline,
        score_words={},
        baselines={},
        predictions=tuple(found),
        notes=(),
    )


def _unfair(cohort: Cohort, others: Floats, orders: NDArray[np.integer]) -> bool:
    sizes = residual_sizes(cohort.maps, others)
    return sizes_p(sizes, cohort.tested, others, orders) <= SIZES_LEVEL


class Record:
    """What cohorts gave, kept in a file so that a call that was ended goes on."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path is not None and path.is_file() else []
        self._known: dict[str, list[float]] = dict(map(json.loads, lines))

    def once(self, key: list[Any], find: Callable[[], tuple[float, ...]]) -> list[float]:
        """Return what a cohort gave, which is found if it is not known."""
        name = json.dumps(key)
        if name not in self._known:
            self._known[name] = list(find())
            if self._path is not None:
                with self._path.open("a") as file:
                    file.write(json.dumps([name, self._known[name]]) + "\n")
        return self._known[name]


ANALYSES: dict[str, tuple[dict[str, Any], Callable[..., tuple[float, ...]], tuple[str, ...]]] = {
    "stats": (STATS, found_by_stats, WAYS),
    "associate": (
        {name: draw for n in (12, 40, 100) for name, draw in associations(n).items()},
        found_by_associate,
        WAYS,
    ),
    "phenotypes": (predictions(48), found_by_phenotypes, WAYS_OF_SENTENCES),
}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("analysis", choices=(*ANALYSES, "effects"))
    parser.add_argument("--cohorts", type=int, default=400)
    parser.add_argument("--permutations", type=int, default=499)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    noise = Noise(SHAPES[options.analysis])
    if options.analysis == "effects":
        print_effects(noise, options.cohorts, options.permutations, options.seed)
        return
    kinds, found, ways = ANALYSES[options.analysis]
    record = Record(options.record)
    print(f"| cohorts | {' | '.join(f'{way}, %' for way in ways)} |\n|{'---|' * (len(ways) + 1)}")
    every = []
    for name, draw in kinds.items():
        rng, rows = np.random.default_rng(options.seed), []
        for number in range(options.cohorts):
            cohort = draw(rng, noise)
            key = [options.analysis, name, options.permutations, options.seed, number]
            find = partial(found, cohort, options.permutations, number)
            rows.append(record.once(key, find))
            print(f"\r{name}: {number + 1} of {options.cohorts}  ", end="", file=sys.stderr)
        print(file=sys.stderr)
        every.append(shares_found(rows))
        print(_row(name, every[-1]), flush=True)
    print(_row("all together", np.mean(every, axis=0)))


def shares_found(rows: ArrayLike) -> Floats:
    """Return in which share of cohorts the smallest q or p was up to 0.05, (ways,)."""
    return np.mean(np.asarray(rows) <= LEVEL, axis=0, dtype=np.float64)


def _row(name: str, shares: ArrayLike) -> str:
    return f"| {name} | {' | '.join(f'{100 * share:.1f}' for share in np.asarray(shares))} |"


if __name__ == "__main__":
    main()
