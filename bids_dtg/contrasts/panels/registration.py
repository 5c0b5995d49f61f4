"""Registration panel: the mean BOLD on the model's grid, with outlines of the model's masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.panels import coverage
from bids_dtg.contrasts.panels.run import RunData, keep_volume
from bids_dtg.errors import RunError
from bids_dtg.files.names import FileKind
from bids_dtg.imaging.placement import Placement
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.panels.panel import (
    Canvas,
    Figure,
    Kept,
    Key,
    Layers,
    grid_of,
    read_image,
)
from bids_dtg.report.pictures import draw_grey, draw_outlines, encode
from bids_dtg.report.slices import AXIAL, CORONAL, SAGITTAL, Box, View, Volume, soften

FILE = FileKind("boldref", None, ".nii.gz")
_VIEWS = (
    tuple(View(AXIAL, mm) for mm in (-40, -20, 0, 20, 40, 60)),
    tuple(View(SAGITTAL, mm) for mm in (-50, -25, -4, 25, 50)),
    tuple(View(CORONAL, mm) for mm in (-80, -58, -34, -10, 14, 40)),
)
_BRAIN, _GREY = (255, 90, 77), (82, 214, 255)
_SOFT_EDGE = 0.7  # voxels: without interpolation, outlines are stairs of voxels
_KEYS = (
    Key("#ff5a4d", "brain mask of the model", line=True),
    Key("#52d6ff", "its grey matter", line=True),
)


def keep(data: RunData) -> Kept | None:
    """Keep the mean of the first kept frames; None if their position in space is not known."""
    mean = _mean_bold(data)
    if mean is None or data.mean_frame is None:
        return None
    slope = max(float(mean.max()), 1e-12) / np.iinfo(np.int16).max
    return keep_volume(
        FILE,
        np.rint(np.maximum(mean, 0) / slope).astype(np.int16),
        data,
        description=f"Mean of the first {data.mean_frame.frames} frames that were kept",
        slope=slope,
        more={"SkullStripped": False},
    )


def draw(run: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw slices of the mean BOLD, and on them the outlines of the brain and its grey matter.

    Raises
    ------
    RunError
        An image cannot be read.
    """
    mean, tissue = run.files.get(FILE), run.files.get(coverage.FILE)
    if mean is None or tissue is None:
        return None
    from markupsafe import Markup

    bold, labels = read_image(mean), read_image(tissue)
    box = Box.around(grid_of(bold))
    below = canvas.write("registration", encode(draw_grey(bold, box, _VIEWS)))
    regions = [
        (Volume(soften(inside, _SOFT_EDGE), labels.affine), colour)
        for inside, colour in (
            (np.isin(labels.values, (1, 2)), _GREY),
            (labels.values > 0, _BRAIN),
        )
    ]
    above = canvas.write("outlines", encode(draw_outlines(regions, box, _VIEWS), lossless=True))
    where = "; ".join(
        f"{'xyz'[views[0].axis]} = " + ", ".join(f"{v.mm:g}" for v in views) for views in _VIEWS
    ).replace("-", "\N{MINUS SIGN}")
    layers = Layers(
        below=below,
        below_alt=f"Mean BOLD in {sum(map(len, _VIEWS))} slices",
        above=above,
        above_alt=Markup("Outlines of the template's brain and grey matter"),
        button="Outlines",
    )
    # Words of our own and numbers: nothing to escape.
    caption = Markup(
        "Mean BOLD of the run on the model's grid, with outlines from the model's template. The "
        f"person's left is on the left. Slices at {where} mm."
    )
    return Figure((layers,), caption, keys=_KEYS)


def _mean_bold(data: RunData) -> NDArray[np.float32] | None:
    """Resample the mean to the whole grid, including voxels outside the brain."""
    if data.mean_frame is None:
        return None
    grid, mean = data.bundle.grid, data.mean_frame
    everywhere = VoxelPlaces(grid, np.arange(np.prod(grid.shape)))
    try:
        placement = Placement.through(everywhere, data.run.transforms)
        sampling, _ = placement.in_file(mean.header, data.interpolation)
    except RunError:
        return None  # only a picture; errors in the files have been reported
    return mean.at(sampling).reshape(grid.shape)
