"""A linear model with several sets of ROI maps on one 2 mm run, against one with 50 maps.

    python benchmarks/linear_sets.py [--volumes 490] [--rounds 3] [--keep FOLDER]

All sides are whole calls of the program on the same synthetic run (as participant.py has it), in
turn, with bundles of random coefficients: the plain linear model of 50 maps, and weighted ones of
three and of five sets. One of three sets is of people with much more rest than the run has, so that
the correction for short rest is made. Ratios compare neighbours; memory is measured in calls apart.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
from participant import HEADLINE, Finished, kept_dataset, line, middle, ours, stages

SIDES: dict[str, tuple[int, ...]] = {
    "plain": (),
    "three sets": (25, 50, 100),
    "three sets, short rest": (25, 50, 100),
    "five sets": (15, 25, 50, 75, 100),
}


def add_bundle(folder: Path, name: str, sets: tuple[int, ...]) -> float:
    """Write a bundle of random coefficients, and return its size in MB."""
    # Of a connectome, of people's whole rest and of parts.
    minutes = [1000.0 if "short" in name else 1.0, 3.0, 6.0, 10.0]
    from dataclasses import replace

    from bids_dtg.connectome.design import SECONDS_PER_RUN
    from bids_dtg.connectome.form import Form
    from bids_dtg.contrasts.bundle.bundle import load_bundle
    from bids_dtg.contrasts.bundle.kinds import LINEAR
    from bids_dtg.contrasts.bundle.part import Recentring
    from bids_dtg.contrasts.bundle.writer import BundleArrays, write_bundle
    from bids_dtg.contrasts.recentring import Correction
    from bids_dtg.contrasts.weighted_linear import Amplitude, ShortRest, WeightedLinear

    base, rng = load_bundle(folder / "bundle"), np.random.default_rng(7)
    contrasts, places = len(base.contrasts), base.places.number
    form, maps, combine = Form("partial"), base.roi_maps, None
    coefficients = 0.1 * rng.standard_normal((contrasts, sum(sets) or len(maps)), np.float32)
    tensors = {"linear.coefficients": np.pad(coefficients, ((0, 0), (1, 0)))[:, None]}
    if sets:
        form = Form("partial", standardised=True, fixed=0.06, sets=sets)
        maps, combine = nested_maps(base.place_roi_maps, sets)
        directions = rng.standard_normal((contrasts, places), np.float32)
        scale = np.ones(sum(sets), np.float32)
        model = WeightedLinear(
            sets=sets,
            means=rng.standard_normal((1, sum(sets), places), np.float32),
            weights=rng.random((sum(sets), places), np.float32),
            coefficients=coefficients,
            squares=np.ones(len(sets), np.float32),
            amplitude=Amplitude(directions / places**0.5, scale, coefficients, coefficients),
            short=ShortRest(np.array(minutes, np.float32), rng.random((3, sum(sets)), np.float32)),
        )
        tensors = {f"linear.{key}": values for key, values in model.tensors().items()}
    part = replace(
        base.card.part,
        segment_seconds=SECONDS_PER_RUN,
        connectome=form,
        recentring=Recentring(20, 1, left_out_in_turn=True),
    )
    card = replace(base.card, kind=LINEAR.name, part=part)
    offset = rng.standard_normal((contrasts, places), np.float32)
    correction = Correction(np.full(contrasts, 0.5, np.float32), offset)
    arrays = BundleArrays(tensors, maps, base.brain, base.places, correction, combine=combine)
    bundle = write_bundle(folder / name, card, arrays)
    return sum(path.stat().st_size for path in bundle.path.iterdir()) / 1e6


def nested_maps(smooth: np.ndarray, sets: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return maps of the largest set, and how they make those of all, as group ICA has them."""
    rng, most = np.random.default_rng(8), max(sets)
    shifted = [np.roll(smooth, 1000 * turn, axis=1) for turn in range(-(-most // len(smooth)))]
    components = np.concatenate(shifted)[:most]
    components -= components.mean(axis=1, keepdims=True)
    components /= components.std(axis=1, keepdims=True)
    turned = []
    for number in sets:
        turn = np.linalg.qr(rng.standard_normal((number, number)))[0]
        turned.append(np.pad(turn, ((0, 0), (0, most - number))))
    maps = (turned[-1] @ components).astype(np.float16)
    return maps, (np.concatenate(turned) @ turned[-1].T).astype(np.float32)


def compare(folder: Path, volumes: int, rounds: int) -> None:
    """Run all sides in turn, and print what the sets cost."""
    root = kept_dataset(folder, volumes)
    sizes = {name: add_bundle(folder, name, sets) for name, sets in SIDES.items()}
    peaks = {}
    for name, size in sizes.items():
        peaks[name] = ours(root, folder, HEADLINE, bundle=name, memory=True)[0].peak_mb
        ratio = f"{peaks[name]:.0f} MB, / plain {peaks[name] / peaks['plain']:.2f}"
        print(f"{name}: bundle {size:.0f} MB, peak memory {ratio}", flush=True)
    made: dict[str, list[Finished]] = {name: [] for name in SIDES}
    times: dict[str, list[dict[str, float]]] = {name: [] for name in SIDES}
    for _ in range(rounds):
        for name in SIDES:
            finished, timing = ours(root, folder, HEADLINE, bundle=name)
            made[name].append(finished)
            times[name].append(timing)
    for name, walls in made.items():
        print(f"{line(name, middle(walls))}\n  {stages(times[name])}")
        for key in ("wall_s", "cpu_s"):
            pairs = zip(walls, made["plain"], strict=True)
            found = sorted(getattr(a, key) / getattr(b, key) for a, b in pairs)
            print(
                f"  {key} / plain: {statistics.median(found):.2f} "
                f"({found[0]:.2f} to {found[-1]:.2f})"
            )


def main() -> None:
    """Read the arguments and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--volumes", type=int, default=490)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="folder for the run, made where it is not there")
    asked = parser.parse_args()
    if asked.keep is not None:
        compare(asked.keep, asked.volumes, asked.rounds)
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), asked.volumes, asked.rounds)


if __name__ == "__main__":
    main()
