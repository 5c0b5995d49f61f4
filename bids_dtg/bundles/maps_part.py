"""What the card of a model of contrast maps says beside what every card says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from bids_dtg.bundles.fields import JsonFields
from bids_dtg.bundles.parts import OFFSET_FILE
from bids_dtg.connectome.form import FORMS, MARGINAL, Form
from bids_dtg.contrasts.contrast import Contrast, check_contrasts
from bids_dtg.errors import BundleError

DUAL_REGRESSION = "dual-regression"
GAIN_DIGITS = 4  # a hundredth of what the people who were measured determine
_LABEL = re.compile(r"[A-Za-z0-9]+")


@dataclass(frozen=True)
class Recentring:
    """How the error in a model's mean maps was found; the offset is in `OFFSET_FILE`."""

    participants: int  # people with both scans, whom the model that showed it was not trained on
    segments: int  # segments of rest that each of their predictions is the mean of
    lattice: str = "grid"  # where the offset lies: at every voxel of the mask
    # Whether they are training people, each of whom was left out of a model fitted to the others.
    left_out_in_turn: bool = False

    @classmethod
    def read(cls, card: JsonFields) -> Recentring:
        """Read the field `recentring` of a card.

        Raises
        ------
        BundleError
            If it does not hold what it should.
        """
        fields = card.nested("recentring")
        lattice = fields.text("lattice")
        if lattice != "grid":
            raise fields.wrong("lattice", lattice, "grid")
        recentring = cls(
            fields.whole("participants"),
            fields.whole("segments"),
            lattice,
            not fields.absent("left_out_in_turn") and fields.flag("left_out_in_turn"),
        )
        fields.refuse_unknown()
        return recentring

    def to_json(self) -> dict[str, Any]:
        """Return the field; cards of models with held-out people are as they always were."""
        content = asdict(self)
        if not self.left_out_in_turn:
            del content["left_out_in_turn"]
        return content


@dataclass(frozen=True)
class MapsPart:
    """The part of a card that models of contrast maps have, whatever their kind."""

    # Keys of a card in the order of the first version, so that old bundles keep their identity.
    ORDER: ClassVar[tuple[str, ...]] = (
        *("format_version", "name", "version", "grid", "contrasts", "kind", "licence", "citation"),
        *("description", "training", "roi_series", "segment_seconds", "mask_input", "statistic"),
        *("units", "for_science", "notice", "files", "recentring", "gains", "reference"),
        "calibration",
    )

    contrasts: tuple[Contrast, ...]  # in the order of the outputs
    roi_series: str = DUAL_REGRESSION  # how ROI series are made from the ROI maps
    segment_seconds: float = 432.0  # length of rest in one training sample
    mask_input: bool = True  # whether the connectome is 0 outside the mask at prediction
    statistic: str = "z"  # value of the BIDS entity stat- of the maps
    units: str = "z"  # unit of the maps
    recentring: Recentring | None = None  # None: maps are what the model predicts
    gains: tuple[float, ...] | None = None  # of the contrasts' deviations; with `recentring` only
    # Of the training connectomes, as `parts.read_training_range` reads it; "reference" in files.
    training_range: Mapping[str, Any] | None = None
    calibration: Mapping[str, Any] | None = None  # how intervals were made: `parts`
    # Labels of contrasts whose map is the same for everybody; those of gain 0 need not be here.
    same_for_all: tuple[str, ...] = ()
    connectome: Form = MARGINAL  # what the model reads

    @property
    def outputs(self) -> int:
        """How many maps the model predicts."""
        return len(self.contrasts)

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
        content = dict(vars(self))
        # Cards without it are as they were before there was such a field.
        same = content.pop("same_for_all")
        content |= {"same_for_all": list(same)} if same else {}
        form = content.pop("connectome")
        # Programs of format version 2 know of one form only: they are to ask for a newer one.
        content |= {"format_version": 3, "connectome": asdict(form)} if form != MARGINAL else {}
        content["contrasts"] = [asdict(contrast) for contrast in self.contrasts]
        content["recentring"] = self.recentring and self.recentring.to_json()
        content["reference"] = content.pop("training_range")
        return content

    @classmethod
    def read(cls, fields: JsonFields, files: Mapping[str, str]) -> MapsPart:
        """Read the part's fields of a card.

        Parameters
        ----------
        fields
            Of the card.
        files
            Names of the bundle's files, and their hashes.

        Raises
        ------
        BundleError
            If a field is missing or wrong.
        """
        part = cls(
            contrasts=_contrasts(fields),
            roi_series=_roi_series(fields),
            segment_seconds=fields.positive("segment_seconds"),
            mask_input=fields.flag("mask_input"),
            statistic=fields.matching("statistic", _LABEL, "letters and digits"),
            units=fields.text("units"),
            recentring=None if fields.absent("recentring") else Recentring.read(fields),
            gains=_gains(fields),
            training_range=fields.mapping_or_none("reference"),
            calibration=fields.mapping_or_none("calibration"),
            same_for_all=_same_for_all(fields),
            connectome=_form(fields),
        )
        if (part.recentring is None) != (part.gains is None):
            raise fields.wrong("gains", part.gains, "gains and recentring, or neither")
        if part.recentring is not None and OFFSET_FILE not in files:
            raise BundleError(f"{fields.source} has recentring, but lists no {OFFSET_FILE}")
        return part


def _roi_series(fields: JsonFields) -> str:
    found = fields.text("roi_series")
    if found != DUAL_REGRESSION:
        raise fields.wrong("roi_series", found, DUAL_REGRESSION)
    return found


def _gains(fields: JsonFields) -> tuple[float, ...] | None:
    if fields.absent("gains"):
        return None
    count = len(fields.list_of_nested("contrasts"))
    return tuple(float(gain) for gain in fields.numbers("gains", (count,)))


def _form(card: JsonFields) -> Form:
    """Read the form of the connectomes; cards without it are of models of the marginal form."""
    if card.absent("connectome"):
        return MARGINAL
    fields = card.nested("connectome")
    name, ridge = fields.text("name"), fields.not_negative("ridge")
    if name not in FORMS:
        raise fields.wrong("name", name, " or ".join(FORMS))
    fields.refuse_unknown()
    return Form(name, ridge) if FORMS[name].joint else MARGINAL


def _same_for_all(fields: JsonFields) -> tuple[str, ...]:
    if fields.absent("same_for_all"):
        return ()
    found = fields.value("same_for_all")
    known = {item.value("label") for item in fields.list_of_nested("contrasts")}
    if not isinstance(found, list) or not known.issuperset(map(str, found)):
        raise fields.wrong("same_for_all", found, "labels of contrasts")
    return tuple(found)


def _contrasts(fields: JsonFields) -> tuple[Contrast, ...]:
    contrasts = []
    for position, item in enumerate(fields.list_of_nested("contrasts")):
        index = item.value("index")
        if type(index) is not int or index != position:
            raise item.wrong("index", index, f"{position}, its position")
        contrasts.append(
            Contrast(
                index=index,
                label=item.matching("label", _LABEL, "letters and digits"),
                task=item.text("task"),
                name=item.text("name"),
                description=item.text("description"),
                hcp_name=item.text_or_none("hcp_name"),
            )
        )
        item.refuse_unknown()
    try:
        return check_contrasts(contrasts)
    except ValueError as err:
        raise BundleError(f"{fields.source}: contrasts: {err}") from err
