"""How often intervals around parcel means hold for simulated people whom nobody has seen.

    python studies/parcel_intervals.py --work /tmp/parcel_intervals [--people 60] [--threads 1]

The demo model's parcel intervals come from people of the phantom's cohort for calibration. Here
people of its cohort for tests are simulated, with four segments of rest each, as those had; their
maps are predicted, and the predicted, measured and true means over the parcels of both atlases are
kept in the work folder, a file a person: the same command resumes a stopped call. The tables say

- what share of the measured means lies within the intervals, with the 95 % interval of the mean
  over people (Student's t),
- the same by the size of the true effect, and by how far it is from that of other people,
- the same for widths made of the voxels' own: their mean over a parcel, which is right where a
  parcel's errors are all alike, and that divided by the square root of the parcel's voxels, which
  is right where they know nothing of each other.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from bids_dtg.contrasts.bundle.bundle import ModelBundle, load_bundle
from bids_dtg.contrasts.participant.model import Model
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.imaging.atlas import Atlas, find_atlas, region_means, region_voxels
from bids_dtg.phantom.streams import Cohort
from bids_dtg.stats.conformal import LEVELS
from bids_dtg.stats.parcel_intervals import intervals_of

Array = NDArray[np.float32]
ATLASES = ("Schaefer400", "HCP")
KINDS = ("predicted", "measured", "true")
SEGMENTS = 4
EFFECTS = (0.0, 0.5, 1.0, 2.0, 3.0, np.inf)  # z
OWN_PARTS = (0.0, 0.25, 0.5, 1.0, 1.5, np.inf)  # z


def main() -> None:
    """Simulate, predict, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder of people's means")
    parser.add_argument("--people", type=int, default=60, help="to test on")
    parser.add_argument("--threads", type=int, default=1, help="threads of the network")
    parser.add_argument("--bundle", default="demo", help="a model of the phantom's voxels")
    args = parser.parse_args()
    bundle = load_bundle(args.bundle)
    atlases = {name: find_atlas(name, bundle.voxels) for name in ATLASES}
    gather(args.work, bundle, atlases, args.people, args.threads)
    for name, atlas in atlases.items():
        report(name, bundle, atlas, read_means(args.work, name, args.people))


def gather(
    work: Path, bundle: ModelBundle, atlases: Mapping[str, Atlas], people: int, threads: int
) -> None:
    """Write a file of means for each person who has none yet."""
    phantom = Phantom(block=round(bundle.grid.voxel_sizes_mm[0] / 2))
    model = Model(bundle, "cpu", threads)
    work.mkdir(parents=True, exist_ok=True)
    for index in range(people):
        if not (path := _file(work, index)).exists():
            maps = simulate(phantom, model, index)
            means = {
                f"{kind} {name}": region_means(found, atlas).astype(np.float32)
                for kind, found in maps.items()
                for name, atlas in atlases.items()
            }
            hidden = path.with_suffix(".tmp.npz")
            np.savez(hidden, **means)
            hidden.rename(path)
            print(f"{index + 1}/{people} people", flush=True)


def simulate(phantom: Phantom, model: Model, index: int) -> dict[str, Array]:
    """Return a person's maps, (contrasts, voxels), by `KINDS`."""
    person = phantom.person(Cohort.TEST, index)
    segments = (person.connectome(0, segment) for segment in range(SEGMENTS))
    predicted = np.mean([model.predict(connectome) for connectome in segments], axis=0)
    return dict(zip(KINDS, (predicted, person.measured_maps(0), person.true_maps()), strict=True))


def read_means(work: Path, atlas: str, people: int) -> dict[str, Array]:
    """Return means (people, contrasts, parcels) by `KINDS`."""
    files = [np.load(_file(work, index)) for index in range(people)]
    return {kind: np.stack([file[f"{kind} {atlas}"] for file in files]) for kind in KINDS}


def report(name: str, bundle: ModelBundle, atlas: Atlas, means: Mapping[str, Array]) -> None:
    """Print the tables of an atlas."""
    intervals = intervals_of(bundle.parcel_intervals, atlas.key, atlas.digest)
    if intervals is None or bundle.calibration is None:
        raise SystemExit(f"{bundle.card.name} has no intervals of {name}")
    known = ~intervals.without_interval.any(axis=0)
    means = {kind: values[..., known] for kind, values in means.items()}
    errors = np.abs(means["measured"] - means["predicted"])
    print(
        f"\n{name}: {len(errors)} people, {intervals.participants} of the calibration; "
        f"{known.sum()} of {len(known)} parcels have intervals"
    )
    for level in LEVELS:
        print(f"  {level} %: {_of_people(errors <= intervals.half_widths(level)[:, known])}")
    widths = intervals.half_widths(90)[:, known]
    inside = errors <= widths
    unmeasured = np.abs(means["true"] - means["predicted"]) <= widths
    print(f"  true means within those of 90 %: {_of_people(unmeasured)}")
    by_contrast, by_person = inside.mean(axis=(0, 2)), inside.mean(axis=(1, 2))
    print(f"  contrasts {by_contrast.min():.3f} to {by_contrast.max():.3f}")
    print(f"  people {by_person.min():.3f} to {by_person.max():.3f}")
    _by_size("true effect", np.abs(means["true"]), EFFECTS, inside)
    own = np.abs(means["true"] - means["true"].mean(axis=0))
    _by_size("true effect less the others' mean", own, OWN_PARTS, inside)
    _compare_with_voxels(bundle, atlas, known, errors, widths)


def _compare_with_voxels(
    bundle: ModelBundle, atlas: Atlas, known: NDArray[np.bool_], errors: Array, widths: Array
) -> None:
    assert bundle.calibration is not None
    of_voxels = bundle.calibration.half_widths(90)
    alike = region_means(of_voxels, atlas)[:, known]
    strangers = alike / np.sqrt(region_voxels(of_voxels, atlas)[:, known])
    rows = {"own": widths, "mean of the voxels'": alike, "that / sqrt(voxels)": strangers}
    for words, each in rows.items():
        ratio = np.nanmedian(each / widths)
        print(
            f"  {words}: median half-width {np.nanmedian(each):.3f}, {ratio:.2f} of the own, "
            f"hold {_of_people(errors <= each)}"
        )


def _by_size(words: str, size: Array, edges: tuple[float, ...], inside: NDArray[np.bool_]) -> None:
    print(f"  by {words}")
    for low, high in pairwise(edges):
        own = (size >= low) & (size < high)
        if own.any():
            share = 100 * own.mean()
            print(f"    {low} to {high}: {inside[own].mean():.3f} of {share:.1f} % of all")


def _of_people(inside: NDArray[np.bool_]) -> str:
    """Return the mean over people and its interval of 95 %."""
    shares = inside.mean(axis=(1, 2))
    half = student.ppf(0.975, len(shares) - 1) * shares.std(ddof=1) / np.sqrt(len(shares))
    mean = shares.mean()
    return f"{mean:.4f} [{mean - half:.4f}, {mean + half:.4f}]"


def _file(work: Path, index: int) -> Path:
    return work / f"{index:04d}.npz"


if __name__ == "__main__":
    main()
