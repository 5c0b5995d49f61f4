"""How often `stats` and `phenotypes` report findings in simulated cohorts.

    python studies/statistics_cohorts.py stats [--cohorts 400] [--permutations 300] [--seed 3]
    python studies/statistics_cohorts.py phenotypes --cohorts 120
    python studies/statistics_cohorts.py power --cohorts 60
    python studies/statistics_cohorts.py sizes --people 30 --cohorts 2000 --permutations 99
    python studies/statistics_cohorts.py intervals --people 20 --cohorts 100
    python studies/statistics_cohorts.py chance --people 20 --cohorts 400 --permutations 99

Each row is a kind of cohort. Maps are 20 shared factors and noise, in 3 contrasts of 100 regions.
`stats` counts cohorts in which any p, corrected over all columns, is at most .05, and cohorts in
which any q is; and cohorts in which both are withheld, because the size of maps depends on the
phenotype. `phenotypes` counts cohorts with p of at most .05 over three sets. `power` gives the
share of true columns that are found (5 % of all are true, with r of about .4 in unrelated people),
and the share of false ones among the found columns. `sizes` gives the family-wise error of `stats`
where the variance of maps depends on the phenotype, by the ratio of variances, and, in one of a
hundred cohorts, how often p is withheld by the test of sizes alone and with its limit. `intervals`
gives, for ten phenotypes of each cohort that correlate with a combination of the factors, how often
the interval of `phenotypes` covers the mean r (two levels: AUC) of all, and lies above chance.
`chance` gives the share of cohorts of two sites, without an effect, that have a finding.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bids_dtg.stats.coding import Coded, add_levels
from bids_dtg.stats.permutation import (
    Design,
    correct,
    fit_columns,
    flipped_signs,
    misleading_sizes,
    permuted_orders,
    sizes_p,
)
from bids_dtg.stats.prediction import (
    Prediction,
    Target,
    chance,
    cross_validated,
    family_folds,
    interval,
    predict,
    rotated,
    site_folds,
)

Array = NDArray[np.float64]
CONTRASTS = 3
REGIONS = 100
FACTORS = 20
TRUE_R = (0.0, 0.2, 0.4)
RATIOS = (1.0, 1.04, 1.06, 1.08, 1.12)  # of the variance of maps


@dataclass(frozen=True, eq=False)
class Cohort:
    """Simulated people."""

    maps: Array  # (people, columns)
    tested: Array  # (people,)
    families: NDArray[np.intp]
    covariates: Array
    sites: NDArray[np.intp] | None = None
    sessions: bool = False  # whether maps are differences between two sessions


def draw(
    rng: np.random.Generator,
    people: int = 60,
    *,
    tails: float = 0.0,
    covariates: int = 0,
    families: float = 0.0,
    sites: tuple[float, ...] = (),
) -> Cohort:
    """Draw people whose maps are unrelated to the phenotype that is tested.

    Parameters
    ----------
    rng
        Generator of all random numbers.
    people
        Number of people.
    tails
        Degrees of freedom of Student's t, instead of a normal distribution.
    covariates
        Number of covariates, on which phenotype and maps depend.
    families
        Intraclass correlation in families of 2 to 4, in phenotype and maps.
    sites
        Noise of each site, in maps and phenotype.
    """

    def noise(*shape: int) -> Array:
        return rng.standard_t(tails, shape) if tails else rng.standard_normal(shape)

    def maps(number: int) -> Array:
        columns = CONTRASTS * REGIONS
        shared = noise(number, FACTORS) @ rng.standard_normal((FACTORS, columns))
        values: Array = shared / np.sqrt(FACTORS) + noise(number, columns)
        return values

    people_maps = maps(people)
    tested = noise(people)
    family = np.arange(people)
    site = None
    if families:
        family = np.repeat(np.arange(people), rng.integers(2, 5, people))[:people]
        shared, individual = np.sqrt(families), np.sqrt(1 - families)
        people_maps = shared * maps(people)[family] + individual * people_maps
        tested = shared * noise(people)[family] + individual * tested
    if sites:
        site = rng.integers(len(sites), size=people)
        size = np.array(sites)[site]
        people_maps = size[:, None] * people_maps + 2 * maps(len(sites))[site]
        tested = size * tested + 2 * noise(len(sites))[site]
    covariate_values = noise(people, covariates)
    if covariates:
        effects = rng.standard_normal((covariates, people_maps.shape[1]))
        people_maps = people_maps + 0.5 * covariate_values @ effects
        tested = tested + 0.5 * covariate_values.sum(axis=1)
    return Cohort(people_maps, tested, family, covariate_values, site)


def twice(cohort: Cohort, copies: int) -> Cohort:
    """Return a cohort in which some people are included twice."""
    rows = np.r_[np.arange(len(cohort.tested)), np.arange(copies)]
    return Cohort(
        maps=cohort.maps[rows],
        tested=cohort.tested[rows],
        families=cohort.families[rows],
        covariates=cohort.covariates[rows],
    )


def patients(cohort: Cohort, times: float) -> Cohort:
    """Return a cohort with ten patients, whose maps vary more."""
    patient = (np.arange(len(cohort.tested)) < 10).astype(float)
    maps = cohort.maps * (times**patient)[:, None]
    return replace(cohort, maps=maps, tested=patient)


Kind = Callable[[np.random.Generator], Cohort]
COMMON: Mapping[str, Kind] = {
    "unrelated": lambda rng: draw(rng),
    "t tails": lambda rng: draw(rng, tails=3),
    "sites, noise 1, 1, 2": lambda rng: draw(rng, sites=(1, 1, 2)),
    "families, ICC .8": lambda rng: draw(rng, families=0.8),
    "20 people, 8 covariates": lambda rng: draw(rng, 20, covariates=8),
    "everybody twice": lambda rng: twice(draw(rng, 30), 30),
    "10 of 50 twice": lambda rng: twice(draw(rng, 50), 10),
}
OF_STATS: Mapping[str, Kind] = COMMON | {
    "families, 2 covariates": lambda rng: draw(rng, families=0.8, covariates=2),
    "8 people": lambda rng: draw(rng, 8),
    "two sessions, t errors": lambda rng: replace(
        draw(rng, 40, tails=3), sessions=True
    ),
    "10 of 40 patients, maps 1.5 times": lambda rng: patients(draw(rng, 40), 1.5),
}


def covariates_of(cohort: Cohort) -> Array:
    """Return covariates and sites, coded as in the program."""
    if cohort.sites is None:
        return cohort.covariates
    names = tuple(map(str, range(cohort.covariates.shape[1])))
    coded = Coded(names, cohort.covariates)
    sites = [str(site) for site in cohort.sites]
    return add_levels(coded, "site", sites, cohort.tested).values


def contrast_maps(cohort: Cohort) -> list[Array]:
    """Return the maps of each contrast, (people, regions)."""
    return np.split(cohort.maps, CONTRASTS, axis=1)


def p_and_q_of_stats(
    cohort: Cohort, draws: int, seed: int
) -> tuple[Array, Array] | None:
    """Return corrected p and q of each column; None if they are withheld."""
    if cohort.sessions:
        design = Design.of_mean(flipped_signs(cohort.families, draws, seed=seed))
    else:
        orders = permuted_orders(cohort.families, draws, sites=cohort.sites, seed=seed)
        design = Design.of(cohort.tested, covariates_of(cohort), orders)
    tests = [fit_columns(maps, design) for maps in contrast_maps(cohort)]
    products = np.sum([test.products for test in tests], axis=0)
    if not cohort.sessions and misleading_sizes({design: products}):
        return None
    corrected = correct(tests)
    p = np.concatenate([columns.p for columns in corrected])
    q = np.concatenate([columns.q for columns in corrected])
    return p, q


def p_of_phenotypes(cohort: Cohort, draws: int, seed: int) -> float:
    """Return the smallest p over three sets of features, with families and sites left out."""
    orders = permuted_orders(cohort.families, draws, sites=cohort.sites, seed=seed)
    target = Target(cohort.tested, cohort.families, covariates_of(cohort), orders)
    features = [rotated(maps) for maps in contrast_maps(cohort)]
    folds = family_folds(cohort.families, 5, seed)
    predictions = [predict(values, target, folds) for values in features]
    if cohort.sites is not None:
        folds = site_folds(cohort.families, cohort.sites)
        predictions += [
            predict(values, target, folds, within=True) for values in features
        ]
    null = np.max([prediction.null for prediction in predictions], axis=0)
    return min(chance(prediction.r, null) for prediction in predictions)


def with_effect(
    rng: np.random.Generator, families: float
) -> tuple[Cohort, NDArray[np.bool_]]:
    """Return people whose phenotype affects 5 % of the columns, and which columns these are."""
    people = 160 if families else 40
    cohort = draw(rng, people, families=families)
    true = np.arange(cohort.maps.shape[1]) % 20 == 0
    change = 0.6 * np.outer(cohort.tested, true) * (0.6 if families else 1.0)
    return replace(cohort, maps=cohort.maps + change), true


def print_power(args: argparse.Namespace) -> None:
    """Print a row for each kind of cohort in which the phenotype affects maps."""
    for name, families in (("40 unrelated", 0.0), ("160 in families, ICC .5", 0.5)):
        shares = []
        for number in range(args.cohorts):
            rng = np.random.default_rng([args.seed, number])
            cohort, true = with_effect(rng, families)
            withheld = np.ones(len(true)), np.ones(len(true))
            results = p_and_q_of_stats(cohort, args.permutations, number) or withheld
            for values in results:
                significant = values <= 0.05
                false_positives = significant[~true].sum()
                shares.append(significant[true].mean())
                shares.append(false_positives / max(significant.sum(), 1))
        p, p_false, q, q_false = 100 * np.reshape(shares, (-1, 4)).mean(axis=0)
        print(
            f"{name}\tp {p:.1f} ({p_false:.1f} false)\tq {q:.1f} ({q_false:.1f} false)"
        )


def sized_phenotypes(
    rng: np.random.Generator, people: int
) -> Mapping[str, tuple[Array, Array]]:
    """Return phenotypes, and by what power of the ratio the variance of maps depends on them."""
    number = rng.standard_normal(people)
    scaled = (number - number.mean()) / number.std()
    distance = np.abs(scaled)
    of_distance = (distance - distance.mean()) / distance.std()
    half = (np.arange(people) < people / 2).astype(np.float64)
    fifth = (np.arange(people) < people / 5).astype(np.float64)
    return {
        "1:1": (half, half),
        "1:4, the smaller group varies more": (fifth, fifth),
        "number": (number, scaled / 2),
        "number, by distance from its mean": (number, of_distance / 2),
    }


def sizes_of_cohort(
    args: argparse.Namespace, number: int
) -> dict[tuple[str, float], tuple[bool, bool, bool]]:
    """Return, by phenotype and ratio, whether a p is significant, and whether p are withheld.

    The second value is for the test of sizes alone, the third with its limit; only one of a hundred
    cohorts is tested for sizes.
    """
    people, rng = args.people, np.random.default_rng([args.seed, args.people, number])
    everybody = np.arange(people)
    maps = draw(rng, people).maps
    orders = permuted_orders(everybody, args.permutations, seed=number)
    with_observed = np.vstack([everybody, orders])
    results = {}
    for name, (phenotype, power) in sized_phenotypes(rng, people).items():
        design = Design.of(phenotype, np.empty((people, 0)), with_observed)
        for ratio in RATIOS:
            sized = maps * np.sqrt(ratio**power)[:, None]
            unit, _ = design.unit(sized)
            largest = np.concatenate([t.max(axis=1) for _, t in design.by_chance(unit)])
            p = (largest >= largest[0] * (1 - 1e-9)).mean()
            gates = (False, False)
            if number % 100 == 0:
                tested = replace(design, draws=orders)
                products = fit_columns(sized, tested).products
                significant = sizes_p(products, tested) <= 0.05
                gates = significant, bool(misleading_sizes({tested: products}))
            results[name, ratio] = (bool(p <= 0.05), *gates)
    return results


def print_sizes(args: argparse.Namespace) -> None:
    """Print the family-wise error by kind of phenotype and ratio of the maps' variance."""
    cohorts = [sizes_of_cohort(args, number) for number in range(args.cohorts)]
    for name, ratio in cohorts[0]:
        found, *_ = 100 * np.mean([cohort[name, ratio] for cohort in cohorts], axis=0)
        tested = [cohort[name, ratio] for cohort in cohorts[::100]]
        _, gate, with_limit = 100 * np.mean(tested, axis=0)
        print(
            f"{args.people}\t{name}\t{ratio}\t{found:.1f}\t{gate:.0f}\t{with_limit:.0f}"
        )


def print_chance(args: argparse.Namespace) -> None:
    """Print the share of cohorts of two sites, without an effect, that have a finding."""
    shares = []
    for number in range(args.cohorts):
        rng = np.random.default_rng([args.seed, args.people, number])
        cohort = draw(rng, args.people, sites=(1, 1))
        of_stats = p_and_q_of_stats(cohort, args.permutations, number)
        values = [1.0, 1.0] if of_stats is None else [p.min() for p in of_stats]
        values.append(p_of_phenotypes(cohort, args.permutations, number))
        shares.append(np.array(values) <= 0.05)
    p, q, of_phenotypes = 100 * np.mean(shares, axis=0)
    print(
        f"{args.people}\tstats p {p:.1f}, q {q:.1f}\tphenotypes p {of_phenotypes:.1f}"
    )


Row = tuple[float, bool, float, float, float]


def intervals_of_cohort(people: int, seed: int, number: int) -> list[Row]:
    """Return true r, whether there are two levels, and score and interval of phenotypes."""
    rng = np.random.default_rng([seed, people, number])
    factors = rng.standard_normal((people, FACTORS))
    loadings = rng.standard_normal((FACTORS, CONTRASTS * REGIONS))
    maps = factors @ loadings / np.sqrt(FACTORS)
    maps += rng.standard_normal(maps.shape)
    everybody = np.arange(people)
    phenotypes = []
    for true_r in TRUE_R:
        weights = rng.standard_normal((FACTORS, 10))
        known = factors @ weights / np.linalg.norm(weights, axis=0)
        noise = rng.standard_normal(known.shape)
        phenotypes.append(true_r * known + np.sqrt(1 - true_r**2) * noise)
    numbers = np.concatenate(phenotypes, axis=1)
    levels = (numbers > np.median(numbers, axis=0)).astype(np.float64)
    nothing = np.empty((people, 0)), np.empty((0, people), np.intp)
    rows: list[Row] = []
    for values in (numbers, levels):
        target = Target(values[:, 0], everybody, *nothing)
        predicted, measured = cross_validated(
            rotated(maps),
            values - values.mean(axis=0),
            target,
            family_folds(everybody, 5, number),
        )
        for column in range(values.shape[1]):
            of_column = Target(values[:, column], everybody, *nothing)
            columns = predicted[:, column], measured[:, column]
            score = interval(Prediction(*columns, np.empty(0)), of_column)
            ends = score.mean, score.low, score.high
            rows.append((TRUE_R[column // 10], values is levels, *ends))
    return rows


def print_intervals(args: argparse.Namespace) -> None:
    """Print the coverage of intervals by kind of phenotype and true r."""
    rows = [
        row
        for number in range(args.cohorts)
        for row in intervals_of_cohort(args.people, args.seed, number)
    ]
    for two_levels in (False, True):
        for true_r in TRUE_R:
            of_kind = [row[2:] for row in rows if row[:2] == (true_r, two_levels)]
            score, low, high = np.array(of_kind).T
            mean = np.nanmean(score)
            covered = 100 * ((low <= mean) & (mean <= high)).mean()
            above = 100 * (low > (0.5 if two_levels else 0)).mean()
            what = "AUC" if two_levels else "r"
            print(
                f"{args.people}\t{true_r}\t{what} {mean:.3f}\t{covered:.1f}\t{above:.1f}"
            )


_PRINTED = {
    "power": print_power,
    "sizes": print_sizes,
    "intervals": print_intervals,
    "chance": print_chance,
}


def main() -> None:
    """Print a row for each kind of cohort."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=(*_PRINTED, "stats", "phenotypes"))
    parser.add_argument("--cohorts", type=int, default=400)
    parser.add_argument("--permutations", type=int, default=300)
    parser.add_argument("--people", type=int, default=30)
    parser.add_argument("--seed", type=int, default=3)
    args = parser.parse_args()
    if args.what in _PRINTED:
        _PRINTED[args.what](args)
        return
    kinds = OF_STATS if args.what == "stats" else COMMON
    for place, (name, kind) in enumerate(kinds.items()):
        significant = []
        withheld = 0
        for number in range(args.cohorts):
            cohort = kind(np.random.default_rng([args.seed, place, number]))
            if args.what == "phenotypes":
                p = p_of_phenotypes(cohort, args.permutations, number)
                significant.append([p <= 0.05])
                continue
            results = p_and_q_of_stats(cohort, args.permutations, number)
            if results is None:
                withheld += 1
                significant.append([False, False])
            else:
                significant.append([bool((values <= 0.05).any()) for values in results])
        shares = np.mean(significant, axis=0)
        cells = "\t".join(f"{100 * share:.1f}" for share in shares)
        print(f"{name}\t{cells}\t{100 * withheld / args.cohorts:.1f}", flush=True)


if __name__ == "__main__":
    main()
