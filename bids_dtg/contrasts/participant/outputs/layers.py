"""Kinds of values in an average of maps, from which every form of output is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.maps import Estimate
from bids_dtg.contrasts.panels.map_reliability import HALVES
from bids_dtg.imaging.nifti import Intent
from bids_dtg.notices import counted
from bids_dtg.report.contents import DEVIATION, NOT_MEASURED, SPREAD, SYNTHETIC
from bids_dtg.stats.deviation import UNITS, Deviation

# For a spread between people: rounding adds 0.3 % to their variance.
_DEVIATION_STEP = 0.2
_HALF_WORDS = "Predicted from the {pieces} pieces of the runs, for the maps' reliability: "


@dataclass(frozen=True, eq=False)
class Layer:
    """One kind of value: a row a contrast of the model, a column a place of it."""

    desc: str  # value of desc- of its files
    contrasts: tuple[Contrast, ...]  # those that are written; an index is a row of the values
    values: NDArray[np.float32]  # (contrasts, places); NaN: no value
    words: str  # beginning of its descriptions, followed by that of the contrast
    intent: Intent = "none"  # of images
    units: str | None = None  # of the values; None: the maps'
    everybody: bool = False  # whether it is the same for all participants
    # Images are stored in steps of this size, which makes them small: times the root mean square of
    # the map if that is above 1. None: floats.
    step: float | None = None
    covers: str = ""  # what the intervals of half-widths hold; empty: it has other values

    def __post_init__(self) -> None:
        if self.values.ndim != 2:
            raise ValueError(f"a layer is (contrasts, places), not {self.values.shape}")


def average_layers(
    estimate: Estimate, bundle: ModelBundle, contrasts: tuple[Contrast, ...]
) -> tuple[Layer, ...]:
    """Return the kinds of values that differ between participants.

    Parameters
    ----------
    estimate
        The maps, and their spread and halves where there are some.
    bundle
        The model that predicted them.
    contrasts
        Those that are written.
    """
    intent: Intent = "z score" if bundle.card.part.statistic == "z" else "none"
    layers = [Layer(SYNTHETIC, contrasts, estimate.values, NOT_MEASURED, intent)]
    if (deviation := deviation_layer(estimate, bundle, contrasts)) is not None:
        layers.append(deviation)
    if estimate.spread is not None:
        words = "Standard deviation over segments of rest of the predicted map: "
        layers.append(Layer(SPREAD, contrasts, estimate.spread, words))
    if estimate.halves is not None:
        for desc, pieces, values in zip(HALVES, ("odd", "even"), estimate.halves, strict=True):
            layers.append(Layer(desc, contrasts, values, _HALF_WORDS.format(pieces=pieces), intent))
    return tuple(layers)


def deviation_layer(
    estimate: Estimate, bundle: ModelBundle, contrasts: tuple[Contrast, ...]
) -> Layer | None:
    """Return a person's deviations from the mean of others; None: the model has no mean."""
    found = bundle.deviation
    if found is None:
        return None
    values = found.deviations(estimate.values)
    none = [contrast.label in bundle.without_deviation for contrast in bundle.contrasts]
    values[none] = np.nan
    words = (
        "Deviation of the predicted map from the mean of those of "
        f"{whose(bundle)}, in units of the spread between these: "
    )
    return Layer(DEVIATION, contrasts, values, words, units=UNITS, step=_DEVIATION_STEP)


def whose(bundle: ModelBundle) -> str:
    """Name the people whose mean and spread a model's deviations are computed from.

    Raises
    ------
    ValueError
        It has none.
    """
    found = bundle.deviation
    if found is None:
        raise ValueError(f"{bundle.card.name} has no deviations")
    people = counted(found.people, "participant")
    return f"{people} of the model's {found.of}"


def deviation_facts(bundle: ModelBundle) -> dict[str, Any]:
    """Return the sidecar fields of an average on its deviations."""
    found = bundle.deviation
    if found is None:
        return {"Deviations": False}
    none = bundle.without_deviation
    return {
        "Deviations": True,
        "DeviationsFrom": found.of,
        "DeviationsFromParticipants": found.people,
        "DeviationsFromNSegments": found.segments,
        **_usual_share(found, simulated=bundle.card.training.simulated),
        **({"WithoutDeviation": list(none)} if none else {}),
    }


def _usual_share(found: Deviation, *, simulated: bool) -> dict[str, Any]:
    if found.usual is None:
        return {}
    return {
        "DeviationsUsualShare": found.usual.share,
        "DeviationsUsualShareParticipants": found.usual.people,
        **({"DeviationsUsualShareSimulated": True} if simulated else {}),
    }


def deviation_note(bundle: ModelBundle) -> str | None:
    """Return a line on missing deviations, if the model has no mean and spread."""
    if bundle.deviation is None:
        return (
            f"{bundle.card.name} has no mean of other people's maps: no deviations are "
            "written. Once all participants have maps, make them with group --analysis deviation"
        )
    if len(bundle.without_deviation) == len(bundle.contrasts):
        return f"{bundle.card.name} predicts the same maps for everybody: there are no deviations"
    return None
