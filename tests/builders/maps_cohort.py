"""A job of contrast maps whose participants have measured maps, too, for the group level."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from maps_bundle import TINY_AFFINE, TINY_SHAPE
from maps_job import TinyJob

from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces

LABELS = tuple(f"{n:02d}" for n in range(1, 9))
CONTRASTS = ("emotionFaces", "emotionShapes")


class TinyCohort(TinyJob):
    """A tiny job whose participants have maps in two sessions: a mean, a part of their own, noise.

    `lacking` has participants without the second contrast, `cropped` those whose maps lack the
    first half of the grid.
    """

    def __init__(
        self, folder: Path, labels=LABELS, lacking=(), contrasts=CONTRASTS, cropped=()
    ) -> None:
        super().__init__(folder, labels)
        self.statmaps = folder / "statmaps"
        places = VoxelPlaces.within(
            Grid(TINY_SHAPE, TINY_AFFINE), np.ones(TINY_SHAPE, bool)
        )
        rng = np.random.default_rng(5)
        means = rng.normal(2, 1, (len(contrasts), places.number))
        for label in labels:
            deviation = rng.normal(size=means.shape)
            for session in ("a", "b"):
                noisy = means + deviation + 0.5 * rng.normal(size=means.shape)
                if label in cropped:
                    noisy[:, : places.number // 2] = np.nan
                for contrast, values in zip(contrasts, noisy, strict=True):
                    if label in lacking and contrast == contrasts[1]:
                        continue
                    name = f"sub-{label}_ses-{session}_contrast-{contrast}_stat-z_statmap.nii.gz"
                    path = self.statmaps / f"sub-{label}" / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(places.encode(values))

    def analyse(self, analysis: str, *options: object, out: Path | None = None) -> int:
        words = ["-d", f"fmriprep={self.bids}", "-d", f"statmaps={self.statmaps}"]
        words += ["--analysis", analysis, *options]
        before, self.level = self.level, "group"
        try:
            return self.run(*words, out=out)
        finally:
            self.level = before

    level = "participant"

    def arguments(self, *options: object, out: Path | None = None) -> list[str]:
        words = super().arguments(*options, out=out)
        words[2] = self.level
        # Pages of analyses are what many tests look at.
        return [
            word for word in words if self.level != "group" or word != "--no-reports"
        ]


def read_json(path: Path) -> dict:
    return json.loads(path.read_text())
