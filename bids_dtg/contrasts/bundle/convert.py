"""Convert published checkpoints into model bundles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bids_dtg.array_types import Float64, Mask
from bids_dtg.bundles.card import ModelCard
from bids_dtg.bundles.training_hashes import TrainingHashes
from bids_dtg.contrasts.bundle.arrays import as_bundle_error, read_roi_maps
from bids_dtg.contrasts.bundle.bundle import BundleArrays, ModelBundle, write_bundle
from bids_dtg.contrasts.bundle.checkpoint import read_parameters
from bids_dtg.contrasts.bundle.part import MapsPart
from bids_dtg.contrasts.contrast import Contrast, hcp_contrasts, parse_contrasts
from bids_dtg.errors import BundleError, ForeignFileError
from bids_dtg.files.foreign import read_text
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_mask, read_volume
from bids_dtg.imaging.places import VoxelPlaces


# Nine parameters: the files of a published model, and what no file says of it.
def convert_checkpoint(
    checkpoint: Path,
    out: str | Path,
    card: ModelCard[MapsPart],
    *,
    maps: Path,
    brain_mask: Path,
    mask: Path,
    space: str = "MNI152NLin6Asym",
    resolution: str | None = "2",
    people: TrainingHashes | None = None,
) -> ModelBundle:
    """Make a bundle from a Lightning checkpoint, ROI maps and masks.

    Parameters
    ----------
    checkpoint
        Lightning checkpoint of the attention U-Net; pickled code in it is never run.
    out
        Folder of the bundle; see `write_bundle`.
    card
        Facts about the model. Its grid is filled in; if it has no contrasts, those of HCP-YA are.
    maps
        4-D NIfTI, one volume per ROI, on the lattice of `mask`: the same grid, or a larger field
        of view, which is cropped exactly (never resampled).
    brain_mask
        NIfTI on the same lattice; the ROI series are computed where it is 1.
    mask
        NIfTI of the voxels that the network reads and predicts; its header defines the grid.
    space, resolution
        Template of the grid, and its value of the BIDS entity res-.
    people
        People used to make the model; None: not known.

    Returns
    -------
    ModelBundle
        The bundle as written.

    Raises
    ------
    BundleError
        If an input cannot be used, the inputs do not match, or `out` holds something else.
    OutputError
        If the bundle cannot be written.
    """
    network = read_parameters(checkpoint)
    sizes = network.sizes
    contrasts = _contrasts_for(sizes.out_channels, card.part.contrasts, checkpoint)
    grid, model_mask = _read_grid(mask, space, resolution)
    brain = VoxelPlaces.within(grid, _read_brain_mask(brain_mask, grid))
    roi_maps = read_roi_maps(maps, brain)
    if len(roi_maps) != sizes.in_channels:
        raise BundleError(
            f"{maps} holds {len(roi_maps)} ROI maps",
            expected=f"{sizes.in_channels}, one for each input of {checkpoint}",
        )
    card = replace(card, part=replace(card.part, contrasts=contrasts, grid=grid))
    places = VoxelPlaces.within(grid, model_mask)
    arrays = BundleArrays(network.arrays, roi_maps, brain, places, mapped=True)
    return write_bundle(out, card, arrays, people)


def read_contrasts(path: str | Path) -> tuple[Contrast, ...]:
    """Read a table of contrasts (`parse_contrasts`) from a file.

    Raises
    ------
    BundleError
        If the file cannot be read or is not such a table.
    """
    try:
        return parse_contrasts(read_text(Path(path)))
    except ForeignFileError as err:
        raise err.as_kind(BundleError) from err
    except ValueError as err:
        raise BundleError(
            f"{path}: {err}", expected="a tab-separated table, one line per contrast"
        ) from err


def _contrasts_for(
    outputs: int, contrasts: Sequence[Contrast], checkpoint: Path
) -> tuple[Contrast, ...]:
    chosen = contrasts or hcp_contrasts()
    if len(chosen) != outputs:
        listed = "the table lists" if contrasts else "HCP-YA has"
        raise BundleError(
            f"{checkpoint} predicts {outputs} contrasts, {listed} {len(chosen)}",
            remedy="give a table with one line per output, in order (--contrasts)",
        )
    return tuple(chosen)


def _read_grid(path: Path, space: str, resolution: str | None) -> tuple[Grid, Mask]:
    """Return the mask (i, j, k) and the grid that it defines."""
    mask, affine = _read_binary(path)
    shape = (mask.shape[0], mask.shape[1], mask.shape[2])
    return Grid(shape, affine, space=space, resolution=resolution), mask


def _read_brain_mask(path: Path, grid: Grid) -> Mask:
    stored, _ = _read_binary(path)
    with as_bundle_error(
        "resample it to the mask's grid first",
        "the lattice of the mask, or a crop or flip of it",
    ):
        mask = read_mask(path, grid)
    lost = int(np.count_nonzero(stored)) - int(np.count_nonzero(mask))
    if lost:
        # The ROI series would differ from those the model was trained on.
        raise BundleError(
            f"{path} has {lost} voxels outside the grid that the mask defines",
            remedy="give the mask on a larger grid, padded with 0",
        )
    return mask


def _read_binary(path: Path) -> tuple[Mask, Float64]:
    """Return a mask (i, j, k) from a volume of 0 and 1, and its affine."""
    with as_bundle_error():
        values, affine = read_volume(path)
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    levels = np.unique(values)
    if values.ndim != 3 or levels.tolist() != [0, 1]:
        raise BundleError(
            f"{path} has sizes {values.shape} and {len(levels)} different values",
            expected="a mask: one volume of 0 and 1",
        )
    return np.asarray(values == 1), affine
