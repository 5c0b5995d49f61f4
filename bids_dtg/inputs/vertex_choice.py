"""Choice of a run's version for a model of parcels: a series, or volumes and their surface."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bids_dtg.errors import RunError
from bids_dtg.files.foreign import matching
from bids_dtg.inputs.anatomy import (
    USUAL_TEMPLATE,
    Anatomy,
    grey_matter,
    surfaces_of_xcpd,
    surfaces_on_meshes,
)
from bids_dtg.inputs.run import (
    GIFTI_SERIES,
    IMAGES,
    NATIVE,
    PARCEL_SERIES,
    PARCELS,
    SPACE,
    T1W,
    NamedFile,
    SeveralFilesError,
    Side,
    Sides,
    SurfaceFiles,
    SurfaceSide,
    TransformFile,
    having,
    named_files,
)
from bids_dtg.inputs.space_choice import (
    Choice,
    SpaceRule,
    anatomy_of,
    candidates_of,
    choose_version,
    coregistration,
    preference,
    space_label,
    space_labels,
    template_of,
)

_HEMISPHERES: dict[Side, str] = {"L": "lh", "R": "rh"}
_FREESURFER = ("white", "pial", "sphere.reg")


# Long, as each form of series has a step, the best first.
def choose_for_parcels(versions: Sequence[NamedFile], rule: SpaceRule) -> Choice:
    """Choose the version of a run whose parcel series are most surely the person's own.

    The order is: series of parcels and grayordinates; volumes at the vertices of the person's own
    surfaces; series on a mesh of fsaverage; volumes at the vertices of a template's surface.

    Parameters
    ----------
    versions
        Series that differ only in space, resolution and form; on a mesh, the left hemisphere's.
    rule
        The model's parcels, the requested space and surface, and the folders of the dataset.

    Returns
    -------
    Choice
        The series, without transforms; for volumes, the surface and the transforms from it to them;
        and one clause that gives the reason.

    Raises
    ------
    RunError
        No version can be used; the message says what each of them lacks.
    """
    candidates, why = candidates_of(versions, rule)
    volumes = having(candidates, extension=IMAGES)
    meshes = having(candidates, extension=GIFTI_SERIES)
    series = [file for file in candidates if file.space == PARCELS]
    if rule.sample_on == "template":
        if not volumes:
            raise RunError(
                f"{versions[0].title} has no volumes ({space_labels(candidates)})",
                expected="volumes, for --sample-on template",
                remedy="leave --sample-on out",
            )
        return _at_template(volumes, rule, why, "requested with --sample-on")
    if rule.on_lattice and (volumes or meshes):
        series, lacks_of_series = _parcel_series(series, rule.on_lattice)
        why += lacks_of_series
    if series:
        rest = [file for file in candidates if file.space != PARCELS]
        any_space = replace(rule, requested=None)
        return choose_version([*series, *rest], any_space)
    anatomy = anatomy_of(min(candidates, key=preference), _offline(rule))
    surfaces = own_surfaces(anatomy, rule)
    lacks: list[RunError] = []
    for file in sorted(volumes if surfaces.sides else (), key=preference):
        try:
            sampled = _at_file(file, surfaces, anatomy, rule)
        except SeveralFilesError:
            raise
        except RunError as err:
            lacks.append(err)
            continue
        words = f"{space_label(file)} at the vertices of the person's own surfaces"
        if rule.sample_on is None:
            sampled = replace(sampled, instead=_template_for(file, rule))
        reason = "; ".join([f"{words} ({surfaces.reason})", *why])
        return file, (), sampled, reason
    if meshes:
        # fsaverage5 or 6 have smaller files.
        file = max(meshes, key=lambda file: len(file.space))
        return file, (), None, "; ".join([f"{file.space}, registered to fsLR", *why])
    lack = lacks[0].found if lacks else surfaces.reason
    if rule.sample_on == "own":
        raise no_own_surfaces(lack)
    return _at_template(volumes, rule, why, lack)


def _parcel_series(
    series: Sequence[NamedFile], on_lattice: Callable[[Path], bool]
) -> tuple[list[NamedFile], list[str]]:
    """Keep series of the model's parcels, on its mesh; say so where grayordinates give way."""
    fitting = [file for file in series if on_lattice(file.path)]
    dense = [file for file in series if file.path.name.endswith(PARCEL_SERIES[-1])]
    if fitting or not dense:
        return fitting, []
    lack = lack_of_parcels(dense[0].path)
    warnings.warn(f"{lack}: another version is read", stacklevel=7)
    return fitting, [lack]


def lack_of_parcels(path: Path) -> str:
    """Say why grayordinates are not read."""
    return f"{path.name} is damaged, on another mesh, or without the model's parcels"


def _at_file(
    file: NamedFile, surfaces: SurfaceFiles, anatomy: Anatomy, rule: SpaceRule
) -> SurfaceFiles:
    """Return a person's surfaces with the transforms of points from them to volumes."""
    space = template_of(file)
    transforms: tuple[TransformFile, ...] = ()
    if rule.is_of_xcpd:
        if space != SPACE:
            transform = anatomy.templateflow.transform(SPACE, space)
            transforms = (TransformFile(transform),)
        surfaces = surfaces_of_xcpd(anatomy, surfaces, space, rule.preprocessed)
    elif file.space == NATIVE:
        transforms = (coregistration(file),)
    elif file.space != T1W:
        transforms = anatomy.points_to(space)
    return replace(surfaces, transforms=transforms)


def no_own_surfaces(lack: str) -> RunError:
    """Return the error for a person without usable surfaces, where a template's is not wanted."""
    return RunError(
        lack,
        expected="surfaces, for --sample-on own",
        remedy="leave --sample-on out, for a template's surface",
    )


def template_surface(
    reason: str, transforms: Sequence[TransformFile] = (), space: str = SPACE
) -> SurfaceFiles:
    """Return the template's surface, with the transforms from a template's space to volumes."""
    if space != SPACE:
        by = (
            f"the template's points in {space} are by an estimated transform (error .7 mm in the "
            "median, 2.4 mm at most)"
        )
        reason = f"{reason}; {by}" if reason else by
    return SurfaceFiles(reason, transforms=tuple(transforms), template=space)


def own_surfaces(anatomy: Anatomy, rule: SpaceRule) -> SurfaceFiles:
    """Find a person's surfaces as fMRIPrep, XCP-D or FreeSurfer wrote them, the best first.

    Parameters
    ----------
    anatomy
        The folders of fMRIPrep or XCP-D.
    rule
        Which of the two they are, and FreeSurfer's folder of all people, if it was given.

    Returns
    -------
    SurfaceFiles
        Without sides, but with the reason, if there are none.
    """
    sides_of_meshes = surfaces_on_meshes(anatomy, of_xcpd=rule.is_of_xcpd)
    alone = ""  # what there is where a hemisphere is missing
    for words, sides in sides_of_meshes:
        if len(sides) == 1:
            alone = alone or f"{words} of hemisphere {next(iter(sides))} only"
        if len(sides) == 2:
            # The probability of grey matter lies in T1w space.
            image = None if rule.is_of_xcpd else grey_matter(anatomy)
            return SurfaceFiles(words, sides, grey_matter=image)
    lack = f"sub-{anatomy.participant} has no surfaces with a registration to fsLR or fsaverage"
    if alone:
        lack = f"sub-{anatomy.participant} has {alone}"
    if rule.is_of_xcpd:
        return SurfaceFiles(lack)
    to_t1w = _from_fsnative(anatomy)
    for subject in _subject_folders(anatomy, to_t1w, rule.freesurfer):
        sides = _freesurfer_sides(subject)
        if len(sides) < 2:
            continue
        if to_t1w is None:
            lack = f"{subject} has no transform from-fsnative_to-T1w in {anatomy.folders[0]}"
            continue
        words = f"FreeSurfer's white and pial surfaces of {subject.name}, moved to fsLR's mesh"
        return SurfaceFiles(
            words, sides, to_t1w=to_t1w, grey_matter=grey_matter(anatomy)
        )
    return SurfaceFiles(lack)


def _at_template(
    volumes: Sequence[NamedFile], rule: SpaceRule, why: list[str], lack: str
) -> Choice:
    """Choose volumes, and the transforms to them from a template's surface."""
    file, surface = _from_template(volumes, rule, lack)
    words = f"{space_label(file)} at the vertices of a template's surface"
    return file, (), surface, "; ".join([words, *why])


def _template_for(file: NamedFile, rule: SpaceRule) -> SurfaceFiles | None:
    """Return the template's surface for one version, if there are transforms to it.

    It is used where the person's surfaces turn out to be elsewhere, which is then the reason.
    """
    try:
        return _from_template([file], rule, "")[1]
    except RunError:
        return None


def _from_template(
    volumes: Sequence[NamedFile], rule: SpaceRule, reason: str
) -> tuple[NamedFile, SurfaceFiles]:
    """Choose volumes that can be reached from a template's points; nothing is fetched for them.

    The points are known in two templates: that of the models, and fMRIPrep's default.
    """
    near = replace(_offline(rule), model=SPACE, requested=None, on_lattice=None)
    try:
        file, transforms, *_ = choose_version(volumes, near)
    except SeveralFilesError:
        raise
    except RunError:
        near = replace(near, model=USUAL_TEMPLATE)
        file, transforms, *_ = choose_version(volumes, near)
    return file, template_surface(reason, transforms, near.model)


def _offline(rule: SpaceRule) -> SpaceRule:
    return replace(rule, templateflow=replace(rule.templateflow, download=False))


def _from_fsnative(anatomy: Anatomy) -> tuple[TransformFile, ...] | None:
    """Find the transform of points from FreeSurfer's space to T1w space; it is affine."""
    for origin, to in ((T1W, "fsnative"), ("fsnative", T1W)):
        try:
            transform = anatomy.transform(origin, to)
        except SeveralFilesError:
            raise
        except RunError:
            continue
        return (replace(transform, inverse=to == T1W),)
    return None


def _subject_folders(
    anatomy: Anatomy, to_t1w: Sequence[TransformFile] | None, folder: Path | None
) -> list[Path]:
    """List FreeSurfer's folders of a participant, in a folder or in fMRIPrep's usual ones.

    The transform's session decides, as the folder of a session has an image of its own.
    """
    root = anatomy.root
    names = [f"sub-{anatomy.participant}"]
    for transform in named_files(step.path for step in to_t1w or ()):
        if transform.session is not None:
            names.insert(0, f"sub-{anatomy.participant}_ses-{transform.session}")
    parents = [root / "sourcedata" / "freesurfer", root.parent / "freesurfer"]
    if folder is not None:
        parents = [folder]
    subjects = [parent / name for parent in parents for name in names]
    return [subject for subject in subjects if subject.is_dir()]


def _freesurfer_sides(subject: Path) -> Sides:
    sides = Sides()
    for side, name in _HEMISPHERES.items():
        files = [subject / "surf" / f"{name}.{kind}" for kind in _FREESURFER]
        if all(matching(file.parent, file.name) for file in files):
            white, pial, sphere = files
            sides[side] = SurfaceSide((white, pial), None, sphere)
    return sides
