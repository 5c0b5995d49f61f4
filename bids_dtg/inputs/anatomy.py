"""A participant's anatomy: the T1w image, its brain mask, and transforms from and to templates.

Nothing is looked up before it is asked for, so that calls that need no anatomy pay nothing for it.
Code that reads several of the files first checks that all of them have content, so that one error
names every file to fetch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from bids_dtg.errors import RunError
from bids_dtg.inputs.run import TransformFile
from bids_dtg.inputs.selection import IMAGES, NamedFile, named_files
from bids_dtg.inputs.templateflow import TemplateFlow, TransformMissingError

USUAL_TEMPLATE = "MNI152NLin2009cAsym"  # fMRIPrep's default output space
_EXTENSIONS = (".h5", ".txt", ".tfm")
_T1W = "T1w"


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
    def t1w(self) -> Path:
        """The preprocessed T1w image in its own space.

        Raises
        ------
        RunError
            It is not there, or there are several.
        """
        name = f"{self._stem}_desc-preproc_T1w.nii.gz"
        found = self._image("preproc", "T1w")
        if found is None:
            raise RunError(
                f"{self.folders[0]} has no {name}",
                expected="the T1w image of fMRIPrep in its own space",
                remedy="give fMRIPrep's derivatives as the input, with its anat folders",
            )
        return found

    @cached_property
    def brain_mask(self) -> Path | None:
        """The brain mask in T1w space; None where there is none.

        Raises
        ------
        RunError
            There are several.
        """
        return self._image("brain", "mask")

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
        if own := self._own(template):
            return (own,)
        missing = self.no_transform(template, _T1W)
        for other in self.templates("to"):
            try:
                between = TransformFile(self.templateflow.transform(other, template))
            except TransformMissingError as err:
                found = f"{missing.found}, and {err.found}"
                missing = type(err)(found, remedy=err.remedy)
            except RunError:
                continue  # TemplateFlow has no such transform, as of fsnative
            else:
                own = self._own(other)
                assert own is not None  # as its template was listed
                return (own, between)
        raise missing

    def transform(self, origin: str, to: str) -> Path | None:
        """Find the file that resamples images of one space to another; None where there is none.

        Raises
        ------
        RunError
            There are several.
        """
        return self._one(
            f"transforms from {origin} to {to}",
            lambda folder: [
                file.path
                for file in transform_files(folder, self.participant)
                if (file.name.get("from"), file.name.get("to")) == (origin, to)
            ],
        )

    def no_transform(self, origin: str, to: str) -> RunError:
        """Return the error that a transform of the participant is not there."""
        template = to if origin == _T1W else origin
        return RunError(
            f"{self.folders[0]} has no {self._stem}_from-{origin}_to-{to}_mode-image_xfm.h5",
            remedy=f"fmriprep --output-spaces {template}:res-2",
        )

    def templates(self, end: Literal["from", "to"]) -> list[str]:
        """List the other ends of the transforms that have T1w at this one, the usual one first."""
        other = "to" if end == "from" else "from"
        names = {
            label
            for folder in self.folders
            for file in transform_files(folder, self.participant)
            if file.name.get(end) == _T1W and (label := file.name.get(other)) is not None
        }
        return sorted(names, key=lambda label: (label != USUAL_TEMPLATE, label))

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

    @property
    def _stem(self) -> str:
        return f"sub-{self.participant}" + (f"_ses-{self.session}" if self.session else "")

    def _image(self, desc: str, suffix: str) -> Path | None:
        """Find an image of T1w space; fMRIPrep's names have no space- then."""
        return self._one(
            f"images desc-{desc}_{suffix} in T1w space",
            lambda folder: [
                file.path
                for file in _files_of(self.participant, folder, f"{suffix}.nii*")
                if (file.name.get("desc"), file.name.suffix) == (desc, suffix)
                and file.name.extension in IMAGES
                and file.name.get("space") in {None, _T1W}
            ],
        )

    def _one(self, what: str, files_in: Callable[[Path], list[Path]]) -> Path | None:
        """Return the one file of the nearest folder that has any; None where none has."""
        for folder in self.folders:
            found = files_in(folder)
            if len(found) > 1:
                raise RunError(
                    f"{folder} has several {what}: {', '.join(path.name for path in found)}",
                    expected="one",
                )
            if found:
                return found[0]
        return None

    def _own(self, template: str) -> TransformFile | None:
        """Find the participant's file of one template: images go the other way than points."""
        path = self.transform(template, _T1W)
        return None if path is None else TransformFile(path)


def transform_files(folder: Path, participant: str) -> list[NamedFile]:
    """List a participant's files of transforms; those whose names BIDS does not know are left out.

    Examples
    --------
    >>> transform_files(Path("there is no such folder"), "01")
    []
    """
    files = _files_of(participant, folder, "xfm.*")
    return [file for file in files if file.name.extension in _EXTENSIONS]


def _files_of(participant: str, folder: Path, ending: str) -> list[NamedFile]:
    """List files of a participant in a folder; a copy of somebody else's is not theirs."""
    return named_files(sorted(folder.glob(f"sub-{participant}_*_{ending}")))
