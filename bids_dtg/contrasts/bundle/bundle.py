"""Model bundles: read and write a folder with a model and everything it needs to predict."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from bids_dtg.array_types import Float32, Floats, Indices
from bids_dtg.bundles.bundle import Bundle, read_tensors, require_finite
from bids_dtg.bundles.card import CARD_FILE, WEIGHTS_FILE, JsonFields, ModelCard
from bids_dtg.bundles.training_hashes import TrainingHashes
from bids_dtg.contrasts.asymmetry import Homologues
from bids_dtg.contrasts.bundle.arrays import (
    encode_correction,
    encode_half_widths,
    geometry_files,
    half_width_facts,
    read_correction,
    read_geometry,
    read_half_widths,
)
from bids_dtg.contrasts.bundle.kinds import KINDS, MapsKind, tunable
from bids_dtg.contrasts.bundle.part import (
    ASYMMETRY_FILE,
    GAIN_DIGITS,
    HALF_WIDTH_FILE,
    MEAN_FILE,
    OFFSET_FILE,
    PARCELS_FILE,
    MapsPart,
)
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.half_width import HalfWidths
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.errors import BundleError
from bids_dtg.files.tensors import TensorFile, encode_arrays
from bids_dtg.imaging.grid import Grid, voxel_edge_mm
from bids_dtg.imaging.places import Places, VoxelPlaces
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.stats.verdict import BETTER
from bids_dtg.workflows import later

if TYPE_CHECKING:
    from bids_dtg.contrasts.network.unet import AttentionUNet
    from bids_dtg.contrasts.people import MapModel

ABOVE_GROUP = "r_minus_group_average"  # score of a contrast, on the card
ASYMMETRY = "asymmetry"  # scores of left minus right, on the card
_MEAN, _WIDTHS = "mean", "half_width"  # tensors of `MEAN_FILE` and `ASYMMETRY_FILE`


@dataclass(frozen=True, eq=False, kw_only=True)
class ModelBundle(Bundle[MapsPart]):
    """A verified model of contrast maps: card, masks and ROI maps; weights are read on demand."""

    PART = MapsPart
    REMEDY = (
        "look for measured maps that are far larger than the others, or train with a lower "
        "--learning-rate"
    )

    brain: Places  # where the ROI series are computed
    # Where the model reads and predicts: voxels, parcels or numbered places.
    places: Places
    # (rois, brain voxels), 32 bits. With several sets (rois, places), set after set, 16 bits and
    # mapped from the file, as those of one set may be; if there is a `combine`, only those of the
    # largest set.
    roi_maps: Floats
    correction: Correction | None = None  # of the maps; None: they are not corrected
    half_widths: HalfWidths | None = None  # of prediction intervals; None: no intervals
    # (contrasts, places), the mean prediction for the training people; None: not known
    mean: Float32 | None = None
    # (rois, maps), weights that combine `roi_maps` into the ROIs' maps; None: no combination.
    combine: Float32 | None = None
    # (contrasts, pairs + 1), half-widths of left minus right, as `Homologues.values`; None: none
    asymmetry_widths: Float32 | None = None

    @classmethod
    def read_files(cls, folder: Path, card: ModelCard[MapsPart]) -> dict[str, Any]:
        """Return places, ROI maps and further arrays, which must fit weights and contrasts."""
        part = card.part
        weights = TensorFile(folder / WEIGHTS_FILE)
        rois, outputs = KINDS[card.kind].module().channels(weights)
        if outputs != len(part.contrasts):
            raise BundleError(
                f"{weights.path} predicts {outputs} maps",
                expected=f"{len(part.contrasts)}, as model.json lists",
            )
        brain, places, roi_maps, combine = read_geometry(folder, card, rois)
        fields: dict[str, Any] = {
            "brain": brain,
            "places": places,
            "roi_maps": roi_maps,
            "combine": combine,
        }
        if MEAN_FILE in card.files:
            shape = {_MEAN: ("float32", (outputs, places.number))}
            fields |= read_tensors(folder / MEAN_FILE, shape)
        fields["correction"] = read_correction(folder, part, places.number)
        if part.half_width is not None:
            facts = part.half_width
            fields["half_widths"] = read_half_widths(folder, facts, places, outputs)
        if ASYMMETRY_FILE in card.files:
            widths = _read_asymmetry_widths(folder, places, outputs)
            fields["asymmetry_widths"] = widths
        return fields

    @property
    def kind(self) -> MapsKind:
        """The row of its kind."""
        return KINDS[self.card.kind]

    @cached_property
    def homologues(self) -> Homologues | None:
        """Pairs of homologous parcels; None: there are none."""
        return Homologues.of(self.places)

    @property
    def geometry(self) -> dict[str, str]:
        """SHA-256 of the files that define the grid and the ROIs, the ROI maps last."""
        files = self.card.files
        return {name: files[name] for name in self.card.part.files_of_geometry(files)}

    @property
    def parcels_sha256(self) -> str:
        """SHA-256 of the parcels, of a model of parcels."""
        return self.card.files[PARCELS_FILE]

    @property
    def grid(self) -> Grid:
        """The grid of maps and masks.

        Raises
        ------
        BundleError
            The model has no grid.
        """
        part = self.card.part
        if part.grid is None:
            of = "parcels" if part.parcels else f"{part.places} places"
            reads = "CIFTI series" if part.parcels else "arrays"
            raise BundleError(
                f"{self.name} is a model of {of} without a grid and reads {reads}",
                expected="a model on a voxel grid for this",
            )
        return part.grid

    @property
    def space(self) -> str:
        """Template of the voxels; for parcels, a word that says so.

        Raises
        ------
        BundleError
            The places are only numbered.
        """
        if isinstance(self.places, ParcelPlaces):
            return self.places.space
        return self.grid.space

    @property
    def metadata(self) -> dict[str, Any]:
        """Fields that BIDS requires in the sidecars of maps; BundleError as for `space`."""
        if isinstance(self.places, ParcelPlaces):
            return {"Density": self.places.density}
        return self.grid.metadata

    @property
    def training_voxel_mm(self) -> float:
        """Voxel edge of the training runs, or of the grid if not stated; NaN for parcels."""
        if isinstance(self.places, ParcelPlaces):
            return math.nan
        stated = self.card.training.voxel_size_mm
        return voxel_edge_mm(self.grid.affine) if stated is None else stated

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
    def hardly_individual(self) -> dict[str, tuple[float, float, float]]:
        """Contrasts in which people are hardly told apart, by the scores on the model's card.

        Their r minus that of the group average has an interval that does not lie above 0. Each has
        its mean, and the lower and upper end of that interval.

        Raises
        ------
        BundleError
            The card's scores are damaged.
        """
        above = dict[str, tuple[float, float, float]]()
        for row in self._scores("contrasts"):
            if ABOVE_GROUP in row.items():
                mean, low, high = row.numbers(ABOVE_GROUP, (3,))
                if low <= 0:
                    above[row.text("contrast")] = mean, low, high
        return above

    @property
    def predicted_sides(self) -> dict[str, tuple[bool, bool]]:
        """Whether left minus right and its index are predicted, by the card's scores of contrasts.

        Raises
        ------
        BundleError
            The card's scores are damaged.
        """
        return {
            row.text("contrast"): (
                row.text("verdict") == BETTER,
                row.text("index_verdict") == BETTER,
            )
            for row in self._scores(ASYMMETRY)
        }

    def _scores(self, table: str) -> Sequence[JsonFields]:
        """Return the rows of one of the card's tables of scores; none if it has no such table.

        Raises
        ------
        BundleError
            The card's scores are damaged.
        """
        file = str(self.path / CARD_FILE)
        scores = JsonFields(self.card.evaluation or {}, file, "evaluation.")
        return scores.list_of_nested(table) if table in scores.items() else ()

    @property
    def rois(self) -> int:
        """Number of ROIs, of all sets together."""
        return len(self.roi_maps if self.combine is None else self.combine)

    @property
    def place_roi_maps(self) -> Floats:
        """ROI maps where the model predicts, (rois, places); 0 outside the brain mask."""
        if self.combine is not None:
            return self.combine @ self.roi_maps.astype(np.float32)
        if self.card.part.grid is None or self.card.part.several:
            return self.roi_maps
        return self.brain_maps_at(self.voxels.positions)

    def brain_maps_at(self, positions: Indices) -> Floats:
        """Return ROI maps of one set at positions in the grid; 0 outside the brain mask."""
        mask = self.brain_voxels.mask.ravel()
        # Position of each grid voxel among the brain's voxels, which order the maps.
        rank = np.cumsum(mask) - 1
        maps = self.roi_maps[:, rank[positions]]
        maps[:, ~mask[positions]] = 0.0
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
            Where to compute, by torch's name.
        threads
            Threads on the CPU; None: as many as NumPy's BLAS uses.
        report
            Receives warnings, such as of too little memory.

        Raises
        ------
        BundleError
            If the weights have changed since the bundle was loaded, or are damaged.
        """
        module = self.kind.module()
        return module.prepare(self.weights(), self.places, device, threads, report)

    def check_weights(self) -> None:
        """Read all of the weights.

        Raises
        ------
        BundleError
            As for `prepare`.
        """
        self.kind.module().read(self.weights(), self.places)

    # In modules that read this one.
    facts = later("contrasts.bundle.facts:maps_facts")
    tables = later("contrasts.bundle.facts:maps_tables")
    selftest = later("contrasts.bundle.selftest:check_maps_model")

    def require_finite(self) -> None:
        """Check that all weights are finite, without torch and one tensor at a time.

        Raises
        ------
        BundleError
            One is not finite.
        """
        TensorFile(self.path / WEIGHTS_FILE).require_finite()

    def network(self) -> AttentionUNet:
        """Read the model as a torch network, if its kind has gradients. This imports torch.

        Returns
        -------
        AttentionUNet
            In eval mode, float32, on the CPU.

        Raises
        ------
        BundleError
            As for `prepare`, or if the kind has no gradients.
        """
        weights, kind = self.weights(), self.kind
        if not kind.tunes:
            raise BundleError(
                f"{weights.path} belongs to a model of kind {self.card.kind}",
                expected=tunable(),
            )
        module: Any = kind.module()
        return module.network(weights, self.places)


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
    >>> bundle.name, bundle.roi_maps.shape[0], len(bundle.contrasts)
    ('demo', 50, 47)
    """
    return ModelBundle.load(name_or_path)


def _read_asymmetry_widths(folder: Path, places: Places, contrasts: int) -> Float32:
    """Read half-widths of left minus right (contrasts, pairs + 1); NaN: no interval."""
    homologues = Homologues.of(places)
    pairs = 0 if homologues is None else len(homologues.names)
    shape = {_WIDTHS: ("float32", (contrasts, pairs + 1))}
    widths = read_tensors(folder / ASYMMETRY_FILE, shape)[_WIDTHS]
    return np.where(widths > 0, widths, np.float32("nan"))


@dataclass(frozen=True, eq=False)
class BundleArrays:
    """The arrays of a bundle."""

    # The model's tensors, by its kind's names (arrays, or tensors on the CPU without gradients).
    tensors: Mapping[str, ArrayLike]
    # (rois, brain voxels); with several sets (rois, places)
    roi_maps: Floats
    brain: Places  # where the ROI series are computed, on the card's grid
    places: Places  # where the model reads and predicts, on the same grid; or the brain itself
    # Correction of the model's maps; the card's `recentring` says how it was found.
    correction: Correction | None = None
    # (contrasts, places), mean of the corrected predictions for the training people; None: unknown
    mean: Float32 | None = None
    # (rois, maps), weights that combine `roi_maps` into the ROIs' maps; None: no combination.
    combine: Floats | None = None
    half_widths: HalfWidths | None = None  # of prediction intervals; None: no intervals
    # The same of left minus right, (contrasts, pairs + 1)
    asymmetry_widths: HalfWidths | None = None
    # Whether ROI maps of one set on a grid are written to be mapped: as large as in memory, but
    # not inflated at each start. Several sets always are.
    mapped: bool = False


def write_bundle(
    folder: str | Path,
    card: ModelCard[MapsPart],
    arrays: BundleArrays,
    people: TrainingHashes | None = None,
) -> ModelBundle:
    """Write the bundle of a model of contrast maps, as `bids_dtg.bundles.bundle.Bundle.write` does.

    Parameters
    ----------
    folder, people
        As of `Bundle.write`.
    card
        The model's card; `files`, `gains` and `half_width` are filled in here.
    arrays
        Weights, ROI maps, masks and further arrays of the bundle.
    """
    correction, part = arrays.correction, card.part
    # Before they are rounded to the steps of a file.
    checked: dict[str, ArrayLike] = dict(arrays.tensors)
    if correction is not None:
        checked |= vars(correction)
    if arrays.mean is not None:
        checked[_MEAN] = arrays.mean
    require_finite(checked, ModelBundle.REMEDY)
    geometry = arrays.brain, arrays.places, arrays.roi_maps, arrays.combine
    files = geometry_files(geometry, mapped=part.several or arrays.mapped)
    if correction is not None:
        files[OFFSET_FILE] = encode_correction(correction, part)
        gains = tuple(round(float(gain), GAIN_DIGITS) for gain in correction.gains)
        part = replace(part, gains=gains)
    if arrays.half_widths is not None:
        files[HALF_WIDTH_FILE] = encode_half_widths(arrays.half_widths)
        part = replace(part, half_width=half_width_facts(arrays.half_widths))
    if arrays.asymmetry_widths is not None:
        widths = arrays.asymmetry_widths.values
        files[ASYMMETRY_FILE] = encode_arrays({_WIDTHS: widths})
    if arrays.mean is not None:
        files[MEAN_FILE] = encode_arrays({_MEAN: arrays.mean})
    card = replace(card, part=part)
    return ModelBundle.write(folder, card, arrays.tensors, files, people)
