"""Make all of the demo bundle again but the network: scores, re-centring, intervals, range.

    python scripts/demo_statistics.py --work /tmp/demo_train

Simulates the people that are not in the work folder yet, predicts their maps with the bundle's
network, and writes the bundle again: its table of scores, its re-centring, a calibration, intervals
of parcel means, what people's maps have in common, the coverage on test people, and what is usual
of the training people's runs. The same command resumes a stopped call. `train_demo.py` ends with
the same steps. `--only parcels` makes the intervals of parcel means alone, `--only deviation` the
mean and the spread of people's maps, `--only usual` what share of these usually lies far from the
mean, and each leaves all else as it is.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from demo_bundle import phantom_people, write_demo_bundle
from demo_distribution import learn_distribution
from demo_people import MAP_STEP, OneByOne, predict_people, simulate_people, simulate_retest
from demo_table import make_table
from numpy.typing import NDArray
from rich.progress import track

from bids_dtg.bundles.people import ModelPeople
from bids_dtg.connectome.training_distribution.summary import LatticeBlocks
from bids_dtg.contrasts.bundle.bundle import ModelBundle, load_bundle
from bids_dtg.contrasts.bundle.writer import extend_bundle
from bids_dtg.contrasts.network.parameters import Parameters
from bids_dtg.contrasts.network.prepared import prepare
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.imaging.atlas import find_atlas
from bids_dtg.imaging.lattice import Lattice
from bids_dtg.inputs.regions.known_atlases import SHIPPED
from bids_dtg.phantom.streams import Cohort
from bids_dtg.stats.conformal import (
    LEVELS,
    Calibration,
    ErrorSums,
    ScoreCounts,
    block_edge,
    coverage,
)
from bids_dtg.stats.deviation import Deviation, PeopleSums, UsualShare, share_far
from bids_dtg.stats.parcel_intervals import ParcelIntervals, parcel_errors
from bids_dtg.stats.width_factors import deviation_bins

Array = NDArray[np.float32]
DEMO = Path(__file__).parent.parent / "bids_dtg" / "bundles" / "demo"
POOLINGS_MM = (None, 6.0, 10.0, 14.0, 20.0, 30.0)  # None: one half-width for each contrast
COMPARED = slice(0, None, 6)  # contrasts to compare the poolings on
TRAINING_SEGMENTS = 2  # of rest of each training person, at the last voxel size
HELD_OUT = 40  # people to validate, to calibrate, and to test
SEGMENTS = 4  # behind each prediction


def main() -> None:
    """Make the bundle of an earlier training again, with its network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder of people and maps")
    parser.add_argument("--bundle", type=Path, default=DEMO, help="the bundle's folder")
    parser.add_argument("--compare", action="store_true", help="compare half-widths, and stop")
    parser.add_argument("--only", choices=list(ONLY), help="make these alone, and stop")
    args = parser.parse_args()
    if args.compare:
        compare_poolings(args.work, load_bundle(args.bundle))
    elif args.only:
        ONLY[args.only](args.work, args.bundle)
    else:
        remake(args.work, args.bundle)


def remake(work: Path, folder: Path) -> ModelBundle:
    """Write the bundle in `folder` again with the network that it has."""
    old = load_bundle(folder)
    phantom = Phantom(block=round(old.grid.voxel_sizes_mm[0] / 2))
    training = simulate_people(
        work / f"{2 * phantom.block}mm" / "training",
        phantom,
        Cohort.TRAINING,
        old.card.training.participants or 0,
        TRAINING_SEGMENTS,
    )
    network = old.network()
    table = make_table(work, phantom, training, network, people=HELD_OUT)
    made = folder.with_name(folder.name + "_remade")
    shutil.rmtree(made, ignore_errors=True)
    write_demo_bundle(made, phantom, network.state_dict(), old.card.record or {}, table)
    add_statistics(work, made)
    shutil.rmtree(folder)
    made.rename(folder)
    return load_bundle(folder)


def add_statistics(work: Path, folder: Path) -> ModelBundle:
    """Write the bundle in `folder` again, with statistics of the people in `work`."""
    bundle = load_bundle(folder)
    phantom = Phantom(block=round(bundle.grid.voxel_sizes_mm[0] / 2))
    errors = _calibration_errors(work, phantom, bundle)
    deviation, second = learn_deviation(work, bundle), _second_errors(work, phantom, bundle)
    away = (deviation.deviations(maps) for maps in _calibration_maps(work, bundle))
    calibration = Calibration.fit(
        errors,
        _lattice(bundle),
        SEGMENTS,
        retest=second,
        bins=[deviation_bins(own) for own in away],
    )
    intervals = score_intervals(work, bundle, calibration)
    print(json.dumps(intervals), flush=True)
    evaluation = {**(bundle.card.evaluation or {}), "intervals": intervals}
    evaluated = replace(bundle, card=replace(bundle.card, evaluation=evaluation))
    training = learn_distribution(work / "range", phantom, bundle)
    new = folder.with_name(folder.name + "_new")
    calibrated = phantom_people(phantom, {Cohort.CALIBRATION: HELD_OUT})
    seen = (bundle.people or ModelPeople({})).joined(calibrated)
    extend_bundle(
        evaluated,
        new,
        calibration=calibration,
        parcel_intervals=parcel_intervals(errors, second, bundle),
        training_distribution=training,
        people=seen,
        deviation=deviation,
    )
    shutil.rmtree(folder)
    new.rename(folder)
    return load_bundle(folder)


def add_parcels(work: Path, folder: Path) -> None:
    """Write the bundle in `folder` again, with intervals of parcel means."""
    bundle = load_bundle(folder)
    phantom = Phantom(block=round(bundle.grid.voxel_sizes_mm[0] / 2))
    errors, new = _calibration_errors(work, phantom, bundle), folder.with_name(folder.name + "_new")
    second = _second_errors(work, phantom, bundle)
    extend_bundle(bundle, new, parcel_intervals=parcel_intervals(errors, second, bundle))
    shutil.rmtree(folder)
    new.rename(folder)


def add_deviation(work: Path, folder: Path) -> None:
    """Write the bundle in `folder` again, with what people's maps have in common."""
    bundle = load_bundle(folder)
    phantom = Phantom(block=round(bundle.grid.voxel_sizes_mm[0] / 2))
    _calibration_errors(work, phantom, bundle)
    new = folder.with_name(folder.name + "_new")
    extend_bundle(bundle, new, deviation=learn_deviation(work, bundle))
    shutil.rmtree(folder)
    new.rename(folder)


def add_usual(work: Path, folder: Path) -> None:
    """Write the bundle in `folder` again: its card alone changes, by the usual share."""
    bundle = load_bundle(folder)
    assert bundle.deviation is not None
    phantom = Phantom(block=round(bundle.grid.voxel_sizes_mm[0] / 2))
    _calibration_errors(work, phantom, bundle)
    usual = learn_deviation(work, bundle).usual
    print(usual, flush=True)
    new = folder.with_name(folder.name + "_new")
    # The mean is the bundle's own, and so its file stays.
    extend_bundle(bundle, new, deviation=replace(bundle.deviation, usual=usual))
    shutil.rmtree(folder)
    new.rename(folder)


def learn_deviation(work: Path, bundle: ModelBundle) -> Deviation:
    """Return mean and spread of the calibration people's maps, which were predicted before.

    The usual share is that of each of them against the others, as `--analysis calibrate` has it.
    """
    sums = PeopleSums(_lattice(bundle))
    for maps in track(_calibration_maps(work, bundle), "Adding up people"):
        sums.add(maps)
    shares = []
    for maps in track(_calibration_maps(work, bundle), "Leaving out each of them"):
        others = sums.without(maps).deviation(segments=SEGMENTS, of="calibration")
        shares.append(share_far(others.deviations(maps)))
    found = sums.deviation(segments=SEGMENTS, of="calibration")
    # In steps: the package is to stay small.
    return replace(found, exact=False, usual=UsualShare.of(shares))


def _calibration_maps(work: Path, bundle: ModelBundle) -> Iterator[Array]:
    """Yield the calibration people's predicted maps, (contrasts, places) each."""
    assert bundle.correction is not None
    for maps in np.load(work / "predicted" / "calibration" / "predicted.npy", mmap_mode="r"):
        yield bundle.correction.apply(maps.astype(np.float32))


ONLY = {"parcels": add_parcels, "deviation": add_deviation, "usual": add_usual}


def parcel_intervals(
    errors: Iterable[Array], second: Iterable[Array], bundle: ModelBundle
) -> dict[str, ParcelIntervals]:
    """Learn how wide intervals of parcel means are, for each atlas that is shipped."""
    atlases = [find_atlas(known.name, bundle.voxels) for known in SHIPPED.values()]
    return {
        atlas.key: ParcelIntervals.fit(
            parcel_errors(errors, atlas),
            SEGMENTS,
            atlas.digest,
            retest=parcel_errors(second, atlas),
        )
        for atlas in atlases
    }


def _calibration_errors(work: Path, phantom: Phantom, bundle: ModelBundle) -> Sequence[Array]:
    """Return the errors of people who neither trained nor tuned the model."""
    cohort = Cohort.CALIBRATION
    name = cohort.name.lower()
    people = simulate_people(work / f"held_out_{name}", phantom, cohort, HELD_OUT, SEGMENTS)
    predict = prepare(Parameters.of(bundle.network()), phantom.anatomy.grey).predict
    predict_people(work / "predicted" / name, people, predict)
    return errors_of(work, name, bundle)


def _second_errors(work: Path, phantom: Phantom, bundle: ModelBundle) -> Sequence[Array]:
    """Return the errors of the same people's second session."""
    cohort = Cohort.CALIBRATION
    name = cohort.name.lower()
    simulate_retest(work / f"retest_{name}", phantom, cohort, HELD_OUT)
    # Gone through beside those of the first session, which show their progress.
    return OneByOne(errors_of(work, name, bundle, measured="retest").__getitem__, HELD_OUT)


def errors_of(
    work: Path,
    cohort: str,
    bundle: ModelBundle,
    contrasts: slice = slice(None),
    measured: str = "held_out",
) -> Sequence[Array]:
    """Return measured minus predicted maps of a cohort, read one person at a time.

    `measured` begins the name of the folder with their maps: of the first or the second session.
    """
    predicted = np.load(work / "predicted" / cohort / "predicted.npy", mmap_mode="r")
    targets = np.load(work / f"{measured}_{cohort}" / "maps.npy", mmap_mode="r")
    correction = bundle.correction
    assert correction is not None

    class Errors(Sequence[Array]):
        def __len__(self) -> int:
            return len(predicted)

        def __getitem__(self, n: Any) -> Any:
            maps = correction.apply(predicted[n].astype(np.float32))
            return targets[n, contrasts] * np.float32(MAP_STEP) - maps[contrasts]

        def __iter__(self) -> Iterator[Array]:
            return track((self[n] for n in range(len(self))), f"{cohort} people", len(self))

    return Errors()


def score_intervals(work: Path, bundle: ModelBundle, calibration: Calibration) -> dict[str, Any]:
    """Measure how often a newly measured map of a test person lies within the intervals."""
    people = errors_of(work, "test", bundle)
    truth = np.load(work / "answers" / "true.npy", mmap_mode="r")
    measured = np.load(work / "held_out_test" / "maps.npy", mmap_mode="r")
    rows: dict[str, list[Any]] = {}
    widths = {level: calibration.half_widths(level) for level in LEVELS}
    of_truth = calibration.true_half_widths(90)
    assert of_truth is not None  # the calibration people have a second session
    cells = LatticeBlocks.of(calibration.pooled_error.lattice.block_of)
    local: list[Array] = []
    for n, errors in enumerate(people):
        for level, width in widths.items():
            rows.setdefault(f"coverage_{level}", []).append(coverage(errors, width))
        unmeasured = errors + truth[n] - measured[n] * np.float32(MAP_STEP)
        rows.setdefault("true_maps_90", []).append(coverage(unmeasured, widths[90]))
        rows.setdefault("true_coverage_90", []).append(coverage(unmeasured, of_truth))
        inside = (np.abs(errors) <= widths[90]).astype(np.float32)
        local.append(cells.means(inside, np.ones(inside.shape[1], bool)))
    found: dict[str, Any] = {name: round(float(np.mean(v)), 4) for name, v in rows.items()}
    at_90 = np.array(rows["coverage_90"])
    standard_error = at_90.mean(axis=1).std(ddof=1) / np.sqrt(len(people))
    return {
        "what": "share of the voxels of a newly measured map (one session) of a person of the same "
        "population within the interval; mean over participants and contrasts",
        "participants": len(people),
        **found,
        "standard_error_90": round(float(standard_error), 4),
        "least_and_most_over_contrasts_90": _range(at_90.mean(axis=0)),
        "least_and_most_over_participants_90": _range(at_90.mean(axis=1)),
        "sd_over_places_90": round(float(np.mean(local, axis=0).std(axis=1).mean()), 4),
        "mean_half_width_90": round(float(widths[90].mean()), 3),
        "mean_true_half_width_90": round(float(of_truth.mean()), 3),
    }


def interval_score(errors: Array, half_widths: Array, level: int) -> NDArray[np.float64]:
    """Return the mean interval score, (contrasts,): small for narrow intervals that hold.

    Width plus, where the value lies outside, 2 / (1 - level) times how far (Gneiting & Raftery
    2007, JASA 102: 359, eq. 43), over places with an error and a half-width.
    """
    known = np.isfinite(errors) & np.isfinite(half_widths)
    beyond = np.maximum(np.abs(errors) - half_widths, 0)
    score = 2 * half_widths + 2 / (1 - level / 100) * beyond
    total = np.sum(score, axis=1, where=known, dtype=np.float64)
    count = np.count_nonzero(known, axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def compare_poolings(work: Path, bundle: ModelBundle) -> None:
    """Compare ways to scale the half-widths on validation people, each left out in turn."""
    people = errors_of(work, "validation", bundle, COMPARED)
    sums = _sums(people, bundle)
    cells = LatticeBlocks.of(sums.lattice.block_of)
    print("pooling_mm  coverage  interval score  sd of coverage over places")
    for pooling in POOLINGS_MM:
        counts, each = ScoreCounts(len(people[0])), []
        for errors in people:
            own = ScoreCounts(len(errors))
            own.add(errors, _usual_without(sums, errors, pooling))
            counts += own
            each.append(own)
        covered, scores, local = [], [], []
        for errors, own in zip(people, each, strict=True):
            width = _usual_without(sums, errors, pooling)
            width *= (counts - own).quantiles((90,))
            covered.append(coverage(errors, width))
            scores.append(interval_score(errors, width, 90))
            inside = (np.abs(errors) <= width).astype(np.float32)
            local.append(cells.means(inside, np.ones(inside.shape[1], bool)))
        spread = np.mean(local, axis=0).std(axis=1).mean()
        print(
            f"{pooling or 'none':>10}  {np.mean(covered):.4f}  {np.mean(scores):.4f}  {spread:.4f}",
            flush=True,
        )


def _lattice(bundle: ModelBundle) -> Lattice:
    return bundle.places.lattice(block_edge(bundle.places.spacing_mm))


def _sums(people: Sequence[Array], bundle: ModelBundle) -> ErrorSums:
    sums = ErrorSums(_lattice(bundle))
    for errors in people:
        sums.add(errors)
    return sums


def _usual_without(sums: ErrorSums, errors: Array, pooling_mm: float | None) -> Array:
    """Return the usual error of the others: a person's own errors must not scale its score."""
    return sums.without(errors).pooled_error(pooling_mm).at_places()


def _range(values: NDArray[np.float64]) -> list[float]:
    return [round(float(values.min()), 4), round(float(values.max()), 4)]


if __name__ == "__main__":
    main()
