"""What tables of regions take: seconds a participant, and memory at the group level.

    python studies/regions.py [--people 1000 10000] [--repeats 9]

1. Maps, half-widths and deviations of 47 contrasts at the voxels of HCP's grey matter mask or,
   without it, of the demo model, over five atlases: Schaefer400, HCP, and three random ones of
   100, 200 and 1,000 parcels. Time to make the tables' bytes and sidecars, by wall clock.
2. The long table of synthetic participants, 47 contrasts by 19 parcels each: seconds, size and the
   peak memory of a process of its own, for each number of people. All people's files are links to
   eight different ones, so that the disk holds little.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SET = "sub-{:05d}_ses-1_task-rest"
STEM = "space-MNI152NLin6Asym_atlas-HCP_stat-z_desc-regions_statmap"
FILES = 8


def participant(repeats: int) -> None:
    from bids_dtg.bundles.store import find_bundle
    from bids_dtg.contrasts.bundle.bundle import load_bundle
    from bids_dtg.contrasts.contrast import hcp_contrasts
    from bids_dtg.contrasts.participant.outputs.layers import Layer
    from bids_dtg.contrasts.participant.outputs.region_files import RegionTables
    from bids_dtg.imaging.atlas import Atlas, find_atlas
    from bids_dtg.report.contents import DEVIATION, SYNTHETIC
    from bids_dtg.stats.parcel_intervals import ParcelIntervals

    bundle = load_bundle(find_bundle("demo"))
    rng = np.random.default_rng(0)
    contrasts, places = len(hcp_contrasts()), bundle.places.number
    card = dataclasses.replace(
        bundle.card, part=dataclasses.replace(bundle.card.part, contrasts=hcp_contrasts())
    )
    atlases = [find_atlas(name, bundle.voxels) for name in ("Schaefer400", "HCP")]
    for number in (100, 200, 1000):
        labels = rng.integers(0, number + 1, places)
        named = {label: f"parcel {label}" for label in range(1, number + 1)}
        sizes = np.bincount(labels, minlength=number + 1)[1:]
        atlases.append(Atlas({"atlas": f"Random{number}"}, labels, named, sizes))
    intervals = {
        atlas.key: ParcelIntervals.fit(
            rng.standard_normal((20, contrasts, len(atlas.parcels))), 4, atlas.digest
        )
        for atlas in atlases
    }
    model = dataclasses.replace(bundle, card=card, parcel_intervals=intervals)
    layers = [
        Layer(
            *(desc, hcp_contrasts()),
            rng.standard_normal((contrasts, places)).astype(np.float32),
            "",
        )
        for desc in (SYNTHETIC, DEVIATION)
    ]
    tables = RegionTables(tuple(atlases), model, 90, 0.5)
    seconds, size = [], 0
    for _ in range(repeats):
        start = time.perf_counter()
        size = sum(len(file.data) for file in tables.files({"sub": "01"}, layers))
        list(tables.sidecars({"sub": "01"}, layers))
        seconds.append(time.perf_counter() - start)
    first = next(tables.files({"sub": "01"}, layers))
    print(
        f"five atlases, {contrasts} contrasts, {places} voxels: {np.median(seconds):.3f} s "
        f"(least {min(seconds):.3f}) a participant, {size / 1e6:.2f} MB; the default alone "
        f"{len(first.data) / 1e6:.2f} MB"
    )


def synthetic(root: Path, people: int) -> None:
    """Write the tables of people, a folder each."""
    from bids_dtg.contrasts.contrast import hcp_contrasts
    from bids_dtg.contrasts.participant.outputs.region_files import COLUMNS

    rng = np.random.default_rng(0)
    sources = []
    for number in range(FILES):
        lines = ["\t".join(COLUMNS)]
        for contrast in hcp_contrasts():
            for index, mean in enumerate(rng.standard_normal(19)):
                lines.append(
                    f"{contrast.label}\t{index}\tSTRUCTURE_{index}\t{mean:.7g}\t0.9876\t321\t"
                    f"{abs(mean):.4g}\t{mean:.4g}"
                )
        sources.append(root / f"source{number}")
        sources[-1].write_text("\n".join(lines) + "\n")
    for number in range(people):
        title = SET.format(number)
        folder = root / title[:9] / "ses-1/func"
        folder.mkdir(parents=True)
        os.link(sources[number % FILES], folder / f"{title}_{STEM}.tsv")


def group(root: Path, people: int) -> None:
    """Make the long table, and print what it took, as JSON."""
    from bids_dtg.contrasts.analyses.overview.regions import write_region_tables
    from bids_dtg.files.derivatives import DerivativeDataset

    sets = [(SET.format(number), root / f"sub-{number:05d}/ses-1/func") for number in range(people)]
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    paths = write_region_tables(DerivativeDataset(root), sets)
    facts = {
        "seconds": time.perf_counter() - start,
        "before": before / 1024,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "megabytes": {path.suffix: (root / path).stat().st_size / 1e6 for path in paths},
    }
    print(json.dumps(facts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, nargs="*", default=[1000, 10000])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        group(options.inside, options.people[0])
        return
    if options.repeats:
        participant(options.repeats)
    for people in options.people:
        with tempfile.TemporaryDirectory() as folder:
            synthetic(Path(folder), people)
            words = [sys.executable, __file__, "--people", str(people), "--inside", folder]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            facts = json.loads(done.stdout)
            sizes = ", ".join(f"{kind} {size:.1f} MB" for kind, size in facts["megabytes"].items())
            print(
                f"{people} people: {facts['seconds']:.1f} s, peak {facts['peak']:.0f} MB "
                f"({facts['before']:.0f} MB before); {sizes}"
            )


if __name__ == "__main__":
    main()
