"""Atlases that have a name here: what they are called, where their files are, and their terms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bids_dtg.files.download import PinnedFile

# What ships with the program: a BIDS data set of atlases.
FOLDER = Path(__file__).parent / "atlas_data"
# The template that all of the table are in.
SPACE = "MNI152NLin6Asym"
DEFAULT = "Schaefer400"

# Names, in lower case, of an atlas of fsLR's mesh that has no image.
ON_A_MESH = frozenset({"glasser", "glasser2016", "glasser360", "hcpmmp", "hcp-mmp", "mmp", "mmp1"})

_PARCELS = re.compile(r"(\d+)Parcels(\d+)Networks")
_SCHAEFER = "Schaefer et al. 2018, Cerebral Cortex 28: 3095, doi 10.1093/cercor/bhx179"
_HCP = "Glasser et al. 2013, NeuroImage 80: 105, doi 10.1016/j.neuroimage.2013.04.127"
_HARVARD_OXFORD = "Desikan et al. 2006, NeuroImage 31: 968, doi 10.1016/j.neuroimage.2006.01.021"


@dataclass(frozen=True)
class KnownAtlas:
    """An atlas that `--atlases` takes by its name."""

    name: str  # what is typed
    entities: Mapping[str, str]  # atlas, and seg and scale where it has several
    licence: str
    citation: str
    pinned: PinnedFile | None = None  # TemplateFlow's file at 2 mm; None: it ships with the program


def entities_of(given: Mapping[str, str]) -> dict[str, str]:
    """Return the entities that name an atlas, from those of its file; empty without `atlas-`.

    TemplateFlow writes in `desc-` what BIDS 1.11 has in `seg-` and `scale-`.

    Examples
    --------
    >>> entities_of({"atlas": "Schaefer2018", "desc": "400Parcels7Networks", "res": "02"})
    {'atlas': 'Schaefer2018', 'seg': '7n', 'scale': '400'}
    >>> entities_of({"atlas": "HOCPA", "desc": "th25"})
    {'atlas': 'HOCPA', 'seg': 'th25'}
    """
    if "atlas" not in given:
        return {}
    found = {key: given[key] for key in ("atlas", "seg", "scale") if key in given}
    if "desc" in given and "seg" not in given:
        parcels = _PARCELS.fullmatch(given["desc"])
        found |= (
            {"seg": f"{parcels[2]}n", "scale": parcels[1]} if parcels else {"seg": given["desc"]}
        )
    return {key: found[key] for key in ("atlas", "seg", "scale") if key in found}


def atlas_key(entities: Mapping[str, str]) -> str:
    """Return the key of an atlas: its label, and the other entities that name it.

    Examples
    --------
    >>> atlas_key({"atlas": "Schaefer2018", "seg": "7n", "scale": "400"})
    'Schaefer2018_seg-7n_scale-400'
    """
    (_, first), *others = entities.items()
    return "_".join([first, *(f"{entity}-{label}" for entity, label in others)])


def _templateflow(
    name: str, entities: Mapping[str, str], file: str, terms: tuple[str, str]
) -> KnownAtlas:
    """Return an atlas of TemplateFlow at 2 mm: `file` is its middle, MD5 and size of its image."""
    middle, md5, size = file.split()
    location = f"tpl-{SPACE}/tpl-{SPACE}_res-02_{middle}_dseg.nii.gz"
    return KnownAtlas(
        name, entities, *terms, pinned=PinnedFile(location, f"md5:{md5}", size=int(size))
    )


def _schaefer(parcels: int, networks: int, md5: str, size: int) -> KnownAtlas:
    return _templateflow(
        f"Schaefer{parcels}" + ("x17" if networks == 17 else ""),
        {"atlas": "Schaefer2018", "seg": f"{networks}n", "scale": str(parcels)},
        f"atlas-Schaefer2018_desc-{parcels}Parcels{networks}Networks {md5} {size}",
        ("MIT", _SCHAEFER),
    )


def _harvard_oxford(name: str, threshold: int, md5: str, size: int) -> KnownAtlas:
    return _templateflow(
        f"{name}{threshold}",
        {"atlas": name, "seg": f"th{threshold}"},
        f"atlas-{name}_desc-th{threshold} {md5} {size}",
        ("FSL's, not for commerce", _HARVARD_OXFORD),
    )


# Digests and sizes: keys of git-annex in templateflow/tpl-MNI152NLin6Asym, whose metadata name the
# file of each key.
KNOWN: Mapping[str, KnownAtlas] = {
    atlas.name.casefold(): atlas
    for atlas in (
        KnownAtlas(
            DEFAULT, {"atlas": "Schaefer2018", "seg": "7n", "scale": "400"}, "MIT", _SCHAEFER
        ),
        KnownAtlas("HCP", {"atlas": "HCP"}, "HCP Pipelines (a form of the BSD license)", _HCP),
        _schaefer(100, 7, "b12c02ffb822cd6a73430f536c2d756b", 73734),
        _schaefer(200, 7, "fe43456ac0c6d45c0536b97bed6e139d", 78928),
        _schaefer(300, 7, "b96d59257ae131016e40454f588e08b6", 83919),
        _schaefer(500, 7, "cf0ba1f174cf8068be2950ecb28c3c50", 90664),
        _schaefer(600, 7, "1e052e4050d201dfce1add73b9405fb4", 93232),
        _schaefer(800, 7, "f8aa9655d8814f44db9bd422fd461e1d", 97965),
        _schaefer(1000, 7, "99081ee04f188c8de80439a2ec7538e4", 102284),
        _schaefer(100, 17, "d6f9e6590cc50d69b80fad0272f66250", 73800),
        _schaefer(200, 17, "d42e4b0b0e0839428aabd5b3f81210ab", 78860),
        _schaefer(300, 17, "98edd8a756aa1d227fb451e3a5096808", 84039),
        _schaefer(400, 17, "279c12faf6ee0c6cb2656b9aea059ce2", 87513),
        _schaefer(500, 17, "4cf3926a77633efdcdb3c141742d6396", 90624),
        _schaefer(600, 17, "576a0c93baf6cb7f951786a235f34400", 93371),
        _schaefer(800, 17, "861b2f05258e3cc09d89e47f289799d9", 97639),
        _schaefer(1000, 17, "eda25efb739218169383a916d96dbf69", 102512),
        _harvard_oxford("HOCPA", 0, "8c438d46fc9a9f88b4e651494d1aa296", 60126),
        _harvard_oxford("HOCPA", 25, "11689967d462ade92d8dc41c4c24b062", 50120),
        _harvard_oxford("HOCPAL", 0, "6ce880eabfcd997c70db03b6612eaa2e", 62247),
        _harvard_oxford("HOCPAL", 25, "11bb39f7e79ad42c6f591f10b36ce985", 51547),
        _harvard_oxford("HOSPA", 0, "f0661cf573d97d8dd682803f69f236b8", 52082),
        _harvard_oxford("HOSPA", 25, "d8aba302207a7de434ea029f03b3ad2d", 47599),
        _harvard_oxford("HOSPA", 50, "c30eb6970760fc85970b764e92bd14c6", 47917),
    )
}
# Those that come with the program, by the same names.
SHIPPED: Mapping[str, KnownAtlas] = {
    name: atlas for name, atlas in KNOWN.items() if atlas.pinned is None
}
