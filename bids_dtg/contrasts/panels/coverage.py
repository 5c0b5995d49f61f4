"""Coverage panel: voxels that the model reads, and whether the run has signal there."""

from __future__ import annotations

import numpy as np

from bids_dtg.contrasts.panels.run import RunData, keep_volume
from bids_dtg.files.names import FileKind
from bids_dtg.files.text import read_json
from bids_dtg.report.contents import RunFiles, sidecar_of
from bids_dtg.report.panels.panel import (
    Canvas,
    Figure,
    Kept,
    Key,
    Picture,
    grid_of,
    read_image,
)
from bids_dtg.report.pictures import MAP_VIEWS, Backdrop, encode
from bids_dtg.report.slices import Box

FILE = FileKind("dseg", "coverage", ".nii.gz")
_LABELS = {
    "1": "grey matter of the model, with signal",
    "2": "grey matter of the model, without signal",
    "3": "rest of the brain, where the ROI series are computed",
}
_STANDARDISED = {"3": "rest of the brain"}  # series are solved where they are standardised
_WITH_SIGNAL, _WITHOUT = (47, 165, 142), (224, 57, 46)
_KEYS = (Key("#2fa58e", "grey matter with signal"), Key("#e0392e", "without signal"))
_FEW_ROIS = 4


def keep(data: RunData) -> Kept | None:
    """Label the voxels of the model's brain; None of parcels."""
    bundle, measured = data.bundle, data.measured
    if bundle.card.part.parcels:
        return None
    tissue = bundle.brain_voxels.volume(np.full(bundle.brain.number, 3, np.uint8))
    tissue[bundle.voxels.mask] = np.where(measured.covered, 1, 2)
    return keep_volume(
        FILE,
        tissue,
        data,
        description="Voxels that the model reads, and whether the run has signal there",
        more={
            "Labels": {**_LABELS, **(_STANDARDISED if measured.sd_frames else {})},
            "RoiCoverage": [round(float(share), 4) for share in measured.of_one_set().roi_coverage],
        },
    )


def draw(run: RunFiles, canvas: Canvas) -> Figure | None:
    """Colour grey matter by whether it has signal, and name the ROIs with little signal.

    Raises
    ------
    RunError
        The image cannot be read.
    """
    path = run.files.get(FILE)
    if path is None:
        return None
    labels = read_image(path)
    backdrop = Backdrop(canvas.background, Box.around(grid_of(labels)), MAP_VIEWS)
    pixels = backdrop.draw_labels(labels, {1: _WITH_SIGNAL, 2: _WITHOUT})
    grey = int(np.isin(labels.values, (1, 2)).sum())
    share = float((labels.values == 1).sum()) / max(grey, 1)
    text = f"{share:.1%} of the model's {grey:,} grey-matter voxels have signal."
    rois = read_json(sidecar_of(path)).get("RoiCoverage")
    if isinstance(rois, list) and rois and all(isinstance(roi, float | int) for roi in rois):
        worst = sorted(enumerate(map(float, rois), 1), key=lambda item: item[1])[:_FEW_ROIS]
        if worst[0][1] < 1:
            listed = ", ".join(f"{value:.0%} (ROI {roi})" for roi, value in worst)
            text += f" The ROI maps with the least of their weight on signal: {listed}."
        else:
            text += f" All {len(rois)} ROI maps lie on signal."
    picture = Picture(canvas.write("coverage", encode(pixels)), f"Coverage: {share:.1%}")
    return Figure((picture,), text, keys=_KEYS)
