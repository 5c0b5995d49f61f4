"""Which contrasts, and which kinds of results, are written of an average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bids_dtg.files.provenance import MADE
from bids_dtg.inputs.statmaps import chosen_contrasts
from bids_dtg.notices import counted
from bids_dtg.settings.option import find_row

if TYPE_CHECKING:
    from bids_dtg.contrasts.contrast import Contrast

MAPS, REGIONS, CONNECTOME = "maps", "regions", "connectome"
# What is written, by the values of ``--write``.
WRITES: Mapping[str, str] = MappingProxyType(
    {
        MAPS: "predicted maps",
        REGIONS: "a table of means over the parcels of each of --atlases",
        CONNECTOME: "the voxel-to-ROI connectome and the ROI series of each run",
    }
)
_USUAL = (MAPS, REGIONS)
NOT_YET = "not written yet"
# Labels of contrasts and kinds of results, by "contrast" and "write": as a completion record has
# what was made of an average.
Wanted = Mapping[str, Sequence[str]]


def choose(known: Sequence[Contrast], contrasts: Sequence[str], kinds: Sequence[str]) -> Wanted:
    """Return what the options ask for; where they name nothing, the usual.

    Parameters
    ----------
    known
        The model's contrasts.
    contrasts
        Labels or tasks, of ``--contrast``.
    kinds
        Of ``--write``.

    Raises
    ------
    SettingsError
        A name is unknown.
    """
    for kind in kinds:
        find_row(WRITES, "--write", kind)
    tasks = {contrast.label: contrast.task for contrast in known}
    labels = chosen_contrasts(contrasts, tasks, lack="the model does not predict")
    return {
        "contrast": [label for label in tasks if not labels or label in labels],
        "write": [kind for kind in WRITES if kind in (kinds or _USUAL)],
    }


def with_made(wanted: Wanted, record: Mapping[str, Any], known: Sequence[Contrast]) -> Wanted:
    """Return what is wanted and what a completion record says is there: later calls add.

    Connectomes are not predicted: they are written again only where they are wanted.
    """
    made = _made(record)
    labels, kinds = ({*wanted[key], *made[key]} for key in ("contrast", "write"))
    asked = kinds if CONNECTOME in wanted["write"] else kinds - {CONNECTOME}
    return {
        "contrast": [contrast.label for contrast in known if contrast.label in labels],
        "write": [kind for kind in WRITES if kind in asked],
    }


def lacking(wanted: Wanted, record: Mapping[str, Any]) -> str | None:
    """Say what of what is wanted a completion record lacks; None: nothing."""
    made = _made(record)
    labels = [label for label in wanted["contrast"] if label not in made["contrast"]]
    kinds = [kind for kind in wanted["write"] if kind not in made["write"]]
    found = [f"{counted(len(labels), 'contrast')} ({labels[0]}, ...)"] if labels[1:] else labels
    return f"{NOT_YET}: {', '.join([*found, *kinds])}" if found or kinds else None


def in_words(wanted: Wanted) -> str:
    """Say what is written, in a few words."""
    maps, kinds = counted(len(wanted["contrast"]), "map"), wanted["write"]
    found = [maps if MAPS in kinds else f"regions of {maps}"] if kinds != [CONNECTOME] else []
    return " and ".join([*found, *(["connectomes"] if CONNECTOME in kinds else [])])


def _made(record: Mapping[str, Any]) -> Wanted:
    """Return what a record says is there, as far as it can be read."""
    made = record.get(MADE)
    found = made if isinstance(made, dict) else {}
    lists = {key: found.get(key) for key in ("contrast", "write")}
    return {key: value if isinstance(value, list) else [] for key, value in lists.items()}
