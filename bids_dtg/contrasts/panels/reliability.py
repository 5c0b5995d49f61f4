"""Reliability panel: agreement of the connectomes of a run's two halves, voxel by voxel."""

from __future__ import annotations

import numpy as np

from bids_dtg.contrasts.panels import coverage
from bids_dtg.contrasts.panels.run import RunData, keep_volume
from bids_dtg.files.names import FileKind
from bids_dtg.report.charts import histogram
from bids_dtg.report.colours import AMOUNT
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.panels.panel import (
    Canvas,
    Figure,
    Kept,
    Picture,
    Ramp,
    grid_of,
    read_image,
)
from bids_dtg.report.pictures import MAP_VIEWS, Backdrop, encode
from bids_dtg.report.slices import Box, Volume

FILE = FileKind("qc", "halves", ".nii.gz")
_STORED_R = 1e-3  # r of a stored value of 1
_HISTOGRAM = (420.0, 120.0)


def keep(data: RunData) -> Kept | None:
    """Make a map of the agreement; None of parcels, which are no image."""
    if data.bundle.card.part.parcels:
        return None
    agreement = np.rint(data.measured.agreement / _STORED_R).astype(np.int16)
    return keep_volume(
        FILE,
        data.bundle.voxels.volume(agreement),
        data,
        description="Correlation, over ROIs, of the connectomes of the two halves of the run "
        "(alternate pieces of it)",
        slope=_STORED_R,
    )


def draw(run: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw the distribution and the map of the agreement, where the run has signal.

    Raises
    ------
    RunError
        An image cannot be read.
    """
    halves, tissue = run.files.get(FILE), run.files.get(coverage.FILE)
    if halves is None or tissue is None:
        return None
    agreement, labels = read_image(halves), read_image(tissue)
    covered = labels.values == 1
    values = agreement.values[covered]
    if not values.size:
        return None
    backdrop = Backdrop(canvas.background, Box.around(grid_of(agreement)), MAP_VIEWS)
    where = Volume(covered.astype(np.float32), agreement.affine)
    pixels = backdrop.draw_amount(agreement, where, low=0.0, high=1.0, scale=AMOUNT)
    median, low = float(np.median(values)), min(-0.2, float(values.min()))
    words = f"Agreement of the two halves, median {median:.2f}"
    pieces = (
        histogram(values, low, 1.0, width=_HISTOGRAM[0], height=_HISTOGRAM[1], alt=words),
        Picture(
            canvas.write("reliability", encode(pixels)), "Map of the agreement of the two halves"
        ),
    )
    caption = (
        "How well the connectomes of the two halves of the run agree: correlation over ROIs at "
        f"each grey-matter voxel, median {median:.2f}, a tenth below "
        f"{np.quantile(values, 0.1):.2f}."
    )
    return Figure(pieces, caption, ramp=Ramp("0", "1", "amount"))
