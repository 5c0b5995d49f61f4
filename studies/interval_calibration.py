"""Do half-widths hold, for a new measurement and for the true map, wherever one looks?

    python studies/interval_calibration.py phantom --work FOLDER --seeds 11 12 13 14 15
    python studies/interval_calibration.py hcp30 ../shared/data/real/hcp30 [--repeats 10]

Simulated people (voxels of 8 mm): some train, others tune, others calibrate, of whom `--retest`
had a second session, and others test, each with one to four segments of rest. A call that was
stopped goes on. Shares are over people and places, and their mean over seeds has a 95 % interval
(Student's t over seeds). The widths were chosen on seeds 1 to 3 of the phantom's version 1, which
has no motion: there is nothing to say by framewise displacement.

Real people (`hcp30`, 20 people by parcel, one session): the linear model, five folds. The errors
of people who are left out calibrate, and a person is judged by the half-widths that the people of
the other folds give: the measurement's alone, as there is no second session. The mean over people
has its interval over people, of each person's mean over the repeats.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from interval_people import MINUTES, SEGMENTS, Group, Sizes, read_groups
from numpy.typing import NDArray

from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.contrasts.phantom.parameters import VERSION_2, PhantomParameters
from bids_dtg.contrasts.phantom.tasks import CONTRASTS
from bids_dtg.imaging.atlas import find_atlas
from bids_dtg.imaging.lattice import single_lattice
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.arrays import read_arrays
from bids_dtg.phantom.streams import Cohort
from bids_dtg.stats.conformal import Calibration, block_edge, coverage
from bids_dtg.stats.paired import t_interval
from bids_dtg.stats.splits import fold_people
from bids_dtg.stats.width_factors import MEASURED, TRUE, SegmentSums, deviation_bins

Array = NDArray[np.float32]
Shares = Mapping[str, NDArray[np.float64]]  # of values within their half-widths, by row's name
VERSIONS = {1: PhantomParameters(), 2: VERSION_2}
LEVEL = 90
KINDS = {MEASURED: "a new measurement", TRUE: "the true map"}
_TENTHS = np.arange(0.1, 1.0, 0.1)


def main() -> None:
    """Simulate or read people, calibrate, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    of = parser.add_subparsers(dest="people", required=True)
    phantom = of.add_parser("phantom")
    phantom.add_argument("--work", type=Path, required=True, help="folder of simulated people")
    phantom.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13, 14, 15])
    phantom.add_argument("--version", type=int, choices=VERSIONS, default=2, help="phantom's")
    phantom.add_argument("--kind", default="local-ridge", help="of model")
    phantom.add_argument("--retest", type=int, default=30, help="people with a second session")
    sizes = zip(Sizes.__dataclass_fields__, (120, 30, 60, 80), strict=True)
    for name, people in sizes:
        phantom.add_argument(f"--{name}", type=int, default=people, help="people")
    hcp30 = of.add_parser("hcp30")
    hcp30.add_argument("folder", type=Path, help="with rest.npz and task.npz")
    hcp30.add_argument("--repeats", type=int, default=10)
    args = parser.parse_args()
    if args.people == "hcp30":
        real_people(args.folder, args.repeats)
        return
    wanted = Sizes(args.train, args.tune, args.calibrate, args.test)
    found = []
    for seed in args.seeds:
        made = Phantom(VERSIONS[args.version], seed=seed, block=4)
        groups = read_groups(args.work, made, wanted, args.kind)
        people = (made.person(Cohort.TEST, number) for number in range(args.test))
        motion = np.array([person.measurement.motion for person in people])
        found.append(judged(*groups, made.anatomy.places, args.retest, motion))
        print(f"seed {seed} judged", flush=True)
    print_tables(found)


def judged(
    calibrate: Group,
    test: Group,
    usual: tuple[Array, Array],
    places: VoxelPlaces,
    retest: int,
    motion: NDArray[np.float64],
) -> dict[str, float]:
    """Calibrate on some people and judge others; return shares and widths by row's name.

    Parameters
    ----------
    calibrate, test
        The people.
    usual
        Mean of the training people's predictions, and their spread, (contrasts, places) and
        (contrasts, 1).
    places
        Where the maps are.
    retest
        How many of those who calibrate had a second session.
    motion
        Of the people who test, times the usual motion, (people,).
    """
    mean, spread = usual
    made = calibrated(calibrate, usual, places, retest)
    assert made.factors is not None
    segments = 1 + np.arange(len(test)) % SEGMENTS
    predicted = np.stack([test.predicted[n, k - 1] for n, k in enumerate(segments)])
    predicted = predicted.astype(np.float32)
    bins = deviation_bins((predicted - mean) / spread)
    away = np.abs(predicted - mean) / spread
    targets = {MEASURED: test.measured[:, 0], TRUE: test.true}
    widths = {MEASURED: made.half_widths(LEVEL), TRUE: made.true_half_widths(LEVEL)}
    found: dict[str, float] = {}
    for kind, words in KINDS.items():
        usual_width = widths[kind]
        assert usual_width is not None
        factor = [made.factors.of_segments(kind, int(k)) for k in segments]
        width = usual_width * made.factors.by_deviation[kind][bins]
        width *= np.array(factor, np.float32)[:, None, None]
        inside = np.abs(targets[kind].astype(np.float32) - predicted) <= width
        shares = {"all": inside.mean(), "people, sd": inside.mean(axis=(1, 2)).std(ddof=1)}
        shares |= by_tenths("predicted deviation, size", away, inside)
        shares |= by_tenths("half-width", width, inside)
        for number in range(1, SEGMENTS + 1):
            own = inside[segments == number]
            shares[f"minutes of rest: {MINUTES * number:.1f}"] = own.mean()
        if np.ptp(motion) > 0:
            of_places = np.broadcast_to(motion[:, None, None], inside.shape)
            shares |= by_tenths("motion", of_places, inside)
        for name, rows in families().items():
            shares[f"contrasts: {name}"] = inside[:, rows].mean()
        for name, where in tissues(places).items():
            shares[f"tissue: {name}"] = inside[..., where].mean()
        own_part = np.abs(test.true.astype(np.float32) - mean) / spread
        shares |= by_tenths("true deviation, size", own_part, inside)
        found |= {f"{words}; {name}": float(value) for name, value in shares.items()}
        found[f"{words}; mean half-width, z"] = float(width.mean())
    error = targets[TRUE].astype(np.float32) - predicted
    ideal = must_show(predicted, error, mean, spread)
    return found | {f"a calibrated predictor; {name}": value for name, value in ideal.items()}


def calibrated(
    people: Group, usual: tuple[Array, Array], places: VoxelPlaces, retest: int
) -> Calibration:
    """Calibrate as the program does, on maps of all segments."""
    mean, spread = usual
    contrasts = people.true.shape[1]
    lattice = places.lattice(block_edge(places.spacing_mm))
    shorter = SegmentSums(SEGMENTS, contrasts)
    first, second, bins = [], [], []
    for number in range(len(people)):
        measured = people.measured[number].astype(np.float32)
        if number >= retest:
            measured[1] = np.nan
        for count in range(1, SEGMENTS + 1):
            maps = people.predicted[number, count - 1].astype(np.float32)
            errors = measured - maps
            shorter.add(count, errors[0], errors[1])
        first.append(errors[0])
        second.append(errors[1])
        bins.append(deviation_bins((maps - mean) / spread))
    return Calibration.fit(
        first, lattice, SEGMENTS, retest=second, bins=bins, by_segments=shorter.factors()
    )


def by_tenths(name: str, size: Array, inside: NDArray[np.bool_]) -> dict[str, float]:
    """Return the share inside in each tenth of a size."""
    tenth = np.digitize(size, np.quantile(size[::4], _TENTHS))
    count = np.bincount(tenth.ravel(), minlength=10)
    held = np.bincount(tenth.ravel(), inside.ravel(), minlength=10)
    return {
        f"{name}: tenth {number + 1}": float(share)
        for number, share in enumerate(held / np.maximum(count, 1))
    }


def must_show(predicted: Array, error: Array, mean: Array, spread: Array) -> dict[str, float]:
    """Return what intervals that are right for every prediction show by |true deviation|.

    Errors are drawn from a normal distribution, independent of the prediction, with the standard
    deviation that they have at each place.
    """
    rng = np.random.default_rng(0)
    sd = np.sqrt(np.square(error).mean(axis=0))
    drawn = (sd * rng.standard_normal(error.shape)).astype(np.float32)
    inside = np.abs(drawn) <= np.float32(1.6448536) * sd
    own_part = np.abs(predicted + drawn - mean) / spread
    return by_tenths("true deviation, size", own_part, inside)


def families() -> dict[str, list[int]]:
    """Return the rows of the contrasts of each task, and of those between conditions."""
    found: dict[str, list[int]] = {}
    for row, contrast in enumerate(CONTRASTS):
        found.setdefault(contrast.task.title(), []).append(row)
        found.setdefault("against rest" if not contrast.minus else "differences", []).append(row)
    return found


def tissues(places: VoxelPlaces) -> dict[str, NDArray[np.bool_]]:
    """Return where the cortex, the nuclei below it and all other grey matter are."""
    cortex, below = (find_atlas(name, places).labels > 0 for name in ("Schaefer400", "HCP"))
    return {
        "cortex": cortex & ~below,
        "subcortical": below,
        "other grey matter": ~(cortex | below),
    }


def print_tables(found: Sequence[Mapping[str, float]]) -> None:
    """Print a row for each group of places: means over seeds, with intervals."""
    first, true = (f"{words}; " for words in KINDS.values())
    rows = [name.removeprefix(first) for name in found[0] if name.startswith(first)]
    print("| places | a new measurement | the true map |\n|" + " --- |" * 3)
    for row in rows:
        if "tenth" not in row:
            scale = 1 if row.endswith(", z") else 100
            cells = " | ".join(
                cell([scale * one[kind + row] for one in found]) for kind in (first, true)
            )
            print(f"| {row} | {cells} |")
    print("\n| tenths, from small to large | half-width for | shares |\n|" + " --- |" * 3)
    sizes = dict.fromkeys(row.partition(": tenth")[0] for row in rows if "tenth" in row)
    for size in sizes:
        for words in (*KINDS.values(), "a calibrated predictor"):
            names = [f"{words}; {size}: tenth {number}" for number in range(1, 11)]
            if names[0] in found[0]:
                print(f"| {size} | {words} | {tenths(found, names)} |")
    means = [f"{words}mean half-width, z" for words in (first, true)]
    of_width = [100 * one[means[1]] / one[means[0]] for one in found]
    print(f"\ntrue map's mean half-width / measurement's: {cell(of_width)} %")


def cell(values: Sequence[float]) -> str:
    """Return a mean over seeds and its interval."""
    if len(values) < 3:  # too few for an interval
        return f"{np.mean(values):.2f}"
    interval = t_interval(np.array(values))
    return f"{interval.mean:.2f} ({interval.low:.2f} to {interval.high:.2f})"


def tenths(found: Sequence[Mapping[str, float]], names: Sequence[str]) -> str:
    """Return the means of tenths in percent, and the widest interval."""
    values = 100 * np.array([[one[name] for name in names] for one in found])
    text = ", ".join(f"{mean:.1f}" for mean in values.mean(axis=0))
    if len(values) < 3:  # too few for an interval
        return text
    wide = max(t_interval(column).high - column.mean() for column in values.T)
    return f"{text}; ± {wide:.1f} at most"


def real_people(folder: Path, repeats: int) -> None:
    """Judge half-widths of measured maps of real people by cross-conformal folds."""
    from linear_maps import Weighted, predicted
    from real_people import Split, Study, fitted

    people = read_arrays(
        [folder / "rest.npz", folder / "task.npz"], ["targets=beta", "contrasts=conditions"]
    )
    weighted = Weighted(Study(people, 1), seed=0)
    shares: dict[str, list[float]] = {label: [] for label in people.labels}
    for repeat in range(repeats):
        folds = fold_people(people.labels, 5, seed=100 + repeat, families={})
        errors: dict[str, Array] = {}
        for group in folds:
            others = tuple(label for label in people.labels if label not in group)
            split = Split(others, tuple(group))
            space = weighted.space(others, None)
            training, test = weighted.people(split, space, None, None, short=False)
            maps = predicted(fitted("linear", training, space, people.contrasts), test)
            for person, own in zip(test, maps, strict=True):
                errors[person.label] = person.maps - own
        for group in folds:
            rest = [own for label, own in errors.items() if label not in group]
            made = Calibration.fit(rest, single_lattice(rest[0].shape[1], 1), 1)
            for label in group:
                share = coverage(errors[label], made.half_widths(LEVEL))
                shares[label].append(float(share.mean()))
        print(f"repeat {repeat + 1} of {repeats}", flush=True)
    means = np.array([100 * np.mean(own) for own in shares.values()])
    interval = t_interval(means)
    print(
        f"| people | mean over people | 95 % interval | sd over people | least and most |\n"
        f"| --- | --- | --- | --- | --- |\n| {len(means)} | {interval.mean:.1f} % | "
        f"{interval.low:.1f} to {interval.high:.1f} | {means.std(ddof=1):.1f} points | "
        f"{means.min():.0f} to {means.max():.0f} % |"
    )


if __name__ == "__main__":
    main()
