"""Fields of the card that models of contrast maps add to those of every model."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from bids_dtg.bundles.card import CardPart, JsonFields
from bids_dtg.connectome.design import SECONDS_PER_RUN
from bids_dtg.connectome.form import FORMS, MARGINAL, Form
from bids_dtg.contrasts.contrast import Contrast, check_contrasts
from bids_dtg.errors import BundleError
from bids_dtg.imaging.grid import Grid
from bids_dtg.notices import counted

# The bundle's files besides the weights; `bundle.arrays` reads and writes them.
MAPS_FILE = "maps.nii.gz"
BRAIN_MASK_FILE = "brain_mask.nii.gz"
MASK_FILE = "mask.nii.gz"
# For a model without a grid: its CIFTI parcels, if it has any, as CIFTI XML; and its ROI maps. The
# file of maps has those of several sets, too, and those of one set on a grid where they are to be
# mapped instead of inflated at each start.
PARCELS_FILE, LISTED_MAPS_FILE = "parcels.xml", "maps.safetensors"
OFFSET_FILE = "reference.safetensors"
HALF_WIDTH_FILE, MEAN_FILE = "half_width.safetensors", "mean.safetensors"
ASYMMETRY_FILE = "asymmetry.safetensors"  # half-widths of left minus right

RUN, SESSION = "run", "session"  # units of rest that maps are predicted from
GAIN_DIGITS = 4  # decimals; rounding is a hundredth of the gains' uncertainty
_LABEL = "[A-Za-z0-9]+"


@dataclass(frozen=True)
class Recentring:
    """How the error in a model's mean maps was estimated; the offset is in `OFFSET_FILE`."""

    # People with both scans; each was predicted by a model not trained on them.
    participants: int
    segments: int  # rest segments averaged in each prediction
    # Whether they are the training people, each left out of the fit in turn.
    left_out_in_turn: bool = False


@dataclass(frozen=True)
class HalfWidthFacts:
    """How half-widths were made; `HALF_WIDTH_FILE` has their values."""

    participants: int  # whose errors they come from
    segments: int  # rest segments averaged in each prediction
    block: int  # edge of the lattice's blocks, in voxels or parcels
    left_out_in_turn: bool  # as in `Recentring`


@dataclass(frozen=True)
class MapsPart(CardPart):
    """The part of the card of models of contrast maps, of any kind."""

    contrasts: tuple[Contrast, ...]  # in the order of the outputs
    # Grid of maps and masks; None: the model predicts parcels or listed places.
    grid: Grid | None = None
    # Number of places of a model without a grid; None: it has a grid.
    places: int | None = None
    # Length of rest in one training sample; if it is longer than any run, runs are not cut.
    segment_seconds: float = 432.0
    statistic: str = "z"  # value of the BIDS entity stat- of the maps
    units: str = "z"  # unit of the maps
    recentring: Recentring | None = None  # None: maps are not corrected
    # Gains of the contrasts' deviations; only with `recentring`.
    gains: tuple[float, ...] | None = None
    half_width: HalfWidthFacts | None = None  # None: there are no half-widths
    # Labels of contrasts whose map is the same for everybody; may omit those with gain 0.
    same_for_all: tuple[str, ...] = ()
    connectome: Form = MARGINAL  # form of the connectome that the model reads
    # Label of the atlas of CIFTI parcels, as in seg- of file names; None: no such parcels.
    atlas: str | None = None
    # What maps are predicted from: a run (or segments of it), or all runs of a session, joined.
    sample: str = RUN

    @property
    def parcels(self) -> bool:
        """Whether places without a grid are CIFTI parcels."""
        return self.atlas is not None

    @property
    def joins_runs(self) -> bool:
        """Whether a sample is all runs of a session, joined."""
        return self.sample == SESSION

    @property
    def cut_seconds(self) -> float:
        """Length of the segments that runs are cut into; joined runs stay whole."""
        return SECONDS_PER_RUN if self.joins_runs else self.segment_seconds

    @property
    def whole_runs(self) -> bool:
        """Whether runs are neither cut nor joined."""
        return self.sample == RUN and self.segment_seconds >= SECONDS_PER_RUN

    @property
    def outputs(self) -> str:
        """The number of contrasts, in words."""
        return counted(self.contrasts, "contrast")

    def files_of_geometry(self, listed: Collection[str]) -> tuple[str, ...]:
        """Return the files that define the grid and the ROIs; the ROI maps last.

        `listed` are the names that the card lists: maps of one set on a grid are in either file.
        """
        if self.grid is not None:
            mapped = self.several or LISTED_MAPS_FILE in listed
            return BRAIN_MASK_FILE, MASK_FILE, LISTED_MAPS_FILE if mapped else MAPS_FILE
        return (PARCELS_FILE, LISTED_MAPS_FILE) if self.parcels else (LISTED_MAPS_FILE,)

    def required_files(self, listed: Collection[str]) -> tuple[str, ...]:
        """Return the files that a bundle must have besides the weights."""
        facts = {OFFSET_FILE: self.recentring, HALF_WIDTH_FILE: self.half_width}
        files_of_facts = [name for name, fact in facts.items() if fact is not None]
        return *self.files_of_geometry(listed), *files_of_facts

    @property
    def several(self) -> bool:
        """Whether it has several sets of ROI maps."""
        return bool(self.connectome.sets)

    @property
    def not_individual(self) -> tuple[str, ...]:
        """Labels of the contrasts whose map is the same for everybody, in order.

        Examples
        --------
        >>> two = (Contrast(0, "faces", "", "", ""), Contrast(1, "shapes", "", "", ""))
        >>> MapsPart(two, recentring=Recentring(12, 4), gains=(0.0, 0.8)).not_individual
        ('faces',)
        """
        gains = self.gains or (1.0,) * len(self.contrasts)
        return tuple(
            contrast.label
            for contrast, gain in zip(self.contrasts, gains, strict=True)
            if gain == 0 or contrast.label in self.same_for_all
        )

    def to_json(self) -> dict[str, Any]:
        """Return the part's fields of `model.json`."""
        content = super().to_json()
        if grid := content["grid"]:
            del grid["form_code"]  # always that of a template
            grid["affine"] = np.asarray(grid["affine"], np.float64).tolist()
        content["connectome"] = self.connectome.name
        content["rois"] = self.connectome.sets
        return content

    @classmethod
    def read(cls, fields: JsonFields) -> MapsPart:
        """Read the part's fields of a card.

        Raises
        ------
        BundleError
            A field is missing or wrong.
        """
        listed = not fields.absent("places")
        if listed != fields.absent("grid"):
            raise fields.wrong(
                "grid", fields.value("grid"), "a grid, or places, and not both"
            )
        contrasts = _contrasts(fields)
        labels = {contrast.label for contrast in contrasts}
        gains = recentring = None
        if not fields.absent("gains"):
            gains = tuple(map(float, fields.numbers("gains", (len(contrasts),))))
        if not fields.absent("recentring"):
            recentring = fields.nested("recentring").record(Recentring)
        if not fields.absent("atlas"):
            fields.text("atlas", _LABEL, "letters and digits, or null")
        fields.text("statistic", _LABEL, "letters and digits")
        fields.one_of("sample", (RUN, SESSION))
        same = fields.value("same_for_all")
        if not isinstance(same, list) or not labels.issuperset(map(str, same)):
            raise fields.wrong("same_for_all", same, "labels of contrasts")
        part = cls(
            contrasts=contrasts,
            grid=None if listed else _grid(fields.nested("grid")),
            recentring=recentring,
            gains=gains,
            half_width=_half_width(fields),
            same_for_all=tuple(same),
            connectome=_form(fields),
            **fields.scalars(cls),
        )
        if (part.recentring is None) != (part.gains is None):
            raise fields.wrong("gains", part.gains, "gains and recentring, or neither")
        return part


def _grid(fields: JsonFields) -> Grid:
    shape = fields.numbers("shape", (3,))
    if not all(type(size) is int and 1 <= size <= 2048 for size in shape):
        raise fields.wrong("shape", shape, "three whole numbers from 1 to 2048")
    affine = np.array(fields.numbers("affine", (4, 4)), dtype=np.float64)
    if abs(np.linalg.det(affine[:3, :3])) < 1e-9 or affine[3].tolist() != [0, 0, 0, 1]:
        raise fields.wrong("affine", affine.tolist(), "an affine that can be inverted")
    resolution = None
    if not fields.absent("resolution"):
        resolution = fields.text("resolution", _LABEL, "letters and digits, or null")
    grid = Grid(
        shape=(shape[0], shape[1], shape[2]),
        affine=affine,
        space=fields.text("space", _LABEL, "letters and digits"),
        resolution=resolution,
    )
    fields.refuse_unknown()
    return grid


def _form(fields: JsonFields) -> Form:
    """Read the form of the connectomes, and how many ROI maps each set has."""
    name = fields.one_of("connectome", FORMS)
    sets = fields.value("rois")
    legal = isinstance(sets, list) and all(
        type(rois) is int and rois > 0 for rois in sets
    )
    if not legal or sets != sorted(set(sets)):
        raise fields.wrong("rois", sets, "increasing numbers of ROIs, one per set")
    if sets and not FORMS[name].joint:
        raise fields.wrong("rois", sets, "no sets, because the connectome is marginal")
    return Form(name, tuple(sets))


def _half_width(fields: JsonFields) -> HalfWidthFacts | None:
    if fields.absent("half_width"):
        return None
    inner = fields.nested("half_width")
    facts = inner.record(HalfWidthFacts)
    if not facts.block:
        raise inner.wrong("block", facts.block, "a whole number of 1 or more")
    return facts


def _contrasts(fields: JsonFields) -> tuple[Contrast, ...]:
    try:
        items = fields.list_of_nested("contrasts")
        return check_contrasts([item.record(Contrast) for item in items])
    except ValueError as err:
        raise BundleError(f"{fields.source}: contrasts: {err}") from err
