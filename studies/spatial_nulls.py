"""How often chance makes two maps over regions "significant", by each way to test them.

    python studies/spatial_nulls.py [--maps 1000] [--surrogates 299] [--seed 0]
    python studies/spatial_nulls.py --data ../shared/sip/data

Pairs of random maps that have nothing to do with each other, but are smooth: Gaussian fields at
the positions of the Desikan-Killiany regions. A test at 0.05 should call 5 % of the pairs. In the
second table, the two hemispheres of a map correlate by `likeness`.

With `--data`: how the zero-crossings of real people's regions, their mean over the first 40, follow
published maps of the cortex, with 9,999 surrogates.

Variogram-matched surrogates (Burt et al. 2020, NeuroImage 220: 117038) are here for comparison
only: permuted values, smoothed over a share of the neighbours, with noise.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform
from scipy.stats import pearsonr

from bids_dtg.dynamics.measures import zero_crossings
from bids_dtg.files.text import read_packaged
from bids_dtg.inputs.regions.positions import read_region_positions
from bids_dtg.inputs.regions.sides import homotopic_pairs
from bids_dtg.stats.correlation import correlation
from bids_dtg.stats.spatial_nulls import (
    is_mirrored,
    moran_surrogates,
    null_p,
    within_hemispheres,
)

Array = NDArray[np.float64]
LEVEL = 0.05
# How alike two places are whose distance is so many lengths.
KINDS: Mapping[str, Callable[[Array], Array]] = {
    "exponential": lambda lengths: np.exp(-lengths),
    "Gaussian": lambda lengths: np.exp(-(lengths**2) / 2),
}
FIELDS = (
    ("exponential", 1e-3),
    ("exponential", 15.0),
    ("exponential", 30.0),
    ("exponential", 60.0),
    ("Gaussian", 15.0),
    ("Gaussian", 30.0),
    ("Gaussian", 60.0),
)
BOTH_SIDES = (("exponential", 30.0), ("Gaussian", 30.0), ("exponential", 60.0))
LIKENESS = (0.0, 0.5, 0.9, 0.99)
REAL_PEOPLE = 40  # the others of the file are for tests of people who were never looked at
# Those of the publication (Sip et al. 2023, table 2).
PUBLISHED_MAPS = (
    "gene_pc1",
    "neuronal_density_histology",
    "neuronal_size_histology",
    "neuronal_density_bigbrain",
    "t1w_t2w",
    "ei_ratio",
    "rsfc_gradient1",
)
SHARES = np.arange(0.1, 1.0, 0.1)  # of regions, that a variogram-matched map is smoothed over


@dataclass(frozen=True)
class MapCorrelation:
    """Pearson's r of two maps, and how often chance gives one as large."""

    r: float
    p: float  # two-sided, among surrogates as smooth as the first map
    p_pearson: float  # as if regions were independent: too small where maps are smooth
    regions: int  # how many were compared: one hemisphere's where a map is mirrored


def correlate_maps(
    values: Array,
    other: Array,
    distances: Array,
    pairs: Sequence[tuple[int, int]] = (),
    *,
    number: int = 9999,
    seed: int = 0,
) -> MapCorrelation:
    """Return the correlation of two maps over regions, and its p among surrogates of the first.

    With pairs, surrogates are those of `within_hemispheres`; and where one of the maps
    `is_mirrored`, only the left hemisphere is compared.
    """
    if pairs and (is_mirrored(values, pairs) or is_mirrored(other, pairs)):
        left = [one for one, _ in pairs]
        values, other, distances = values[left], other[left], distances[np.ix_(left, left)]
        pairs = ()
    if pairs:
        surrogates = within_hemispheres(values, distances, pairs, number, seed)
    else:
        surrogates = moran_surrogates(values, distances, number, seed)
    r, p_pearson = pearsonr(values, other)
    p = null_p(r, correlation(surrogates, other))
    return MapCorrelation(float(r), float(p), float(p_pearson), len(values))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--maps", type=int, default=1000, help="pairs of maps a row")
    parser.add_argument("--surrogates", type=int, default=299)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, help="folder with series and maps of DK68")
    args = parser.parse_args()
    if args.data:
        real_maps(args.data)
        return
    rng = np.random.default_rng(args.seed)
    left, right = dk68_distances()
    one_side(left, args.maps, args.surrogates, rng)
    both_sides((left + right) / 2, args.maps, args.surrogates, rng)


def real_maps(folder: Path) -> None:
    """Print the correlation of zero-crossings with each published map, and both p."""
    bold, maps = np.load(folder / "bold_REST1_LR_50.npz"), np.load(folder / "region_maps.npz")
    regions = [str(name) for name in bold["region"]]
    crossings = zero_crossings(bold["bold"][:REAL_PEOPLE].astype(np.float32)).mean(axis=0)
    distances = squareform(pdist(read_region_positions(regions)))
    pairs = homotopic_pairs(regions)
    print("map | regions | r | p, Pearson | p, surrogates")
    for name in PUBLISHED_MAPS:
        found = correlate_maps(crossings, maps[name], distances, pairs)
        print(f"{name} | {found.regions} | {found.r:.2f} | {found.p_pearson:.1g} | {found.p:.3f}")


def dk68_distances() -> tuple[Array, Array]:
    """Return the distances between the regions of the left and of the right hemisphere, mm."""
    table = read_packaged("bids_dtg.inputs.regions", "dk68_positions.tsv").splitlines()[1:]
    positions = read_region_positions([line.partition("\t")[0] for line in table])
    return squareform(pdist(positions[:34])), squareform(pdist(positions[34:]))


def one_side(distances: Array, maps: int, number: int, rng: np.random.Generator) -> None:
    """Print the shares of one hemisphere: Pearson's p, Moran, variogram."""
    print("34 regions | length mm | Pearson | Moran | variogram")
    for kind, length in FIELDS:
        likeness = KINDS[kind](distances / length)
        calls = []
        for seed in range(maps):
            values, other = fields(likeness, 2, rng)
            moran = correlate_maps(values, other, distances, number=number, seed=seed)
            matched = variogram_surrogates(values, distances, number, rng)
            calls.append((moran.p_pearson, moran.p, correlation_p(values, other, matched)))
        print_row(f"{kind} | {length:g}", calls)


def both_sides(distances: Array, maps: int, number: int, rng: np.random.Generator) -> None:
    """Print the shares of two hemispheres: signs apart, signs shared."""
    print("\n68 regions | length mm | likeness | Pearson | sides apart | within hemispheres")
    pairs = [(region, region + 34) for region in range(34)]
    # Between the hemispheres any distance does: `within_hemispheres` does not use it.
    whole = np.block([[distances, np.ones((34, 34))], [np.ones((34, 34)), distances]])
    for kind, length in BOTH_SIDES:
        for alike in LIKENESS:
            likeness = np.kron([[1, alike], [alike, 1]], KINDS[kind](distances / length))
            calls = []
            for seed in range(maps):
                values, other = fields(likeness, 2, rng)
                shared = correlate_maps(values, other, whole, pairs, number=number, seed=seed)
                sides = [
                    moran_surrogates(values[:34], distances, number, 2 * seed),
                    moran_surrogates(values[34:], distances, number, 2 * seed + 1),
                ]
                own = correlation_p(values, other, np.hstack(sides))
                calls.append((shared.p_pearson, own, shared.p))
            print_row(f"{kind} | {length:g} | {alike:g}", calls)


def fields(likeness: Array, maps: int, rng: np.random.Generator) -> Array:
    """Return (maps, regions) Gaussian fields with a covariance."""
    root = np.linalg.cholesky(likeness + 1e-8 * np.eye(len(likeness)))
    return rng.standard_normal((maps, len(likeness))) @ root.T


def correlation_p(values: Array, other: Array, surrogates: Array) -> float:
    """Return the two-sided p of Pearson's r among surrogates."""
    rs = np.corrcoef(np.vstack([other, values, surrogates]))[0, 1:]
    return float(null_p(rs[0], rs[1:]))


def variogram_surrogates(
    values: Array, distances: Array, number: int, rng: np.random.Generator
) -> Array:
    """Return (number, regions): for each the smoothing whose variogram is most like the map's."""
    one, other = np.triu_indices(len(values), 1)
    apart = distances[one, other]
    near = apart <= np.percentile(apart, 25)
    one, other, apart = one[near], other[near], apart[near]
    centres = np.linspace(apart.min(), apart.max(), 25)
    width = 3 * (centres[1] - centres[0])
    kernel = np.exp(-((2.68 * (apart - centres[:, None])) ** 2) / (2 * width**2))
    kernel /= kernel.sum(axis=1, keepdims=True)

    def variograms(maps: Array) -> Array:
        return (0.5 * (maps[:, one] - maps[:, other]) ** 2) @ kernel.T

    wanted = variograms(values[None])[0]
    permuted = rng.permuted(np.tile(values, (number, 1)), axis=1)
    best, found = np.full(number, np.inf), np.empty_like(permuted)
    for share in SHARES:
        smooth = permuted @ neighbours(distances, max(1, int(share * len(values)))).T
        have = variograms(smooth)
        centred = have - have.mean(axis=1, keepdims=True)
        slope = (centred @ (wanted - wanted.mean())) / (centred**2).sum(axis=1)
        offset = wanted.mean() - slope * have.mean(axis=1)
        misfit = ((wanted - offset[:, None] - slope[:, None] * have) ** 2).sum(axis=1)
        noise = rng.standard_normal(smooth.shape) * np.sqrt(np.abs(offset))[:, None]
        better = misfit < best
        best[better] = misfit[better]
        found[better] = (np.sqrt(np.abs(slope))[:, None] * smooth + noise)[better]
    return found


def neighbours(distances: Array, count: int) -> Array:
    """Return (regions, regions) weights of each region's nearest others; a row sums to 1."""
    nearest = np.argsort(distances, axis=1)[:, 1 : count + 1]
    apart = np.take_along_axis(distances, nearest, axis=1)
    weights = np.exp(-apart / apart.max(axis=1, keepdims=True))
    kernel = np.zeros_like(distances)
    np.put_along_axis(kernel, nearest, weights / weights.sum(axis=1, keepdims=True), axis=1)
    return kernel


def print_row(head: str, calls: list[tuple[float, ...]]) -> None:
    """Print the share of pairs that each test calls, in per cent."""
    shares = (np.array(calls) < LEVEL).mean(axis=0)
    print(" | ".join([head, *(f"{100 * share:.1f} %" for share in shares)]), flush=True)


if __name__ == "__main__":
    main()
