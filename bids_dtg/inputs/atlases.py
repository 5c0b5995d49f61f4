"""Atlases by name, by file and in BIDS datasets of atlases: images, parcel names, spaces."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bids_dtg.errors import ForeignFileError, RunError, SettingsError, did_you_mean
from bids_dtg.files.download import PinnedFile
from bids_dtg.files.foreign import (
    Table,
    matching,
    open_foreign,
    plain_number,
    read_table,
)
from bids_dtg.files.paths import expand_home, named_paths
from bids_dtg.files.text import read_packaged
from bids_dtg.inputs.run import (
    IMAGES,
    SPACE,
    SURFACE,
    TransformFile,
    require_one,
    stated_space,
)
from bids_dtg.inputs.templateflow import TemplateFlow
from bids_dtg.notices import named

# The BIDS dataset of atlases that ships with the program.
FOLDER = Path(__file__).parent / "atlas_data"
DEFAULT = "Schaefer400"
NONE = "none"  # value of --atlases for no atlas
LABELS = ".dlabel.nii"  # extension of label files of grayordinates

_FLAG = "--atlases"
_ENTITIES = ("atlas", "seg", "scale")  # entities that identify an atlas
_PARCELS = re.compile(r"(\d+)Parcels(\d+)Networks")
# Depths of images in BIDS datasets of atlases, and in XCP-D's sourcedata/atlases.
_LEVELS = ("", "*/", "*/*/", "*/*/*/")


@dataclass(frozen=True)
class AtlasFile:
    """A label image, the names of its labels, and its space.

    In the space fsLR, it is a .dlabel.nii file, or parcels of vertices as CIFTI's XML.
    """

    image: Path
    # Atlas first, then seg and scale if it has several parcellations.
    entities: Mapping[str, str]
    space: str  # TemplateFlow's name of the template; a cohort follows after `+`
    names: Mapping[int, str] | None = None  # label -> name; None if it has no table
    table: str | None = None  # path of the table that names were read from
    # These map points of the model's space to the image's; empty if both are in one space.
    transforms: tuple[TransformFile, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)  # licence, what to cite
    # Of an atlas in `KNOWN`: TemplateFlow's file at 2 mm; None if it ships with the program.
    pinned: PinnedFile | None = None


def entities_of(entities: Mapping[str, str]) -> dict[str, str]:
    """Return the entities that identify an atlas, from those of its file; empty without `atlas-`.

    TemplateFlow uses `desc-` for what BIDS 1.11 writes in `seg-` and `scale-`.

    Examples
    --------
    >>> entities_of({"atlas": "Schaefer2018", "desc": "400Parcels7Networks", "res": "02"})
    {'atlas': 'Schaefer2018', 'seg': '7n', 'scale': '400'}
    >>> entities_of({"atlas": "HOCPA", "desc": "th25"})
    {'atlas': 'HOCPA', 'seg': 'th25'}
    """
    if "atlas" not in entities:
        return {}
    labels = dict(entities)
    if "desc" in entities and "seg" not in entities:
        desc = entities["desc"]
        labels["seg"] = desc
        parcels = _PARCELS.fullmatch(desc)
        if parcels:
            labels |= {"seg": f"{parcels[2]}n", "scale": parcels[1]}
    return {key: labels[key] for key in _ENTITIES if key in labels}


def atlas_key(entities: Mapping[str, str]) -> str:
    """Return the key of an atlas: its label, and the other entities that identify it.

    Examples
    --------
    >>> atlas_key({"atlas": "Schaefer2018", "seg": "7n", "scale": "400"})
    'Schaefer2018_seg-7n_scale-400'
    """
    pairs = [f"{key}-{label}" for key, label in entities.items()]
    return "_".join(pairs).removeprefix("atlas-")


def _pairs(name: str) -> dict[str, str]:
    """Return the entities in a name, which need not be a valid BIDS name."""
    return dict(re.findall(r"(?:^|_)([a-z]+)-([0-9A-Za-z+]+)", name.partition(".")[0]))


def _named_atlases() -> Iterable[tuple[str, AtlasFile]]:
    """Yield the rows of `atlases.toml`: the name that `--atlases` takes, and the atlas."""
    groups = tomllib.loads(read_packaged("bids_dtg.inputs", "atlases.toml"))
    for group in groups.values():
        facts = {"License": group["licence"], "ReferencesAndLinks": [group["citation"]]}
        for name, file in group["files"].items():
            middle, *digest_and_size = file.split()
            entities = entities_of(_pairs(middle))
            stem = f"tpl-{SPACE}_atlas-{atlas_key(entities)}"
            image = FOLDER / f"tpl-{SPACE}/{stem}_res-2_dseg.nii.gz"
            atlas = AtlasFile(image, entities, SPACE, facts=facts)
            if "parcels" in group:
                parcels = FOLDER.parents[1] / group["parcels"]
                atlas = replace(atlas, image=parcels, space=SURFACE)
            if digest_and_size:
                digest, size = digest_and_size
                location = f"tpl-{SPACE}/tpl-{SPACE}_res-02_{middle}_dseg.nii.gz"
                pinned = PinnedFile(location, f"md5:{digest}", int(size))
                atlas = replace(atlas, image=Path(location), pinned=pinned)
            yield name, atlas


KNOWN: Mapping[str, AtlasFile] = dict(_named_atlases())


def find_atlas_files(
    names_or_files: Sequence[str | Path],
    space: str,
    templateflow: TemplateFlow,
    datasets: Sequence[Path] = (),
) -> tuple[AtlasFile, ...]:
    """Find atlases by their names or files.

    Parameters
    ----------
    names_or_files
        Names from `KNOWN` or from a dataset of atlases, in upper or lower case, and paths of
        label images; ``none`` alone for no atlas.
    space
        Space in which they are needed: TemplateFlow's name of the template.
    templateflow, datasets
        TemplateFlow's folder and BIDS datasets of atlases, which are searched.

    Raises
    ------
    SettingsError
        There is no such atlas, there is no transform from its space, its space is not stated, or
        two atlases have the same name.

    Examples
    --------
    >>> files = find_atlas_files(["schaefer400", "HCP"], "MNI152NLin6Asym", TemplateFlow(None))
    >>> [dict(file.entities) for file in files]
    [{'atlas': 'Schaefer2018', 'seg': '7n', 'scale': '400'}, {'atlas': 'HCP'}]
    """
    if [str(item).casefold() for item in names_or_files] == [NONE]:
        return ()
    files: dict[str, AtlasFile] = {}
    for item in names_or_files:
        try:
            file = _find(item, space, templateflow, datasets)
            file = _in_space(file, space, templateflow)
        except (ForeignFileError, RunError) as err:
            raise err.as_kind(SettingsError, f"{_FLAG} {item}: ") from err
        key = atlas_key(file.entities)
        first = files.setdefault(key, file)
        if first is not file:
            raise SettingsError(
                f"{_FLAG} names two atlases {key}: {first.image} and {file.image}",
                expected="different names, as their tables are named after them",
                remedy="rename one of the files to atlas-LABEL_space-SPACE_dseg.nii.gz",
            )
    return tuple(files.values())


def _find(
    name_or_file: str | Path,
    space: str,
    templateflow: TemplateFlow,
    datasets: Sequence[Path],
) -> AtlasFile:
    text = str(name_or_file)
    if isinstance(name_or_file, Path) or "/" in text or text.endswith(IMAGES):
        path = expand_home(text, _FLAG)
        plain = re.sub("[^0-9A-Za-z]", "", path.name.partition(".")[0]) or "atlas"
        entities = entities_of(_pairs(path.name)) or {"atlas": plain}
        if path.name.endswith(LABELS):
            open_foreign(path).close()
            return AtlasFile(path, entities, SURFACE)
        return _from_image(path, entities)
    file = _in_datasets(text, space, datasets)
    if file is not None:
        return file
    for name, atlas in KNOWN.items():
        if name.casefold() != text.casefold():
            continue
        if atlas.space == SURFACE:
            return atlas
        image = templateflow.atlas(atlas.pinned) if atlas.pinned else atlas.image
        return replace(_from_image(image, atlas.entities), facts=atlas.facts)
    raise SettingsError(
        f"{_FLAG}: there is no atlas '{text}'",
        expected=f"{NONE}, {named(list(KNOWN))} (docs/how-to/regions.md lists all), a name in "
        "--derivatives atlas=PATH, or the path of a label image or .dlabel.nii file",
        remedy=did_you_mean(text, KNOWN),
    )


def _in_datasets(text: str, space: str, datasets: Sequence[Path]) -> AtlasFile | None:
    """Find an atlas in datasets of atlases by its key or label, preferably in the space."""
    matching_images = {}  # entities of each
    for root in datasets:
        for path in _images_below(root):
            entities = entities_of(_pairs(path.name))
            key = atlas_key(entities).casefold()
            label = entities.get("atlas", "").casefold()
            if text.casefold() in {key, label} - {""}:
                matching_images[path] = entities
    if not matching_images:
        return None
    keys = sorted({atlas_key(entities) for entities in matching_images.values()})
    if len(keys) > 1:
        raise SettingsError(
            f"{_FLAG} {text} may be {', '.join(keys)}",
            expected="the full name of one of them",
        )

    def preference(path: Path) -> tuple[bool, bool, str]:
        resolution = _pairs(path.name).get("res", "2").lstrip("0")
        stated = _stated_space(path) or ""
        return (
            not _same_space(stated, space),
            resolution != "2",
            f"{stated} {resolution}",
        )

    image = min(matching_images, key=preference)
    equal = [path for path in matching_images if preference(path) == preference(image)]
    require_one(equal, f"the atlas {text}")
    return _from_image(image, matching_images[image])


def atlas_datasets(derivatives: Iterable[str]) -> tuple[Path, ...]:
    """Return the datasets of atlases among ``[PACKAGE=]PATH`` texts: those of ``atlas=PATH``.

    Raises
    ------
    SettingsError
        A path is not a folder, or contains no image of an atlas.

    Examples
    --------
    >>> atlas_datasets(["fmriprep=/data/fmriprep"])
    ()
    """
    roots = []
    for text in derivatives:
        for path in named_paths([text], "atlas", "atlases"):
            root = expand_home(path, "--derivatives").absolute()
            if not path or not _images_below(root):
                raise SettingsError(
                    f"--derivatives {text} has no image of an atlas",
                    expected="a BIDS dataset of atlases: "
                    "tpl-SPACE/tpl-SPACE_atlas-LABEL_dseg.nii.gz",
                )
            roots.append(root)
    return tuple(roots)


def _images_below(root: Path) -> list[Path]:
    images: list[Path] = []
    for level in _LEVELS:
        images += matching(root, f"{level}*atlas-*_dseg.nii*")
    return images


def _from_image(image: Path, entities: Mapping[str, str]) -> AtlasFile:
    open_foreign(image).close()
    space = _stated_space(image)
    if space is None:
        raise SettingsError(
            f"{_FLAG}: the space of {image} is not stated",
            expected="space-SPACE or tpl-SPACE in its name, or SpatialReference in its JSON "
            "sidecar, as different templates can have the same grid",
            remedy=f"if it is in {SPACE}, call it atlas-LABEL_space-{SPACE}_dseg.nii.gz",
        )
    table = _table(image)
    if table is None:
        return AtlasFile(image, entities, space)
    return AtlasFile(image, entities, space, _names(table), str(table.path))


def _in_space(file: AtlasFile, space: str, templateflow: TemplateFlow) -> AtlasFile:
    """Return an atlas, with the transform to it if it is in another space."""
    if file.space == SURFACE or _same_space(file.space, space):
        return file
    try:
        transform = templateflow.transform(space, file.space)
    except RunError as err:
        raise SettingsError(
            f"{_FLAG} {file.image} is in {file.space}, but {err.found}",
            expected=f"an atlas in {space}, the model's space, or a transform to it",
            remedy=err.remedy,
        ) from err
    return replace(file, transforms=(TransformFile(transform),))


def _same_space(first: str, second: str) -> bool:
    """Compare templates without case, as BIDS writes MNI152NLin6ASym and programs ...6Asym."""
    return first.casefold() == second.casefold()


def _stated_space(image: Path) -> str | None:
    """Return the space of an image from its name, its sidecar or TemplateFlow's folder name."""
    entities = _pairs(image.name)
    space = (
        entities.get("space")
        or entities.get("tpl")
        or stated_space([_beside(image, ".json")])
        or _pairs(image.parent.name).get("tpl")
    )
    if space and "cohort" in entities:
        return f"{space}+{entities['cohort']}"
    return space


def _beside(image: Path, extension: str) -> Path:
    return image.with_name(image.name.partition(".nii")[0] + extension)


def _table(image: Path) -> Table | None:
    """Find the table of an image's labels: next to it, or one whose entities apply to it."""
    image_pairs = _pairs(image.name).items()
    candidates = [_beside(image, ".tsv")]
    for folder in image.parents[:2]:
        applying = []
        for path in sorted(folder.glob("*atlas-*_dseg.tsv")):
            if _pairs(path.name).items() <= image_pairs:
                applying.append(path)
        # Those with the most entities first.
        candidates += sorted(applying, key=lambda path: -len(_pairs(path.name)))
    for path in candidates:
        if path.is_file() and path.stat().st_size:
            return read_table(path)
    return None


def _whole(cell: str) -> int:
    """Return a whole number, which pandas writes as 1.0 where a cell of the column is empty."""
    number = plain_number(cell.strip())
    if number is None or not number.is_integer():
        raise ValueError(f"the index {cell!r} is no whole number")
    return int(number)


def _names(table: Table) -> dict[int, str]:
    """Return the name of each label; a label without a name gets its number as the name.

    Names that several labels share, such as those of both hemispheres, get the number appended.
    XCP-D before version 26 and AtlasPack have them in the column `label`.
    """
    has_label = "name" not in table.header and "label" in table.header
    column = "label" if has_label else "name"
    try:
        missing = [name for name in ("index", column) if name not in table.header]
        if missing:
            raise ValueError(
                f"it has no column {missing[0]}, only {named(table.header)}"
            )
        if table.short and not table.dicts()[-1][column]:
            raise ValueError("it is cut off")
        rows = [(_whole(row["index"]), row[column].strip()) for row in table.dicts()]
        rows = [(index, name or str(index)) for index, name in rows]
        if len(dict(rows)) < len(rows):
            raise ValueError("two rows have the same index")
    except ValueError as err:
        raise SettingsError(
            f"{_FLAG}: the table {table.path} cannot be read: {err}",
            expected="tab-separated columns index, and name or label, one row per label",
        ) from err
    names = [name for _, name in rows]
    return {
        index: f"{name} {index}" if names.count(name) > 1 else name
        for index, name in rows
    }
