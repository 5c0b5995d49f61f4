"""A participant's anatomy as files: the T1w image, transforms to templates, and surfaces.

Files are searched for only when needed, so that runs without anatomy take no time for it. Code
that reads several files first checks that all of them have content, so that one error names every
file to fetch.

Surfaces are found as these programs write them: the HCP pipelines in
``MNINonLinear/fsaverage_LR32k``; fMRIPrep 25 and later on the fsLR mesh, 23.1 to 24 on FreeSurfer's
mesh with spheres registered to fsLR; XCP-D under fMRIPrep's names, in T1w space or moved to the
template, which their meshes tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from bids_dtg.errors import RunError
from bids_dtg.files.foreign import matching, require_contents, require_listable
from bids_dtg.files.names import BidsName
from bids_dtg.files.text import read_json
from bids_dtg.inputs.dataset import (
    InputDataset,
    linked_datasets,
    made_by,
    xcpd_of,
)
from bids_dtg.inputs.run import (
    BIDS_SPACE,
    IMAGES,
    SPACE,
    T1W,
    NamedFile,
    SeveralFilesError,
    Side,
    Sides,
    SurfaceFiles,
    SurfaceSide,
    TransformFile,
    Wanted,
    best,
    having,
    named_files,
    require_one,
)
from bids_dtg.inputs.studies import Study, person_folders
from bids_dtg.inputs.templateflow import TemplateFlow, TransformMissingError

USUAL_TEMPLATE = "MNI152NLin2009cAsym"  # fMRIPrep's default output space
SURFACE_TEMPLATES = (SPACE, USUAL_TEMPLATE)  # in which a template's cortex is known
_TRANSFORMS = (".h5", ".txt", ".tfm")
_MESH = ".surf.gii"
# Criteria of a transform that resamples images.
_XFM: Mapping[str, Wanted] = {
    "suffix": "xfm",
    "extension": _TRANSFORMS,
    "mode": ("image", None),
}
# Entities by which T1w images of one session differ.
_OF_IMAGE = frozenset({"acq", "ce", "rec", "run"})

_SIDES: tuple[Side, Side] = ("L", "R")
# Not the folder T1w, whose files have the same names but coordinates in another space.
_HCP_FOLDER = Path("MNINonLinear", "fsaverage_LR32k")
# Mesh registered by areal features (MSMAll) first, then by folding alone.
_HCP_KINDS = ("midthickness_MSMAll", "midthickness")
# Values of desc- for surfaces that fMRIPrep made or was given, and for those of XCP-D.
_FMRIPREP_DESCS = (None, "preproc")
_XCPD_DESCS = ("hcp", None)
# Spheres registered to fsLR by folding (MSMSulc), or via fsaverage.
_SPHERE_DESCS = ("msmsulc", "reg")


@dataclass(frozen=True)
class Anatomy:
    """The anatomy of a participant, or of one of their sessions, as fMRIPrep names its files.

    T1w space means scanner RAS+ coordinates (mm) of the preprocessed T1w image. fMRIPrep keeps
    one reference per participant (`sub-01/anat`, or the `anat` of the only session with a T1w
    image) or one per session (`sub-01/ses-1/anat`). The session's reference takes precedence.
    """

    root: Path  # the derivatives dataset
    participant: str  # label without sub-
    # Label without ses-; None for the anatomy of all sessions.
    session: str | None = None
    templateflow: TemplateFlow = field(default_factory=TemplateFlow.here)
    # Sidecars of runs. The T1w image that they name decides between files of several images.
    sidecars: tuple[Path, ...] = ()

    @cached_property
    def folders(self) -> tuple[Path, ...]:
        """Folders that may hold its files, in order of precedence; they need not exist."""
        participant = self.root / f"sub-{self.participant}"
        folders = [participant / "anat"]
        if self.session is not None:
            folders.insert(0, participant / f"ses-{self.session}" / "anat")
        if not any(self._holds_files(folder) for folder in folders):
            # A single session with anatomical files has the T1w image of all sessions. With several
            # such sessions it is unclear which one applies, so none is used.
            session_folders = [
                path
                for path in participant.glob("ses-*/anat")
                if self._holds_files(path)
            ]
            if len(session_folders) == 1:
                folders += session_folders
        return tuple(folders)

    def _holds_files(self, folder: Path) -> bool:
        """Return whether a folder holds images, transforms or surfaces of the participant.

        Raises
        ------
        ForeignFileError
            The folder may not be listed.
        """
        require_listable(folder)
        names = folder.glob(f"sub-{self.participant}_*")
        return any(path.name.endswith((*IMAGES, *_TRANSFORMS, _MESH)) for path in names)

    @cached_property
    def t1w(self) -> Path:
        """The preprocessed T1w image in T1w space, which fMRIPrep names without space-.

        Raises
        ------
        RunError
            The image is missing, or there are several.
        """
        image = self.first(
            "_T1w.nii*",
            "the T1w image",
            suffix=T1W,
            extension=IMAGES,
            desc="preproc",
            space=(None, T1W),
        )
        if image:
            return image
        raise self._lacks(
            "desc-preproc_T1w.nii.gz",
            expected="the T1w image of fMRIPrep in its own space",
            remedy="give fMRIPrep's derivatives with their anat folders as the input",
        )

    def points_to(self, template: str) -> tuple[TransformFile, ...]:
        """Find the transforms that map points from T1w space to a template.

        A file `from-TEMPLATE_to-T1w` resamples images of the template onto the T1w image, so it
        maps points from T1w space to the template. If there is none, the transform of another
        template is followed by TemplateFlow's transform between the two templates.

        Parameters
        ----------
        template
            TemplateFlow name, e.g. MNI152NLin6Asym.

        Returns
        -------
        tuple of TransformFile
            In order of application to a point.

        Raises
        ------
        TransformMissingError
            TemplateFlow's transform is needed, but is not on this machine.
        RunError
            There is no suitable transform, or there are several.

        Examples
        --------
        >>> from tempfile import mkdtemp
        >>> anat = Path(mkdtemp()) / "sub-01" / "anat"
        >>> anat.mkdir(parents=True)
        >>> name = "sub-01_from-MNI152NLin6Asym_to-T1w_mode-image_xfm.h5"
        >>> written = (anat / name).write_bytes(b"HDF")
        >>> anatomy = Anatomy(anat.parents[1], "01")
        >>> [file.path.name for file in anatomy.points_to("MNI152NLin6Asym")]
        ['sub-01_from-MNI152NLin6Asym_to-T1w_mode-image_xfm.h5']
        """
        direct = self._direct(template, T1W)
        if direct:
            return (direct,)
        transforms, _ = self.through(template, T1W)
        return transforms

    def transform(self, origin: str, to: str) -> TransformFile:
        """Find the file that resamples images from one space to another; one of them is T1w.

        Raises
        ------
        RunError
            There is no such file, or there are several.
        """
        direct = self._direct(origin, to)
        if direct:
            return direct
        raise self._no_transform(origin, to)

    def through(self, origin: str, to: str) -> tuple[tuple[TransformFile, ...], str]:
        """Find the transforms between T1w and a template via a second template.

        The participant's transform connects T1w and the second template; TemplateFlow's transform
        connects the two templates.

        Parameters
        ----------
        origin, to
            Spaces that images would be resampled from and to; one of them is T1w.

        Returns
        -------
        transforms
            In order of application to a point of `to`.
        template
            The second template.

        Raises
        ------
        TransformMissingError
            TemplateFlow's transform is needed, but is not on this machine.
        RunError
            There are no such transforms.
        """
        t1w_end, template_end = ("from", "to") if origin == T1W else ("to", "from")
        templates: set[str] = set()
        for folder in self.folders:
            for file in transform_files(folder, self.participant, **{t1w_end: T1W}):
                template = file.name.get(template_end)
                if template is not None:
                    templates.add(template)
        missing = None
        in_order = sorted(templates, key=lambda label: (label != USUAL_TEMPLATE, label))
        for template in in_order:
            ends = (to, template) if origin == T1W else (template, origin)
            try:
                between = self.templateflow.step(*ends)
            except TransformMissingError as err:
                missing = missing or err
            except RunError:
                continue  # TemplateFlow has no such transform, for example for fsnative
            else:
                if origin == T1W:
                    return (between, self.transform(T1W, template)), template
                return (self.transform(template, T1W), between), template
        raise missing or self._no_transform(origin, to)

    def _direct(self, origin: str, to: str) -> TransformFile | None:
        wanted = {**_XFM, "from": _spellings(origin), "to": _spellings(to)}
        path = self.first("_xfm.*", f"the transform from {origin} to {to}", **wanted)
        return TransformFile(path) if path else None

    def first(self, pattern: str, what: str, **wanted: Wanted) -> Path | None:
        """Return `best_in` of the first of its folders that has such a file."""
        for folder in self.folders:
            if path := self.best_in(folder, pattern, what, **wanted):
                return path
        return None

    def best_in(
        self, folder: Path, pattern: str, what: str, **wanted: Wanted
    ) -> Path | None:
        """Return the file in one of its folders that fits best; None if there is none.

        Raises
        ------
        RunError
            Several fit, or a file is of another session than its folder.
        """
        files = self.files_in(folder, pattern, **wanted)
        file = best(files, f"{what} of sub-{self.participant}", **wanted)
        return file.path if file else None

    def files_in(self, folder: Path, pattern: str, **wanted: Wanted) -> list[NamedFile]:
        """List files of this anatomy in one of its folders, by the criteria of `having`.

        Where there are files of several T1w images, those of the image that a sidecar of the runs
        names are kept. Entities such as `acq-` do not decide, as those of a BOLD run say nothing
        about the T1w image.

        Raises
        ------
        RunError
            A file is of another session than its folder.
        """
        files = having(_files_of(self.participant, folder, pattern), **wanted)
        folder_session = folder.parent.name.partition("ses-")[2]
        for file in files:
            if folder_session and file.session not in (None, folder_session):
                raise RunError(
                    f"{file.path} is named after session {file.session}, but lies in the folder of "
                    f"session {folder_session}",
                    remedy="move or rename it",
                )
        if not folder_session and self.session is not None:
            session_files = [file for file in files if file.session == self.session]
            files = session_files or [file for file in files if file.session is None]
        if len({_image_of(file.name) for file in files}) < 2:
            return files
        images = {_image_of(name) for name in stated_t1w(self.sidecars)}
        return [file for file in files if _image_of(file.name) in images] or files

    def _no_transform(self, origin: str, to: str) -> RunError:
        template = to if origin == T1W else origin
        return self._lacks(
            f"from-{origin}_to-{to}_mode-image_xfm.h5",
            remedy=f"fmriprep --output-spaces {template}:res-2",
        )

    def _lacks(
        self, ending: str, *, remedy: str, expected: str | None = None
    ) -> RunError:
        stem = f"sub-{self.participant}"
        if self.session:
            stem += f"_ses-{self.session}"
        return RunError(
            f"{self.folders[0]} has no {stem}_{ending}",
            expected=expected,
            remedy=remedy,
        )


def _spellings(space: str) -> tuple[str, ...]:
    """Return the ways in which file names spell a space."""
    return (SPACE, BIDS_SPACE) if space == SPACE else (space,)


def stated_t1w(sidecars: Iterable[Path]) -> list[BidsName]:
    """Return the names of the preprocessed T1w images among the `Sources` of some JSON files.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> sidecar = Path(mkdtemp()) / "sub-01_task-rest_desc-preproc_bold.json"
    >>> text = '{"Sources": ["bids::sub-01/anat/sub-01_acq-b_desc-preproc_T1w.nii.gz"]}'
    >>> _ = sidecar.write_text(text)
    >>> [name.get("acq") for name in stated_t1w([sidecar])]
    ['b']
    """
    paths: list[Path] = []
    for sidecar in sidecars:
        uris = read_json(sidecar).get("Sources")
        if isinstance(uris, list):
            paths += [Path(str(uri)) for uri in uris]
    images = having(named_files(paths), suffix=T1W, desc="preproc")
    return [image.name for image in images]


def _image_of(name: BidsName) -> frozenset[tuple[str, str]]:
    """Return the entities that tell T1w images of a session apart."""
    return frozenset(pair for pair in name.entities if pair[0] in _OF_IMAGE)


def find_anatomy(
    dataset: InputDataset,
    participant: str,
    session: str | None,
    *,
    templateflow: TemplateFlow,
    sidecars: Sequence[Path] = (),
) -> Anatomy:
    """Return the anatomy of a participant or one of their sessions; no file is searched for yet.

    Parameters
    ----------
    dataset
        The input, of any type.
    participant, session
        Labels without `sub-` and `ses-`; no session means the anatomy of all sessions.
    templateflow
        TemplateFlow's folder, for transforms between templates.
    sidecars
        Sidecars of the runs, which may name their T1w image.

    Raises
    ------
    RunError
        The input is of a study whose folders do not follow fMRIPrep's anatomical outputs.
    """
    if dataset.study is not None:
        raise RunError(
            f"{dataset.study.title} has no readable transforms to T1w space",
            expected="from-TEMPLATE_to-T1w_mode-image_xfm.h5 in fMRIPrep's anat folder",
            remedy="do not request outputs in the participant's own space",
        )
    return Anatomy(
        dataset.root.absolute(),
        participant,
        session,
        templateflow,
        sidecars=tuple(sidecars),
    )


def transform_files(
    folder: Path, participant: str, **wanted: Wanted
) -> list[NamedFile]:
    """List a participant's transforms by their entities, such as `from` and `to`.

    Examples
    --------
    >>> transform_files(Path("there is no such folder"), "01", to="T1w")
    []
    """
    return having(_files_of(participant, folder, "_xfm.*"), **_XFM, **wanted)


def _files_of(participant: str, folder: Path, pattern: str) -> list[NamedFile]:
    """List files in a folder that are named after the participant."""
    require_listable(folder)
    return named_files(folder.glob(f"sub-{participant}_*{pattern}"))


def find_surfaces(
    dataset: InputDataset,
    anatomy: Anatomy,
    model: str,
    preprocessed: Path | None = None,
) -> SurfaceFiles:
    """Find a participant's midthickness surfaces.

    Parameters
    ----------
    dataset
        The input, of any type.
    anatomy
        The participant's, in the folders of the input.
    model
        Template of the model's grid.
    preprocessed
        The derivatives that XCP-D was run on, if they were given.

    Returns
    -------
    SurfaceFiles
        Without sides, but with the reason, if no surface can be brought to the model's space.

    Raises
    ------
    RunError
        The content of a file is missing, as DataLad and git-annex leave it, or two files fit
        equally well.
    """
    of_xcpd = "xcpd" in (dataset.input_type, made_by(dataset.description))
    sides_of_meshes = surfaces_on_meshes(anatomy, of_xcpd=of_xcpd)
    if dataset.study:
        sides_of_meshes = _hcp_surfaces(dataset.study, anatomy)
    surfaces = SurfaceFiles(
        f"sub-{anatomy.participant} has no midthickness surfaces on the fsLR mesh, and none with "
        "spheres registered to fsLR"
    )
    for words, sides in sides_of_meshes:
        if len(sides) == 2:
            surfaces = SurfaceFiles(words, sides)
            break
    if surfaces.sides and of_xcpd:
        surfaces = surfaces_of_xcpd(anatomy, surfaces, model, preprocessed)
    elif surfaces.sides and dataset.study is None:
        try:
            surfaces = replace(surfaces, transforms=anatomy.points_to(model))
        except SeveralFilesError:
            raise
        except RunError as err:
            lack = f"{surfaces.reason} cannot be brought to {model}: {err.found}"
            surfaces = SurfaceFiles(lack)
    require_contents(surfaces.inputs, anatomy.participant)
    return surfaces


def surfaces_of_xcpd(
    anatomy: Anatomy, surfaces: SurfaceFiles, space: str, preprocessed: Path | None
) -> SurfaceFiles:
    """Return surfaces that lie in the template or in T1w space, with the transforms from T1w space.

    XCP-D from 0.10.4, and before where its input had meshes of fsLR, leaves surfaces in T1w space.

    Parameters
    ----------
    anatomy
        XCP-D's folders.
    surfaces
        What the surfaces are, and their files.
    space
        The space where they are needed.
    preprocessed
        The derivatives that XCP-D was run on, if they were given; else its description names them.
    """
    maker, stays_in_t1w = xcpd_of(anatomy.root)
    roots = [preprocessed] if preprocessed else linked_datasets(anatomy.root)
    lacks: list[RunError] = []
    for root in (anatomy.root, *roots):
        root_anatomy = replace(anatomy, root=root)
        try:
            transforms = root_anatomy.points_to(space)
        except SeveralFilesError:
            raise
        except RunError as err:
            lacks.append(err)
            continue
        image = grey_matter(root_anatomy)
        in_t1w = replace(surfaces, transforms=transforms, grey_matter=image)
        break
    else:
        searched = "in XCP-D's derivatives or those that it was run on"
        lack = (
            f"there is no transform from T1w to {space} {searched} ({lacks[0].found})"
        )
        in_t1w = SurfaceFiles(f"{surfaces.reason} are in T1w space, and {lack}")
    return replace(surfaces, in_t1w=in_t1w, maker=maker, stays_in_t1w=stays_in_t1w)


def grey_matter(anatomy: Anatomy) -> Path | None:
    """Find the probability of grey matter in T1w space."""
    return anatomy.first(
        "probseg.nii*",
        "the probability of grey matter",
        suffix="probseg",
        extension=IMAGES,
        label="GM",
        space=(None, T1W),
    )


def _hcp_surfaces(study: Study, anatomy: Anatomy) -> Iterator[tuple[str, Sides]]:
    """Yield the available sides on each mesh of a study's folders, the best mesh first."""
    for person in person_folders(study, anatomy.root, anatomy.participant):
        if anatomy.session not in (None, person.session):
            continue
        for kind in _HCP_KINDS:
            folder = person.path / _HCP_FOLDER
            sides = Sides()
            for side in _SIDES:
                paths = [
                    path
                    for path in matching(folder, f"*.{side}.{kind}.32k_fs_LR{_MESH}")
                    if not _is_of_another(path, person.path)
                ]
                whose = f"hemisphere {side} of sub-{anatomy.participant}"
                require_one(paths, f"the {kind} of {whose}")
                if paths:
                    sides[side] = SurfaceSide((paths[0],))
            yield f"{kind} of {folder.relative_to(anatomy.root)}", sides


def _is_of_another(path: Path, folder: Path) -> bool:
    """Return whether a file is named after another folder of its study; folders may be renamed."""
    name = path.name.partition(".")[0]
    return name != folder.name and (folder.parent / name).is_dir()


def surfaces_on_meshes(
    anatomy: Anatomy, *, of_xcpd: bool
) -> Iterator[tuple[str, Sides]]:
    """Yield the available sides on each mesh of a participant's folders, the best mesh first."""
    descs = _XCPD_DESCS if of_xcpd else _FMRIPREP_DESCS

    def surface(folder: Path, side: Side, suffix: str, **wanted: Wanted) -> Path | None:
        criteria = {"extension": _MESH, "suffix": suffix, "hemi": side, **wanted}
        what = f"the {suffix} of hemisphere {side}"
        return anatomy.best_in(folder, f"hemi-*{_MESH}", what, **criteria)

    for folder in anatomy.folders:
        place = folder.relative_to(anatomy.root)
        on_fs_lr = Sides()
        for side in _SIDES:
            middle = surface(
                folder, side, "midthickness", space="fsLR", den="32k", desc=descs
            )
            if middle:
                on_fs_lr[side] = SurfaceSide((middle,))
        yield f"midthickness on fsLR's mesh of {place}", on_fs_lr
        by_fs_lr = Sides()
        by_fsaverage = Sides()
        for side in _SIDES:
            side_surface = partial(surface, folder, side, den=None)
            middle = side_surface("midthickness", space=None, desc=descs)
            fs_lr = side_surface("sphere", space="fsLR", desc=_SPHERE_DESCS)
            fsaverage = side_surface("sphere", space=("fsaverage", None), desc="reg")
            if middle and fs_lr:
                by_fs_lr[side] = SurfaceSide((middle,), fs_lr, fsaverage)
            if middle and fsaverage:
                by_fsaverage[side] = SurfaceSide((middle,), None, fsaverage)
        moved = f"midthickness of {place}, moved to fsLR's mesh"
        yield moved, by_fs_lr
        yield f"{moved} by fsaverage's registration", by_fsaverage
