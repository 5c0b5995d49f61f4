"""Which files of a dataset lead from the model's space to a run in a person's own space."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bids_dtg.errors import RunError
from bids_dtg.files.names import BidsName, parse_name
from bids_dtg.files.sidecars import applies_to
from bids_dtg.inputs.named_files import NamedFile, space_of
from bids_dtg.inputs.run import TransformFile

# fMRIPrep's words for the grid of the run itself: since 23.1, before, and in 26.
_OWN = ("boldref", "scanner", "run")
_EXTENSIONS = (".h5", ".txt", ".tfm")
_HOW = frozenset({"from", "to", "mode", "desc"})


def native_transforms(bold: NamedFile, model: str, root: Path) -> tuple[TransformFile, ...]:
    """Find the transforms that map points of the model's space to points of a native series.

    A file `from-T1w_to-MODEL` resamples images of T1w space onto the template, so
    it maps points of the template to points of T1w space: it comes first. The
    co-registration `from-boldref_to-T1w` maps those on to the run's own grid.

    Parameters
    ----------
    bold
        A BOLD series in T1w space or on the run's own grid.
    model
        Template of the model's grid.
    root
        The dataset of derivatives.

    Raises
    ------
    RunError
        If one of the two is not there, or there are several.
    """
    normalisation = TransformFile(_normalisation(bold, model, root))
    if space_of(bold.name) == "T1w":
        return (normalisation,)
    return (normalisation, _coregistration(bold))


def _normalisation(bold: NamedFile, model: str, root: Path) -> Path:
    participant = root / f"sub-{bold.name.get('sub')}"
    session = bold.name.get("ses")
    folders = [participant / "anat"]
    if session is not None:
        folders.insert(0, participant / f"ses-{session}" / "anat")
    for folder in folders:
        found = [
            file.path
            for file in _transforms(folder)
            if (file.name.get("from"), file.name.get("to")) == ("T1w", model)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            raise RunError(
                f"{folder} has several transforms from T1w to {model}: "
                f"{', '.join(path.name for path in found)}",
                expected="one",
            )
    stem = "_".join(f"{key}-{value}" for key, value in bold.name.entities if key in {"sub", "ses"})
    raise RunError(
        f"{folders[0]} has no {stem}_from-T1w_to-{model}_mode-image_xfm.h5",
        remedy=f"fmriprep --output-spaces {model}:res-2",
    )


def _coregistration(bold: NamedFile) -> TransformFile:
    near = [
        file
        for file in _transforms(bold.path.parent)
        if applies_to(_without(file.name, _HOW), _without(bold.name, frozenset({"desc"})))
    ]
    # Affine, so that either direction serves; the one that needs no inverse first.
    for inverse in (False, True):
        for own in _OWN:
            wanted = ("T1w", own) if inverse else (own, "T1w")
            for file in near:
                if (file.name.get("from"), file.name.get("to")) == wanted:
                    return TransformFile(file.path, inverse)
    stem = "_".join(
        f"{key}-{value}" for key, value in bold.name.entities if key not in {"space", "desc"}
    )
    raise RunError(
        f"{bold.path.parent} has no {stem}_from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt",
        remedy="rerun fMRIPrep on this run",
    )


def _transforms(folder: Path) -> list[NamedFile]:
    found = []
    for path in sorted(folder.glob("*_xfm.*")):
        try:
            name = parse_name(path.name)
        except ValueError:
            continue  # copies and notes that people leave lying about
        if name.extension in _EXTENSIONS:
            found.append(NamedFile(path, name))
    return found


def _without(name: BidsName, keys: frozenset[str]) -> BidsName:
    return replace(name, entities=tuple(pair for pair in name.entities if pair[0] not in keys))
