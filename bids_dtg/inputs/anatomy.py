"""A participant's anatomy as files: the T1w image, transforms to templates, and surfaces.

Nothing is looked up before it is asked for, so that calls that need no anatomy pay nothing for it.
Code that reads several of the files first checks that all of them have content, so that one error
names every file to fetch.

Names of surfaces that programs write: HCP's pipelines below ``MNINonLinear/fsaverage_LR32k``;
fMRIPrep 25 and later on fsLR's mesh, 23.1 to 24 on FreeSurfer's mesh with spheres registered to
fsLR; XCP-D under fMRIPrep's names, but with points that have been moved to the template.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

from bids_dtg.errors import RunError
from bids_dtg.files.foreign import matching, require_contents
from bids_dtg.inputs.dataset import InputDataset, made_by
from bids_dtg.inputs.run import IMAGES, T1W, NamedFile, TransformFile, having, named_files
from bids_dtg.inputs.studies import Study, person_folders
from bids_dtg.inputs.templateflow import (
    TemplateFlow,
    TransformMissingError,
    TransformPlannedError,
)

USUAL_TEMPLATE = "MNI152NLin2009cAsym"  # fMRIPrep's default output space
_TRANSFORMS = (".h5", ".txt", ".tfm")

Side = Literal["L", "R"]
_SIDES: tuple[Side, Side] = ("L", "R")
# Never below T1w, where files have the same names and points are in another space.
_HCP_FOLDER = Path("MNINonLinear", "fsaverage_LR32k")
# By the registration of the mesh: areal features, then folds alone.
_HCP_KINDS = ("midthickness_MSMAll", "midthickness")
# Of a surface that fMRIPrep made itself, or was given; of one that XCP-D moved.
_FMRIPREP_DESCS, _XCPD_DESCS = (None, "preproc"), ("hcp", None)
# Spheres registered to fsLR by folds (MSM), or by way of fsaverage.
_SPHERE_DESCS = ("msmsulc", "reg")


@dataclass(frozen=True)
class Anatomy:
    """The anatomy of a participant, or of one of their sessions, as fMRIPrep names its files.

    Its space is T1w: scanner RAS+ mm of the preprocessed T1w image. fMRIPrep keeps one reference
    a participant (`sub-01/anat`, or the `anat` of the only session with a T1w image) or one a
    session (`sub-01/ses-1/anat`); the session's own is taken before the participant's.
    """

    root: Path  # the dataset of derivatives
    participant: str  # label without sub-
    session: str | None = None  # label without ses-; None: what is of all sessions
    templateflow: TemplateFlow = field(default_factory=TemplateFlow.here)

    @cached_property
    def folders(self) -> tuple[Path, ...]:
        """Where its files may lie, the nearest first; not all of them need be there."""
        participant = self.root / f"sub-{self.participant}"
        own = [participant / f"ses-{self.session}" / "anat"] if self.session is not None else []
        folders = [*own, participant / "anat"]
        if not any(folder.is_dir() for folder in folders):
            # One session has the T1w image of all; where several have one, none is meant.
            others = [path for path in participant.glob("ses-*/anat") if path.is_dir()]
            folders += others if len(others) == 1 else []
        return tuple(folders)

    @cached_property
    def t1w(self) -> Path:
        """The preprocessed T1w image in its own space: fMRIPrep's names have no space- then.

        Raises
        ------
        RunError
            It is not there, or there are several.
        """
        for folder in self.folders:
            files = _files_of(self.participant, folder, "_T1w.nii*")
            if found := having(
                files, suffix=T1W, extension=IMAGES, desc="preproc", space=(None, T1W)
            ):
                return _only(found, "images desc-preproc_T1w in T1w space")
        raise self._lacks(
            "desc-preproc_T1w.nii.gz",
            expected="the T1w image of fMRIPrep in its own space",
            remedy="give fMRIPrep's derivatives as the input, with its anat folders",
        )

    def points_to(self, template: str) -> tuple[TransformFile, ...]:
        """Find the transforms that map points of T1w space to points of a template.

        A file `from-TEMPLATE_to-T1w` resamples images of the template onto the T1w image, so it
        maps points of T1w space to points of the template. Where there is none, that of another
        template is followed by TemplateFlow's transform between the two.

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
            TemplateFlow's transform would do, and is not on this machine.
        RunError
            There is no way, or there are several files of one transform.

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
        own = self._own(template, T1W)
        return (own,) if own else self.through(template, T1W)[0]

    def transform(self, origin: str, to: str) -> TransformFile:
        """Find the file that resamples images of one space to another; one of them is T1w.

        Raises
        ------
        RunError
            There is none, or there are several.
        """
        if own := self._own(origin, to):
            return own
        raise self._no_transform(origin, to)

    def through(self, origin: str, to: str) -> tuple[tuple[TransformFile, ...], str]:
        """Find the transforms between T1w and a template by way of another template.

        The participant's transform leads between T1w and the other template, and TemplateFlow's
        between that and the template.

        Parameters
        ----------
        origin, to
            Spaces that images would be resampled from and to; one of them is T1w.

        Returns
        -------
        transforms
            In order of application to a point of `to`.
        template
            The other template.

        Raises
        ------
        TransformMissingError
            TemplateFlow's transform would do, and is not on this machine.
        RunError
            There is no such way.
        """
        end, other = ("from", "to") if origin == T1W else ("to", "from")
        templates = {
            label
            for folder in self.folders
            for file in transform_files(folder, self.participant, **{end: T1W})
            if (label := file.name.get(other)) is not None
        }
        missing = None
        for template in sorted(templates, key=lambda label: (label != USUAL_TEMPLATE, label)):
            ends = (to, template) if origin == T1W else (template, origin)
            try:
                between = TransformFile(self.templateflow.transform(*ends))
            except TransformMissingError as err:
                missing = missing or err
            except RunError:
                continue  # TemplateFlow has no such transform, as of fsnative
            else:
                if origin == T1W:
                    return (between, self.transform(T1W, template)), template
                return (self.transform(template, T1W), between), template
        raise missing or self._no_transform(origin, to)

    def _own(self, origin: str, to: str) -> TransformFile | None:
        for folder in self.folders:
            ends = {"from": origin, "to": to}
            if found := transform_files(folder, self.participant, **ends):
                return TransformFile(_only(found, f"transforms from {origin} to {to}"))
        return None

    def _no_transform(self, origin: str, to: str) -> RunError:
        template = to if origin == T1W else origin
        return self._lacks(
            f"from-{origin}_to-{to}_mode-image_xfm.h5",
            remedy=f"fmriprep --output-spaces {template}:res-2",
        )

    def _lacks(self, ending: str, *, remedy: str, expected: str | None = None) -> RunError:
        stem = f"sub-{self.participant}" + (f"_ses-{self.session}" if self.session else "")
        found = f"{self.folders[0]} has no {stem}_{ending}"
        return RunError(found, expected=expected, remedy=remedy)


def find_anatomy(
    dataset: InputDataset, participant: str, session: str | None, *, templateflow: TemplateFlow
) -> Anatomy:
    """Return the anatomy of one participant, or of one of their sessions; no file is looked up.

    Parameters
    ----------
    dataset
        The input, of any type.
    participant, session
        Labels without `sub-` and `ses-`; no session: what is of all of them.
    templateflow
        Where transforms between templates are.

    Raises
    ------
    RunError
        The input's folders have no files of the participant's own space as fMRIPrep writes them.
    """
    if dataset.study is not None:
        raise RunError(
            f"{dataset.study.title} has no transforms to T1w space that can be read",
            expected="from-TEMPLATE_to-T1w_mode-image_xfm.h5 in fMRIPrep's anat folder",
            remedy="leave out what is to be in the participant's own space",
        )
    return Anatomy(dataset.root.absolute(), participant, session, templateflow)


def transform_files(folder: Path, participant: str, **wanted: str) -> list[NamedFile]:
    """List a participant's transforms by their entities, such as `from` and `to`.

    Examples
    --------
    >>> transform_files(Path("there is no such folder"), "01", to="T1w")
    []
    """
    files = _files_of(participant, folder, "_xfm.*")
    return having(files, suffix="xfm", extension=_TRANSFORMS, **wanted)


def _files_of(participant: str, folder: Path, pattern: str) -> list[NamedFile]:
    """List files of a participant in a folder; a copy of somebody else's is not theirs."""
    return named_files(folder.glob(f"sub-{participant}_*{pattern}"))


def _only(files: list[NamedFile], what: str) -> Path:
    """Return the path of the one file that was found."""
    if len(files) > 1:
        names = ", ".join(file.path.name for file in files)
        raise RunError(f"{files[0].path.parent} has several {what}: {names}", expected="one")
    return files[0].path


@dataclass(frozen=True)
class SurfaceSide:
    """The files of one hemisphere."""

    midthickness: Path  # halfway between white matter and pia
    # Its vertices on a sphere that is registered to fsLR; None: they are fsLR's already.
    sphere: Path | None = None
    # The same registered to fsaverage, where it is there: another sphere, in sound data.
    fsaverage_sphere: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All that are read."""
        named = (self.midthickness, self.sphere, self.fsaverage_sphere)
        return tuple(path for path in named if path)


Sides = dict[Side, SurfaceSide]


@dataclass(frozen=True)
class SurfaceFiles:
    """The midthickness surfaces of one participant, and why these."""

    reason: str  # one clause
    # Empty: the participant has none that can be used, and a template's surface stands in.
    sides: Mapping[Side, SurfaceSide] = field(default_factory=dict)
    # Their composition maps points of the surfaces to points of the model's space.
    transforms: tuple[TransformFile, ...] = ()

    @property
    def inputs(self) -> tuple[Path, ...]:
        """All files that values at the vertices depend on."""
        surfaces = tuple(path for side in self.sides.values() for path in side.paths)
        return (*surfaces, *(transform.path for transform in self.transforms))


def find_surfaces(
    dataset: InputDataset,
    participant: str,
    session: str | None,
    *,
    model: str,
    templateflow: TemplateFlow,
) -> SurfaceFiles:
    """Find a participant's midthickness surfaces.

    Parameters
    ----------
    dataset
        The input, of any type.
    participant
        Label without ``sub-``.
    session
        Label without ``ses-``; None: maps of all sessions together.
    model
        Template of the model's grid.
    templateflow
        Where transforms between templates are.

    Returns
    -------
    SurfaceFiles
        Without sides, and with the reason, where no surface leads to the model's space.

    Raises
    ------
    RunError
        A file is there by name only, as DataLad and git-annex leave it.
    TransformPlannedError
        A transform would be fetched, if this were no plan.
    """
    anatomy = Anatomy(dataset.root, participant, session, templateflow)
    pairs = _hcp_surfaces(dataset.study, anatomy) if dataset.study else _surfaces(dataset, anatomy)
    words, sides = next(((words, pair) for words, pair in pairs if len(pair) == 2), ("", {}))
    transforms: tuple[TransformFile, ...] = ()
    if not sides:
        words = (
            f"sub-{participant} has neither midthickness surfaces on fsLR's mesh, nor some with "
            "spheres that are registered to it"
        )
    elif _is_moved(dataset):
        words += f", which XCP-D moved to {model}"
    elif dataset.study is None:
        try:
            transforms = anatomy.points_to(model)
        except TransformPlannedError:
            raise
        except RunError as err:
            words, sides = f"{words} cannot be brought to {model}: {err.found}", {}
    found = SurfaceFiles(words, sides, transforms)
    require_contents(found.inputs, participant)
    return found


def _is_moved(dataset: InputDataset) -> bool:
    return "xcpd" in (dataset.input_type, made_by(dataset.description))


def _hcp_surfaces(study: Study, anatomy: Anatomy) -> Iterator[tuple[str, Sides]]:
    """Yield the sides that there are on each mesh of a study's folders, the best first."""
    for person in person_folders(study, anatomy.root, anatomy.participant):
        if anatomy.session not in (None, person.session):
            continue
        for kind in _HCP_KINDS:
            folder = person.path / _HCP_FOLDER
            yield (
                f"{kind} of {folder.relative_to(anatomy.root)}",
                {
                    side: SurfaceSide(paths[0])
                    for side in _SIDES
                    if (paths := matching(folder, f"*.{side}.{kind}.32k_fs_LR.surf.gii"))
                },
            )


def _surfaces(dataset: InputDataset, anatomy: Anatomy) -> Iterator[tuple[str, Sides]]:
    """Yield the sides that there are on each mesh of fMRIPrep's folders, the best first."""
    descs = _XCPD_DESCS if _is_moved(dataset) else _FMRIPREP_DESCS
    for folder in anatomy.folders:
        files = _files_of(anatomy.participant, folder, "hemi-*.surf.gii")
        on_fslr, native = Sides(), Sides()
        for side in _SIDES:
            own = partial(_first, files, extension=".surf.gii", hemi=side)
            if path := own(suffix="midthickness", space="fsLR", den="32k", desc=descs):
                on_fslr[side] = SurfaceSide(path)
            path = own(suffix="midthickness", space=None, den=None, desc=descs)
            sphere = own(suffix="sphere", space="fsLR", den=None, desc=_SPHERE_DESCS)
            if path and sphere:
                other = own(suffix="sphere", space=("fsaverage", None), den=None, desc="reg")
                native[side] = SurfaceSide(path, sphere, other)
        place = folder.relative_to(anatomy.root)
        yield f"midthickness on fsLR's mesh of {place}", on_fslr
        yield f"midthickness of {place}, moved to fsLR's mesh", native


def _first(files: list[NamedFile], **wanted: str | tuple[str | None, ...] | None) -> Path | None:
    found = having(files, **wanted)
    return found[0].path if found else None
