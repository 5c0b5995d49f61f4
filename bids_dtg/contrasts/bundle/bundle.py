"""Model bundles: a folder with a model and all that it needs at prediction."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.bundle import Bundle, verified_card
from bids_dtg.bundles.card import CARD_FILE, WEIGHTS_FILE, ModelCard
from bids_dtg.bundles.people import PEOPLE_FILE, ModelPeople
from bids_dtg.bundles.store import find_bundle
from bids_dtg.contrasts.bundle.arrays import (
    HALF_WIDTH_FILE,
    MEAN_FILE,
    OFFSET_FILE,
    read_half_widths,
    read_listed_maps,
    read_mean,
    read_offset,
    read_parcels,
    read_places,
)
from bids_dtg.contrasts.bundle.kinds import KINDS
from bids_dtg.contrasts.bundle.part import (
    BRAIN_MASK_FILE,
    LISTED_MAPS_FILE,
    MAPS_FILE,
    MASK_FILE,
    PLACES_FILE,
    MapsPart,
)
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.errors import BundleError, RunError
from bids_dtg.files.tensors import TensorFile
from bids_dtg.imaging.bold import BoldHeader, stream_blocks
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.header import read_header
from bids_dtg.imaging.nifti import read_mask
from bids_dtg.imaging.places import Places, VoxelPlaces
from bids_dtg.imaging.sampling import LatticeSampling
from bids_dtg.imaging.surfaces.parcel_places import ParcelPlaces
from bids_dtg.stats.half_width import HalfWidths

if TYPE_CHECKING:
    from bids_dtg.contrasts.network.unet import AttentionUNet
    from bids_dtg.contrasts.people import MapModel

_REMEDY = "fetch or make the bundle again"
# Affines that agree to this many mm (or mm a voxel) describe one grid.
_AFFINE_TOLERANCE = 1e-4
# Limit on all ROI maps together, as float32: 1 GiB. Those of 50 networks at 1 mm have 90 million.
_MOST_MAP_VALUES = 2**28
# A few volumes at a time: gathered while the next ones are inflated.
_VOLUMES_PER_BLOCK = 4


@dataclass(frozen=True, eq=False)
class ModelBundle(Bundle[MapsPart]):
    """A verified model of contrast maps: card, masks and ROI maps; weights are read on demand."""

    brain: Places  # where the ROI series are computed
    places: Places  # where the model reads and predicts
    # (rois, brain voxels), of 32 bits. Those of several sets are (rois, places), one set after the
    # other, of 16 bits and mapped from the file; where `combine` makes them, those of one set.
    roi_maps: NDArray[np.floating]
    correction: Correction | None = None  # of the model's maps, over the places; None: none
    half_widths: HalfWidths | None = None  # of intervals around the maps; None: none
    people: ModelPeople | None = None  # people used to make the model; None: not known
    # (contrasts, places), mean of the maps that it predicts for its training people; None: unknown
    mean: NDArray[np.float32] | None = None
    # (rois, maps), where the ROIs' maps are combinations of `roi_maps`; None: they are `roi_maps`.
    combine: NDArray[np.float32] | None = None

    @property
    def grid(self) -> Grid:
        """The grid of maps and masks.

        Raises
        ------
        BundleError
            The model has no grid.
        """
        card = self.card
        if card.part.parcels:
            raise BundleError(
                f"{card.name} is a model of parcels, without a grid",
                expected="a model on a grid, for what is asked",
            )
        if card.part.grid is None:
            raise BundleError(
                f"{card.name} is a model of {card.part.places} places without a grid: it reads "
                "arrays",
                expected="a model on a grid, for images",
            )
        return card.part.grid

    @property
    def space(self) -> str:
        """Template of the places: of parcels, that these are some.

        Raises
        ------
        BundleError
            The places have names alone.
        """
        if isinstance(self.places, ParcelPlaces):
            return self.places.space
        return self.grid.space

    @property
    def metadata(self) -> dict[str, Any]:
        """What BIDS wants in the sidecars of maps at the places; BundleError as for `space`."""
        if isinstance(self.places, ParcelPlaces):
            return self.places.metadata
        return self.grid.brain_metadata

    @property
    def training_voxel_mm(self) -> float:
        """Edge of a voxel of the runs that it was trained on: the grid's if nothing is stated.

        Of parcels it is the median distance of a parcel to the next.
        """
        stated = self.card.training.voxel_size_mm
        if stated is None and isinstance(self.places, ParcelPlaces):
            return self.places.spacing_mm
        return self.grid.voxel_edge_mm if stated is None else stated

    @property
    def voxels(self) -> VoxelPlaces:
        """The places as voxels; BundleError as for `grid`."""
        return self._as_voxels(self.places)

    @property
    def brain_voxels(self) -> VoxelPlaces:
        """The brain as voxels; BundleError as for `grid`."""
        return self._as_voxels(self.brain)

    def _as_voxels(self, places: Places) -> VoxelPlaces:
        if not isinstance(places, VoxelPlaces):
            raise TypeError(f"places of a model on {self.grid} are voxels")
        return places

    @property
    def contrasts(self) -> tuple[Contrast, ...]:
        """The contrasts that the model predicts, in the order of its outputs."""
        return self.card.part.contrasts

    @property
    def rois(self) -> int:
        """Number of ROIs, of all sets together."""
        return len(self.roi_maps if self.combine is None else self.combine)

    @property
    def place_roi_maps(self) -> NDArray[np.floating]:
        """(rois, places), the ROI maps where the model predicts; 0 outside the brain mask."""
        if self.combine is not None:
            return self.combine @ self.roi_maps.astype(np.float32)
        if self.card.part.grid is None or self.card.part.several:
            return self.roi_maps
        mask, grey = self.brain_voxels.mask.ravel(), self.voxels.positions
        # Position of each grid voxel among the brain's voxels, which order the maps.
        rank = np.cumsum(mask) - 1
        maps = self.roi_maps[:, rank[grey]]
        # As for the ROI series: maps are 0 outside the brain.
        maps[:, ~mask[grey]] = 0.0
        return maps

    def prepare(
        self,
        device: str = "cpu",
        threads: int | None = None,
        report: Callable[[str], None] = warnings.warn,
    ) -> MapModel:
        """Read the model and prepare it to predict; the caller applies the correction.

        Parameters
        ----------
        device
            Where to compute, as torch names it.
        threads
            On the CPU; None: as NumPy's BLAS is set.
        report
            Receives lines, e.g. on too little memory.

        Raises
        ------
        BundleError
            If the weights have changed since the bundle was loaded, or are damaged.
        """
        module, weights = KINDS[self.card.kind].module(), self.weights()
        prepared: MapModel = module.prepare(weights, self.places, device, threads, report)
        return prepared

    def check_weights(self) -> None:
        """Read all of the weights.

        Raises
        ------
        BundleError
            As for `prepare`.
        """
        KINDS[self.card.kind].module().read(self.weights(), self.places)

    def require_finite(self) -> None:
        """Check that all weights are finite, without torch and one tensor at a time.

        Raises
        ------
        BundleError
            One is not finite.
        """
        TensorFile(self.path / WEIGHTS_FILE).require_finite()

    def network(self) -> AttentionUNet:
        """Read the network of a kind that has one. This imports torch.

        Returns
        -------
        AttentionUNet
            In eval mode, float32, on the CPU.

        Raises
        ------
        BundleError
            As for `prepare`, or if the model has no network.
        """
        from bids_dtg.contrasts.network.kind import read
        from bids_dtg.contrasts.network.unet import AttentionUNet

        weights = self.weights()
        if not KINDS[self.card.kind].is_network:
            raise BundleError(
                f"{weights.path} is of a model of kind {self.card.kind}",
                expected=" or ".join(row.name for row in KINDS.values() if row.is_network),
            )
        return AttentionUNet.from_parameters(read(weights, self.places))


def load_bundle(name_or_path: str | Path) -> ModelBundle:
    """Find, verify and load a model bundle, without torch.

    Parameters
    ----------
    name_or_path
        Name of an installed bundle (`bids_dtg.bundles.store`), or its folder.

    Raises
    ------
    BundleError
        If there is no such bundle, a file is missing, damaged or not the one that
        the card lists (SHA-256), or masks, maps, weights and contrasts do not belong
        together.
    TypeError
        If it is neither text nor a path, such as a loaded bundle.

    Examples
    --------
    >>> bundle = load_bundle("demo")
    >>> bundle.card.name, bundle.roi_maps.shape[0], len(bundle.contrasts)
    ('demo', 50, 47)
    """
    folder = find_bundle(name_or_path)
    with verified_card(folder, MapsPart) as (card, identity):
        weights = TensorFile(folder / WEIGHTS_FILE)
        rois, outputs = KINDS[card.kind].module().channels(weights)
        if outputs != len(card.part.contrasts):
            raise BundleError(
                f"{weights.path} predicts {outputs} maps",
                expected=f"{len(card.part.contrasts)}, as model.json lists",
            )
        brain, places, roi_maps, combine = _read_geometry(folder, card, rois)
        correction = _correction(folder, card.part, places.number)
        return ModelBundle(
            path=folder,
            card=card,
            identity=identity,
            brain=brain,
            places=places,
            roi_maps=roi_maps,
            correction=correction,
            half_widths=_half_widths(folder, card, places),
            people=ModelPeople.read(folder / PEOPLE_FILE) if PEOPLE_FILE in card.files else None,
            mean=read_mean(folder, (outputs, places.number), correction)
            if MEAN_FILE in card.files
            else None,
            combine=combine,
        )


def _read_geometry(
    folder: Path, card: ModelCard[MapsPart], rois: int
) -> tuple[Places, Places, NDArray[np.floating], NDArray[np.float32] | None]:
    """Return the places of the ROI series, those of the predictions, the ROI maps and `combine`."""
    grid, number, several = card.part.grid, card.part.places, card.part.several
    if several and (found := sum(card.part.connectome.sets)) != rois:
        raise BundleError(
            f"{folder / CARD_FILE} lists {found} ROI maps under rois",
            expected=f"{rois}, as the weights read",
            remedy=_REMEDY,
        )
    if grid is None:
        assert number is not None  # a card has a grid or a number of places
        read = read_parcels if card.part.parcels else read_places
        listed: Places = read(folder / PLACES_FILE, number)
        maps = read_listed_maps(folder / LISTED_MAPS_FILE, rois, number, several=several)
        return listed, listed, *maps
    if several:
        brain = _read_places(folder / BRAIN_MASK_FILE, grid)
        places = _read_places(folder / MASK_FILE, grid)
        maps = read_listed_maps(folder / LISTED_MAPS_FILE, rois, places.number, several=True)
        return brain, places, *maps
    _check_on_grid(folder / MAPS_FILE, grid, volumes=rois)
    brain = _read_places(folder / BRAIN_MASK_FILE, grid)
    places = _read_places(folder / MASK_FILE, grid)
    return brain, places, read_roi_maps(folder / MAPS_FILE, brain), None


def read_roi_maps(path: Path, brain: VoxelPlaces) -> NDArray[np.float32]:
    """Read ROI maps over the brain mask.

    Parameters
    ----------
    path
        4-D NIfTI, one volume a ROI, on the grid or on any larger field of view, crop or
        flip of its lattice that covers the brain mask. Never resampled.
    brain
        Voxels of the model's brain mask.

    Returns
    -------
    numpy.ndarray
        (rois, brain voxels).

    Raises
    ------
    BundleError
        If the file is damaged, not 4-D, on another lattice or too small, has values that
        are not finite, or a map that is constant over the brain mask.
    """
    try:
        header = BoldHeader(**vars(read_header(path)))
        if len(header.shape) != 4:
            raise BundleError(f"{path} has sizes {header.shape}", expected="four, one volume a ROI")
        sampling = LatticeSampling.between(
            header.shape, header.affine, brain.grid, brain.positions, name=str(path)
        )
        if not sampling.covered.all():
            missing = np.count_nonzero(~sampling.covered)
            raise BundleError(
                f"{path} does not cover {missing} voxels of the brain mask",
                expected="maps that cover all of it",
            )
        if header.frames * brain.number > _MOST_MAP_VALUES:
            raise BundleError(
                f"{path} has {header.frames} ROI maps of {brain.number} voxels",
                expected=f"at most {_MOST_MAP_VALUES} values",
            )
        roi_maps = np.empty((header.frames, brain.number), np.float32)
        done = 0
        for block in stream_blocks(header, _VOLUMES_PER_BLOCK):
            out = roi_maps[done : done + len(block)]
            done += len(sampling.apply(block, header.slope, header.inter, out=out))
    except RunError as err:
        raise BundleError(
            err.found, expected=err.expected, remedy="fetch or make the file again"
        ) from err
    _check_values(path, roi_maps)
    return roi_maps


def _correction(folder: Path, part: MapsPart, voxels: int) -> Correction | None:
    if part.gains is None:
        return None
    offset = read_offset(folder / OFFSET_FILE, len(part.contrasts), voxels)
    with np.errstate(over="ignore"):
        gains = np.array(part.gains, np.float32)
    if not np.isfinite(gains).all():
        raise BundleError(
            f"{folder / CARD_FILE}: gains go up to {max(map(abs, part.gains)):.3g}",
            expected="gains that floats of 32 bits can hold",
            remedy=_REMEDY,
        )
    return Correction(gains, offset)


def _half_widths(folder: Path, card: ModelCard[MapsPart], places: Places) -> HalfWidths | None:
    facts = card.part.half_width
    if facts is None:
        return None
    if HALF_WIDTH_FILE not in card.files:
        raise BundleError(f"{folder / CARD_FILE} has half_width, but lists no {HALF_WIDTH_FILE}")
    return read_half_widths(folder, facts, places, len(card.part.contrasts))


def _read_places(path: Path, grid: Grid) -> VoxelPlaces:
    _check_on_grid(path, grid, volumes=1)
    try:
        mask = read_mask(path, grid)
    except RunError as err:
        raise BundleError(err.found, expected=err.expected, remedy=_REMEDY) from err
    if not mask.any():
        raise BundleError(f"{path} has no voxel in it", remedy=_REMEDY)
    return VoxelPlaces.within(grid, mask)


def _check_on_grid(path: Path, grid: Grid, volumes: int) -> None:
    """Refuse an image whose header does not describe so many volumes on the grid."""
    try:
        header = read_header(path)
    except RunError as err:
        raise BundleError(err.found, expected=err.expected, remedy=_REMEDY) from err
    if (*header.shape, 1)[:4] != (*grid.shape, volumes) or len(header.shape) > 4:
        raise BundleError(
            f"{path} has sizes {header.shape}", expected=f"{volumes} volume(s) of {grid.shape}"
        )
    if not np.allclose(header.affine, grid.affine, rtol=0, atol=_AFFINE_TOLERANCE):
        raise BundleError(
            f"{path} has the affine {header.affine.tolist()}",
            expected=f"{np.asarray(grid.affine).tolist()} (model.json)",
        )


def _check_values(path: Path, roi_maps: NDArray[np.float32]) -> None:
    lowest, highest = roi_maps.min(axis=1), roi_maps.max(axis=1)
    # NaN and infinity show in the smallest and largest values.
    wrong = np.flatnonzero(~(np.isfinite(lowest) & np.isfinite(highest)))
    if wrong.size:
        raise BundleError(
            f"{path}: ROI map {wrong[0]} (from 0) has NaN or infinite values in the brain mask"
        )
    constant = np.flatnonzero(lowest == highest)
    if constant.size:
        raise BundleError(
            f"{path}: ROI map {constant[0]} (from 0) is constant over the brain mask",
            expected="maps that differ between voxels, as ROI series are regression weights",
        )
