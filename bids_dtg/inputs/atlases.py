"""Atlases by name and by file: where their images and tables lie, and what space they are in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bids_dtg.errors import SettingsError

_SHIPPED = Path(__file__).parent / "atlas_data"
_SPACE = re.compile(r"(?:^|_)(?:tpl|space)-([0-9A-Za-z]+)")
_LABELLED = re.compile(r"(?:^|_)(atlas|seg|scale|desc)-([0-9A-Za-z]+)")


@dataclass(frozen=True)
class KnownAtlas:
    """An atlas that `--atlases` takes by its name."""

    name: str  # what is typed
    space: str  # TemplateFlow name of the template
    entities: Mapping[str, str]  # atlas, and seg and scale where it has several
    licence: str
    citation: str


SHIPPED: Mapping[str, KnownAtlas] = {
    atlas.name.casefold(): atlas
    for atlas in (
        KnownAtlas(
            "Schaefer400",
            "MNI152NLin6Asym",
            {"atlas": "Schaefer2018", "seg": "7n", "scale": "400"},
            "MIT",
            "Schaefer et al. 2018, Cerebral Cortex 28: 3095, doi 10.1093/cercor/bhx179",
        ),
        KnownAtlas(
            "HCP",
            "MNI152NLin6Asym",
            {"atlas": "HCP"},
            "HCP Pipelines (a form of the BSD license)",
            "Glasser et al. 2013, NeuroImage 80: 105, doi 10.1016/j.neuroimage.2013.04.127",
        ),
    )
}


@dataclass(frozen=True)
class AtlasFile:
    """A label image, and what its name and what lies beside it say."""

    image: Path
    table: Path | None  # columns index and name; None: it has none, parcels are numbers
    entities: Mapping[str, str]  # atlas, and seg and scale where it has several
    space: str | None  # TemplateFlow name of the template; None: nothing states it
    facts: Mapping[str, str] = field(default_factory=dict)  # License, ReferencesAndLinks


def atlas_file(name_or_file: str | Path, space: str) -> AtlasFile:
    """Find an atlas by its name or file.

    Parameters
    ----------
    name_or_file
        A name of `SHIPPED`, in any case, or the path of a label image; a table of the same name
        (``.tsv`` for ``.nii.gz``) names its parcels.
    space
        The space that is wanted.

    Raises
    ------
    SettingsError
        The image is in another space by its name.

    Examples
    --------
    >>> atlas_file("schaefer400", "MNI152NLin6Asym").image.name
    'tpl-MNI152NLin6Asym_atlas-Schaefer2018_seg-7n_scale-400_res-2_dseg.nii.gz'
    """
    if isinstance(name_or_file, str) and (known := SHIPPED.get(name_or_file.casefold())):
        found = _shipped(known)
    else:
        found = _beside(Path(name_or_file))
    if found.space is not None and found.space != space:
        raise SettingsError(
            f"--atlas {name_or_file} is in {found.space} by its name",
            expected=f"an atlas in {space}",
        )
    return found


def _shipped(atlas: KnownAtlas) -> AtlasFile:
    folder = _SHIPPED / f"tpl-{atlas.space}"
    stem = "_".join(
        f"{key}-{label}" for key, label in {"tpl": atlas.space, **atlas.entities}.items()
    )
    return AtlasFile(
        image=folder / f"{stem}_res-2_dseg.nii.gz",
        table=folder / f"{stem}_dseg.tsv",
        entities=atlas.entities,
        space=atlas.space,
        facts={"License": atlas.licence, "ReferencesAndLinks": atlas.citation},
    )


def _beside(path: Path) -> AtlasFile:
    table = path.with_name(path.name.partition(".nii")[0] + ".tsv")
    stated = _SPACE.search(path.name)
    return AtlasFile(
        image=path,
        table=table if table.exists() else None,
        entities=_entities(path.name),
        space=stated[1] if stated else None,
    )


def _entities(name: str) -> dict[str, str]:
    """Return what names an atlas: by the entities of its file, else by the file's name."""
    given = dict(_LABELLED.findall(name))
    label = given.pop("atlas", None) or re.sub("[^0-9A-Za-z]", "", name.partition(".")[0])
    if "seg" not in given and "desc" in given:
        given["seg"] = given["desc"]
    kept = {key: given[key] for key in ("seg", "scale") if key in given}
    return {"atlas": label or "atlas", **kept}
