"""Convert published checkpoints into model bundles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.card import ModelCard, TrainingData
from bids_dtg.bundles.people import ModelPeople
from bids_dtg.contrasts.bundle.bundle import ModelBundle, read_roi_maps
from bids_dtg.contrasts.bundle.kinds import ATTENTION_UNET
from bids_dtg.contrasts.bundle.part import RUN, MapsPart
from bids_dtg.contrasts.bundle.writer import BundleArrays, write_bundle
from bids_dtg.contrasts.contrast import Contrast, check_contrasts, hcp_contrasts, parse_contrasts
from bids_dtg.errors import BundleError, ForeignFileError, RunError
from bids_dtg.extras import require
from bids_dtg.files.download import FetchedFile, PinnedFile
from bids_dtg.files.foreign import read_text
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_mask, read_volume
from bids_dtg.imaging.places import VoxelPlaces

if TYPE_CHECKING:
    from bids_dtg.contrasts.bundle.registry import PublishedMaps


@dataclass(frozen=True)
class CheckpointFiles:
    """The files of a published model."""

    checkpoint: Path  # Lightning's, of the attention U-Net; pickled code in it is never run
    # 4-D NIfTI, one volume a ROI, on the lattice of `mask`: the same grid, or a larger field of
    # view, which is cropped exactly (never resampled).
    maps: Path
    brain_mask: Path  # NIfTI on the same lattice; the ROI series are computed where it is 1
    mask: Path  # NIfTI; voxels that the network reads and predicts; its header defines the grid


@dataclass(frozen=True)
class ModelFacts:
    """Facts of a model that only its makers know; see `ModelCard`."""

    name: str  # the model's
    contrasts: Sequence[Contrast] | None = None  # one an output, in order; None: those of HCP-YA
    space: str = "MNI152NLin6Asym"  # template of the grid
    resolution: str | None = "2"  # label of the BIDS entity res-
    version: str = "1"  # the model's own
    licence: str = "unknown"  # SPDX name, or words
    citation: str = ""  # what users are asked to cite
    description: str = ""  # a line or two in plain words
    training: TrainingData = field(default_factory=TrainingData)  # what it was trained on
    segment_seconds: float = 432.0  # length of rest in one training sample
    sample: str = RUN  # as in `MapsPart`
    for_science: bool = True  # False: every output and log carries the notice
    notice: str = ""  # shown to users at each use
    record: Mapping[str, Any] | None = None  # how it was trained, for readers
    sources: Mapping[str, str] = field(default_factory=dict)  # of facts, as in `ModelCard`
    people: ModelPeople | None = None  # people used to make it; None: not known


def convert_checkpoint(files: CheckpointFiles, out: str | Path, facts: ModelFacts) -> ModelBundle:
    """Make a bundle from a Lightning checkpoint, ROI maps and masks.

    Parameters
    ----------
    files
        Checkpoint, ROI maps and masks.
    out
        Folder of the bundle; see `write_bundle`.
    facts
        Facts of the bundle's card, see `BundleFacts`.

    Returns
    -------
    ModelBundle
        The bundle as written.

    Raises
    ------
    BundleError
        If an input cannot be used, they do not belong together, or `out` is taken.
    OutputError
        If the bundle cannot be written.
    SettingsError
        If PyTorch is not installed.
    """
    require("converting a checkpoint", "torch", extra="torch")
    from bids_dtg.contrasts.bundle.checkpoint import read_lightning_checkpoint

    network = read_lightning_checkpoint(files.checkpoint)
    contrasts = _contrasts_for(network.out_channels, facts.contrasts, files.checkpoint)
    grid, inside = _read_grid(files.mask, facts.space, facts.resolution)
    brain = VoxelPlaces.within(grid, _read_brain_mask(files.brain_mask, grid))
    roi_maps = read_roi_maps(files.maps, brain)
    if len(roi_maps) != network.in_channels:
        raise BundleError(
            f"{files.maps} holds {len(roi_maps)} ROI maps",
            expected=f"{network.in_channels}, one for each input of {files.checkpoint}",
        )
    card = ModelCard(
        name=facts.name,
        version=facts.version,
        kind=ATTENTION_UNET.name,
        part=MapsPart(contrasts, grid, segment_seconds=facts.segment_seconds, sample=facts.sample),
        licence=facts.licence,
        citation=facts.citation,
        description=facts.description,
        training=facts.training,
        for_science=facts.for_science,
        notice=facts.notice,
        record=facts.record,
        sources=facts.sources,
    )
    tensors = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
    places = VoxelPlaces.within(grid, inside)
    arrays = BundleArrays(tensors, roi_maps, brain, places)
    return write_bundle(out, card, arrays, facts.people)


def convert_published(
    model: PublishedMaps, files: Mapping[PinnedFile, FetchedFile], out: Path
) -> ModelBundle:
    """Make the bundle of a published model.

    Raises
    ------
    BundleError, OutputError
        As `convert_checkpoint`.
    """
    paths = CheckpointFiles(
        checkpoint=files[model.checkpoint].path,
        maps=files[model.maps].path,
        brain_mask=files[model.brain_mask].path,
        mask=files[model.mask].path,
    )
    facts = ModelFacts(
        name=model.name,
        version=model.version,
        licence=model.licence,
        citation=model.citation,
        description=model.description,
        training=model.training,
        segment_seconds=model.segment_seconds,
        sample=model.sample,
        notice=model.notice,
        record={"published_files": [_entry(file, files[file]) for file in model.files]},
        sources=model.sources,
        people=model.people,
    )
    return convert_checkpoint(paths, out, facts)


def read_contrasts(path: str | Path) -> tuple[Contrast, ...]:
    """Read a table of contrasts (`parse_contrasts`) from a file.

    Raises
    ------
    BundleError
        If the file cannot be read or is no such table.
    """
    try:
        return parse_contrasts(read_text(Path(path)))
    except ForeignFileError as err:
        raise err.as_kind(BundleError) from err
    except ValueError as err:
        raise BundleError(
            f"{path}: {err}", expected="a table with tabs, one line a contrast"
        ) from err


def _entry(file: PinnedFile, fetched: FetchedFile) -> dict[str, Any]:
    """Return what the card records of an input file."""
    return {
        "location": file.location,
        "algorithm": file.digest.algorithm,
        "digest": file.digest.hexadecimal,
        "sha256": fetched.sha256,
        "size": fetched.path.stat().st_size,
    }


def _contrasts_for(
    outputs: int, contrasts: Sequence[Contrast] | None, checkpoint: Path
) -> tuple[Contrast, ...]:
    chosen = hcp_contrasts() if contrasts is None else contrasts
    if len(chosen) != outputs:
        listed = "HCP-YA has" if contrasts is None else "the table lists"
        raise BundleError(
            f"{checkpoint} predicts {outputs} contrasts, {listed} {len(chosen)}",
            remedy="give a table with one line an output, in their order (--contrasts)",
        )
    try:
        return check_contrasts(chosen)
    except ValueError as err:
        raise BundleError(f"the contrasts of {checkpoint} cannot be used: {err}") from err


def _read_grid(path: Path, space: str, resolution: str | None) -> tuple[Grid, NDArray[np.bool_]]:
    """Return the mask (i, j, k) and the grid that it defines."""
    values, affine = _read(path)
    mask = _binary(values, path)
    shape = (mask.shape[0], mask.shape[1], mask.shape[2])
    return Grid(shape, affine, space=space, resolution=resolution), mask


def _read_brain_mask(path: Path, grid: Grid) -> NDArray[np.bool_]:
    stored = _binary(_read(path)[0], path)
    try:
        mask = read_mask(path, grid)
    except RunError as err:
        raise BundleError(
            err.found,
            expected="the lattice of the mask, or a crop or flip of it",
            remedy="resample it to the mask's grid first",
        ) from err
    lost = int(np.count_nonzero(stored)) - int(np.count_nonzero(mask))
    if lost:
        # The ROI series would differ from those the model was trained on.
        raise BundleError(
            f"{path} has {lost} voxels outside the grid that the mask defines",
            remedy="give the mask on a larger grid, padded with 0",
        )
    return mask


def _read(path: Path) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    try:
        return read_volume(path)
    except RunError as err:
        raise BundleError(err.found, expected=err.expected, remedy=err.remedy) from err


def _binary(values: NDArray[np.generic], path: Path) -> NDArray[np.bool_]:
    """Return a mask (i, j, k) from a volume of 0 and 1."""
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    levels = np.unique(values)
    if values.ndim != 3 or levels.tolist() != [0, 1]:
        raise BundleError(
            f"{path} has sizes {values.shape} and {len(levels)} different values",
            expected="a mask: one volume of 0 and 1",
        )
    mask: NDArray[np.bool_] = values == 1
    return mask
