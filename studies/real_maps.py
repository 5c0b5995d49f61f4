"""Single people's real maps against each other: which are most alike.

    python studies/real_maps.py ../shared/data/real/contrasts

Six people's maps of faces against scrambled pictures and three of spoken words (research-kellan,
MIT), found by a pattern file as for `-d statmaps=maps.toml`, at the voxels of the demo model (2 mm)
that all maps have. Prints the correlations as a table; docs/evidence/group.md has its figures.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg import load_bundle
from bids_dtg.inputs.statmap_files import find_statmap_files
from bids_dtg.stats.metrics import correlation_matrix

PATTERNS = """
[[maps]]
path = "kellan/faces_sub-{sub}_con_0006.nii.gz"
statistic = "effect"
contrast = "faces"

[[maps]]
path = "kellan/Words_{sub}.nii.gz"
statistic = "effect"
contrast = "words"
"""


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """Correlations of single people's maps with each other."""

    names: tuple[str, ...]  # of the maps, faces first
    contrasts: tuple[str, ...]  # of each map
    r: NDArray[np.float64]  # (maps, maps), over the common voxels; NaN with themselves
    voxels: int  # number of common voxels

    def mean(self, contrast: str, other: str) -> float:
        """Return the mean r of maps of a contrast with other people's maps of another."""
        rows, columns = (np.array(self.contrasts) == name for name in (contrast, other))
        return float(np.nanmean(self.r[np.ix_(rows, columns)]))

    def recognised(self) -> int:
        """Count the maps whose most similar other map is of the same contrast."""
        nearest = np.nanargmax(self.r, axis=1)
        return sum(self.contrasts[n] == self.contrasts[other] for n, other in enumerate(nearest))


def fingerprints(contrasts: Path) -> Fingerprints:
    """Find, read and compare the maps below the folder of contrasts."""
    bundle = load_bundle("demo")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "kellan").symlink_to((contrasts / "kellan").resolve())
        (folder / "maps.toml").write_text(PATTERNS)
        found = sorted(
            find_statmap_files(folder / "maps.toml").files,
            key=lambda item: (item.contrast, item.participant),
        )
        maps = np.stack([bundle.places.read(item.path) for item in found])
    known = np.isfinite(maps).all(axis=0)
    r = correlation_matrix(maps[:, known], maps[:, known]).astype(np.float64)
    np.fill_diagonal(r, np.nan)
    return Fingerprints(
        names=tuple(f"{item.contrast} {item.participant}" for item in found),
        contrasts=tuple(item.contrast for item in found),
        r=r,
        voxels=int(known.sum()),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("contrasts", type=Path, help="folder with kellan/")
    found = fingerprints(parser.parse_args().contrasts)
    print("| r |", " | ".join(found.names), "|")
    print("|---|" + "---|" * len(found.names))
    for name, row in zip(found.names, found.r, strict=True):
        print(f"| {name} |", " | ".join("" if np.isnan(x) else f"{x:.2f}" for x in row), "|")
    print(
        f"\n{found.voxels:,} voxels; faces with faces {found.mean('faces', 'faces'):.2f}"
        f", words with words {found.mean('words', 'words'):.2f}, faces with words "
        f"{found.mean('faces', 'words'):.2f}; the most similar map is of the same contrast for "
        f"{found.recognised()} of {len(found.names)}"
    )


if __name__ == "__main__":
    main()
