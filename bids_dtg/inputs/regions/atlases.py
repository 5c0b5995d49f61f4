"""Atlases by name, by file and in BIDS data sets of atlases: images, names of parcels, spaces."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bids_dtg.errors import (
    ForeignFileError,
    MissingFileError,
    RunError,
    SettingsError,
    did_you_mean,
)
from bids_dtg.files.foreign import (
    Table,
    matching,
    open_foreign,
    parse_table,
    read_json_object,
    read_table,
)
from bids_dtg.files.names import BidsName, parse_name
from bids_dtg.files.paths import expand_home
from bids_dtg.files.sidecars import applies_to
from bids_dtg.inputs.regions.known_atlases import (
    FOLDER,
    KNOWN,
    ON_A_MESH,
    SPACE,
    KnownAtlas,
    atlas_key,
    entities_of,
)
from bids_dtg.inputs.run import TransformFile
from bids_dtg.inputs.templateflow import TemplateFlow, TransformMissingError, has_content

NONE = "none"  # as --atlases takes it
_FLAG = "--atlases"
_IMAGES = (".nii.gz", ".nii")
_TEMPLATE = re.compile(r"(?:^|[/:_])tpl-([0-9A-Za-z]+)")
# BIDS data sets of atlases, and those of XCP-D below sourcedata/atlases.
_LEVELS = ("", "*/", "*/*/", "*/*/*/")
# What `atlas-<label>_description.json` says that the tables' sidecars repeat.
_FACTS = ("Name", "License", "ReferencesAndLinks")
_TABLE_WORDS = "tab-separated columns index and name, one row a label"


@dataclass(frozen=True)
class AtlasFile:
    """A label image, the names of its labels, and where it lies."""

    image: Path
    entities: Mapping[str, str]  # atlas, and seg and scale where it has several; atlas first
    space: str  # TemplateFlow's name of the template, its cohort after a `+`
    names: Mapping[int, str] | None = None  # label -> name; None: it has no table
    table: str | None = None  # where the names are from
    # From the model's points to the image's; none where both are in one space.
    transforms: tuple[TransformFile, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)  # name, licence, what to cite


@dataclass(frozen=True)
class AtlasPlaces:
    """Where atlases are looked for, and the space that they are wanted in."""

    space: str  # TemplateFlow's name of the template
    templateflow: TemplateFlow
    datasets: tuple[Path, ...] = ()  # BIDS data sets of atlases


def find_atlas_files(asked: Iterable[str | Path], places: AtlasPlaces) -> tuple[AtlasFile, ...]:
    """Find atlases by their names or files.

    Parameters
    ----------
    asked
        Names of `KNOWN`, of TemplateFlow (``Schaefer2018_seg-17n_scale-400``) or of a data set of
        atlases, in any case, and paths of label images; ``none`` alone for no atlas.
    places
        Where they are looked for.

    Raises
    ------
    SettingsError
        There is no such atlas, it is in another space and no transform is at hand, nothing states
        its space, or two have the same name.

    Examples
    --------
    >>> here = AtlasPlaces("MNI152NLin6Asym", TemplateFlow(None))
    >>> found = find_atlas_files(["schaefer400", "HCP"], here)
    >>> [dict(file.entities) for file in found]
    [{'atlas': 'Schaefer2018', 'seg': '7n', 'scale': '400'}, {'atlas': 'HCP'}]
    """
    asked = tuple(asked)
    if [str(item).casefold() for item in asked] == [NONE]:
        return ()
    files = [_in_space(_find(item, places), places) for item in asked]
    keys = [atlas_key(file.entities) for file in files]
    for number, key in enumerate(keys):
        if key in keys[:number]:
            first = files[keys.index(key)].image
            raise SettingsError(
                f"{_FLAG} names two atlases {key}: {first} and {files[number].image}",
                expected="one of each name: its tables are called by it",
                remedy="rename one of the files, as atlas-LABEL_space-SPACE_dseg.nii.gz",
            )
    return tuple(files)


def _find(asked: str | Path, places: AtlasPlaces) -> AtlasFile:
    text = str(asked)
    if isinstance(asked, Path) or "/" in text or text.endswith(_IMAGES):
        return _from_file(expand_home(text, _FLAG))
    if found := _in_datasets(text, places.datasets, places.space):
        return found
    if known := KNOWN.get(text.casefold()):
        return _known(known, places.templateflow)
    if found := _in_templateflow(text, places):
        return found
    on_mesh = text.casefold() in ON_A_MESH
    raise SettingsError(
        f"{_FLAG}: there is no atlas '{text}'"
        + (", which is of the cortex' surface and no image" if on_mesh else ""),
        expected=f"{NONE}, {', '.join(atlas.name for atlas in KNOWN.values())}, a name in "
        f"TemplateFlow's folder tpl-{places.space} or in a data set given with "
        "--derivatives atlas=PATH, or the path of a label image",
        remedy="write the maps on its mesh with --surfaces fsLR, and average them there, as by "
        "wb_command -cifti-parcellate"
        if on_mesh
        else did_you_mean(text, [atlas.name for atlas in KNOWN.values()]),
    )


def _known(atlas: KnownAtlas, templateflow: TemplateFlow) -> AtlasFile:
    facts = {"License": atlas.licence, "ReferencesAndLinks": [atlas.citation]}
    if atlas.pinned is None:
        folder = FOLDER / f"tpl-{SPACE}"
        stem = "_".join(f"{key}-{label}" for key, label in atlas.entities.items())
        table = folder / f"tpl-{SPACE}_{stem}_dseg.tsv"
        return AtlasFile(
            image=folder / f"tpl-{SPACE}_{stem}_res-2_dseg.nii.gz",
            entities=atlas.entities,
            space=SPACE,
            names=_names(read_table(table)),
            table=table.name,
            facts=facts,
        )
    try:
        image = templateflow.atlas(atlas.pinned)
    except RunError as err:
        raise err.as_kind(SettingsError, f"{_FLAG} {atlas.name}: ") from err
    return _from_image(image, atlas.entities, SPACE, facts)


def _in_templateflow(text: str, places: AtlasPlaces) -> AtlasFile | None:
    """Find an atlas that is in TemplateFlow's folder only, by its key; at 2 mm where there is."""
    matching = [
        (path, entities)
        for path in places.templateflow.list_atlases(places.space)
        if (entities := _named_entities(path)) and atlas_key(entities).casefold() == text.casefold()
    ]
    if not matching:
        return None
    whole = [pair for pair in matching if has_content(pair[0])]
    if not whole:
        path = matching[-1][0]
        raise SettingsError(
            f"{_FLAG} {text}: {path} is empty, as TemplateFlow's client leaves files that it has "
            "not fetched; the program does not download it: it has no digest of it",
            remedy=f"python -c \"import templateflow.api as t; t.get('{places.space}', "
            f"atlas='{matching[-1][1]['atlas']}', suffix='dseg')\"",
        )
    image, entities = min(whole, key=lambda pair: ("_res-02_" not in pair[0].name, pair[0].name))
    return _from_image(image, entities, places.space, {})


def _in_datasets(text: str, datasets: Sequence[Path], space: str) -> AtlasFile | None:
    """Find an atlas in data sets of atlases: by its key or its label, in the space if it can."""
    found = []
    for root in datasets:
        for path in _images_below(root):
            entities = _named_entities(path)
            if entities and text.casefold() in {
                atlas_key(entities).casefold(),
                entities["atlas"].casefold(),
            }:
                found.append((path, entities, root))
    if not found:
        return None
    keys = sorted({atlas_key(entities) for _, entities, _ in found})
    if len(keys) > 1:
        raise SettingsError(
            f"{_FLAG} {text} may be {', '.join(keys)}", expected="the whole name of one of them"
        )

    def preference(item: tuple[Path, dict[str, str], Path]) -> tuple[bool, bool, str]:
        name = item[0].name
        return (
            not _same_space(_stated_space(item[0]) or "", space),
            "res-" in name and not (re.search(r"_res-0*2_", name)),
            name,
        )

    image, entities, root = min(found, key=preference)
    return _from_image(image, entities, _require_space(image), _description(entities, image, root))


def atlas_datasets(derivatives: Iterable[str]) -> tuple[Path, ...]:
    """Return the data sets of atlases among ``[PACKAGE=]PATH`` texts: those named ``atlas=PATH``.

    Raises
    ------
    SettingsError
        A path is no folder, or has no image of an atlas.

    Examples
    --------
    >>> atlas_datasets(["fmriprep=/data/fmriprep"])
    ()
    """
    roots = []
    for text in derivatives:
        if not names_atlases(text):
            continue
        place = text.partition("=")[2]
        root = expand_home(place, "--derivatives").absolute()
        if not place or not root.is_dir() or not _images_below(root):
            raise SettingsError(
                f"--derivatives {text} has no image of an atlas",
                expected="a BIDS data set of atlases: tpl-SPACE/tpl-SPACE_atlas-LABEL_dseg.nii.gz",
            )
        roots.append(root)
    return tuple(roots)


def names_atlases(text: str) -> bool:
    """Return whether a text of ``--derivatives`` names a data set of atlases.

    Examples
    --------
    >>> names_atlases("atlas=/data/atlases"), names_atlases("/data/atlas")
    (True, False)
    """
    return text.partition("=")[0].casefold() in {"atlas", "atlases"} and "=" in text


def _images_below(root: Path) -> list[Path]:
    return [path for level in _LEVELS for path in matching(root, f"{level}*atlas-*_dseg.nii*")]


def _from_file(path: Path) -> AtlasFile:
    entities = _named_entities(path)
    if not entities:
        entities = {"atlas": re.sub("[^0-9A-Za-z]", "", path.name.partition(".")[0]) or "atlas"}
    space = _require_space(path)
    return _from_image(path, entities, space, _description(entities, path, path.parent))


def _from_image(
    image: Path, entities: Mapping[str, str], space: str, facts: Mapping[str, Any]
) -> AtlasFile:
    table = _table(image)
    return AtlasFile(
        image=image,
        entities=entities,
        space=space,
        names=_names(table) if table else None,
        table=str(table.path) if table else None,
        facts=facts,
    )


def _in_space(file: AtlasFile, places: AtlasPlaces) -> AtlasFile:
    """Return an atlas with the transform that leads to it, where it is in another space."""
    if _same_space(file.space, places.space):
        return file
    try:
        transform = places.templateflow.transform(places.space, file.space)
    except RunError as err:
        fetched = isinstance(err, TransformMissingError)
        raise SettingsError(
            f"{_FLAG} {file.image} is in {file.space}, and {err.found}",
            expected=f"an atlas in {places.space}, the model's space, or a transform to it",
            remedy=err.remedy if fetched else None,
        ) from err
    return AtlasFile(**{**vars(file), "transforms": (TransformFile(transform),)})


def _same_space(one: str, other: str) -> bool:
    """Compare templates: BIDS spells MNI152NLin6ASym, all others MNI152NLin6Asym."""
    return one.casefold() == other.casefold()


def _require_space(path: Path) -> str:
    try:
        with open_foreign(path):
            pass
        if not has_content(path):
            raise ForeignFileError(f"{path} has no content", remedy="fetch it")
    except ForeignFileError as err:
        raise err.as_kind(SettingsError, f"{_FLAG}: ", expected="a label image") from err
    if (space := _stated_space(path)) is None:
        raise SettingsError(
            f"{_FLAG}: nothing says what space {path} is in",
            expected="space-SPACE or tpl-SPACE in its name, or SpatialReference in the JSON file "
            "beside it: different templates have the same grid",
            remedy=f"if it is in {SPACE}, call it atlas-LABEL_space-{SPACE}_dseg.nii.gz",
        )
    return space


def _stated_space(path: Path) -> str | None:
    """Return the space of an image by its name, its sidecar or TemplateFlow's folder."""
    given = _pairs(path)
    space = given.get("space") or given.get("tpl")
    if space is None and (reference := _spatial_reference(path)):
        template = _TEMPLATE.search(reference)
        space = template[1] if template else reference
    if space is None and (folder := re.fullmatch(r"tpl-([0-9A-Za-z]+)", path.parent.name)):
        space = folder[1]
    return f"{space}+{given['cohort']}" if space and "cohort" in given else space


def _spatial_reference(path: Path) -> str | None:
    try:
        found = read_json_object(_beside(path, ".json")).get("SpatialReference")
    except MissingFileError:
        return None
    except ForeignFileError as err:
        raise err.as_kind(SettingsError, f"{_FLAG}: ") from err
    if isinstance(found, dict):
        found = found.get("VolumeReference")
    return found if isinstance(found, str) and found.strip() else None


def _beside(path: Path, extension: str) -> Path:
    return path.with_name(path.name.partition(".nii")[0] + extension)


def _pairs(path: Path) -> dict[str, str]:
    """Return the entities in a name, whatever else it holds."""
    return dict(re.findall(r"(?:^|_)([a-z]+)-([0-9A-Za-z+]+)", path.name.partition(".")[0]))


def _named_entities(path: Path) -> dict[str, str]:
    return entities_of(_pairs(path))


def _description(entities: Mapping[str, str], image: Path, root: Path) -> dict[str, Any]:
    """Read `atlas-<label>_description.json` of a data set; what is not there says nothing."""
    name = f"atlas-{entities['atlas']}_description.json"
    for folder in dict.fromkeys((image.parent, image.parent.parent, root)):
        try:
            content = read_json_object(folder / name)
        except MissingFileError:
            continue
        except ForeignFileError as err:
            raise err.as_kind(SettingsError, f"{_FLAG}: ") from err
        return {key: content[key] for key in _FACTS if key in content}
    return {}


def _table(image: Path) -> Table | None:
    """Find the table of an image's labels: beside it, above it, or in TemplateFlow's client."""
    candidates = [_beside(image, ".tsv"), *_inherited(image)]
    try:
        for path in candidates:
            if path.is_file() and path.stat().st_size:
                return read_table(path)
        return _packed_table(image)
    except ForeignFileError as err:
        raise err.as_kind(SettingsError, f"{_FLAG}: the table ", expected=_TABLE_WORDS) from err


def _inherited(image: Path) -> list[Path]:
    """Return the tables that apply to an image by their entities, the most special first."""
    name = _parsed(image.name)
    if name is None:
        return []
    found = []
    folders = [image.parent, *image.parent.parents[:1]]
    for depth, folder in enumerate(folders):
        for path in sorted(folder.glob("*_dseg.tsv")):
            other = _parsed(path.name)
            if other and other.get("atlas") and applies_to(other, name):
                found.append((depth, -len(other.entities), path))
    return [path for _, _, path in sorted(found)]


def _parsed(name: str) -> BidsName | None:
    try:
        return parse_name(name)
    except ValueError:
        return None


def _packed_table(image: Path) -> Table | None:
    """Read the table of an image of TemplateFlow that its client carries in its skeleton."""
    spec = find_spec("templateflow")
    if spec is None or not spec.submodule_search_locations:
        return None
    skeleton = Path(next(iter(spec.submodule_search_locations))) / "conf/templateflow-skel.zip"
    inside = f"{image.parent.name}/{re.sub('_res-[0-9]+', '', _beside(image, '.tsv').name)}"
    try:
        with zipfile.ZipFile(skeleton) as packed:
            text = packed.read(inside).decode()
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None
    return parse_table(text, Path(inside)) if text else None


def _names(table: Table) -> dict[int, str]:
    """Return the name of each label; a label without a name is called by its number.

    Labels that share a name, as those of two sides, get their number behind it.
    """
    try:
        if table.short:
            raise ValueError(f"{table.short} of its lines are cut off")
        rows = [(int(row["index"]), row["name"].strip() or row["index"]) for row in table.dicts()]
        if len(dict(rows)) < len(rows):
            raise ValueError("it has two rows of one index")
    except (ValueError, KeyError) as err:
        raise SettingsError(
            f"{_FLAG}: the table {table.path} cannot be read: {err}", expected=_TABLE_WORDS
        ) from err
    named = [name for _, name in rows]
    return {index: f"{name} {index}" if named.count(name) > 1 else name for index, name in rows}
