"""What a participant's folder holds instead of the BOLD series that are looked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bids_dtg.errors import RunError
from bids_dtg.inputs.named_files import IMAGES, NamedFile, named_files
from bids_dtg.inputs.selection import absent_session
from bids_dtg.inputs.space_choice import SPACE
from bids_dtg.settings import InputType

_REMEDIES: dict[InputType, str] = {
    "fmriprep": f"fmriprep --output-spaces {SPACE}:res-2",
    "xcpd": "run XCP-D with --file-format nifti",
}


def no_bold(folder: Path, sessions: Sequence[str], files: Sequence[Path]) -> RunError:
    """Say that a participant has no BOLD series, and what is there."""
    present = sorted(path.name for path in folder.glob("ses-*"))
    if sessions and not any(f"ses-{label}" in present for label in sessions):
        return absent_session(folder.name, sessions, present)
    named = named_files(files)
    if minimal := _minimal(named):
        return _minimal_level(folder.name, minimal)
    told = [f.path for f in named if (f.name.suffix, f.name.extension) == ("bold", ".json")]
    if told:
        return RunError(
            f"{folder.name} has no BOLD series in {folder}: there are sidecars but no images, "
            f"e.g. {told[0].name}",
            expected="an image beside each",
            remedy=f"copy the images too, or datalad get {folder}",
        )
    known = {file.path for file in named}
    odd = sorted(path.name for path in files if path not in known and path.name.endswith(IMAGES))
    if odd:
        return RunError(
            f"{folder.name} has no BOLD series in {folder}: there are image files there, but "
            f"their names are not BIDS, e.g. {odd[0]}",
            expected=f"e.g. sub-LABEL_task-rest_space-{SPACE}_desc-preproc_bold.nii.gz, "
            "labels of letters and digits only",
            remedy="rename the files and their folders",
        )
    return RunError(f"{folder.name} has no BOLD series in {folder}", remedy="run fMRIPrep on it")


def none_usable(
    files: list[NamedFile], func: list[NamedFile], who: str, desc: str, input_type: InputType
) -> RunError:
    """Say that none of the BOLD series is what the input type promises."""
    if input_type == "fmriprep" and (minimal := _minimal(func)):
        return _minimal_level(who, minimal)
    kinds = sorted({file.name.extension for file in files})
    if any(kind.startswith(".dtseries") for kind in kinds):
        found = f"{who} has CIFTI files only ({', '.join(kinds)}): they hold no volume of the brain"
    else:
        found = f"{who} has no desc-{desc}_bold image, but {files[0].path.name}"
    return RunError(found, expected=f"NIfTI volumes in {SPACE}", remedy=_REMEDIES[input_type])


def _minimal(func: list[NamedFile]) -> NamedFile | None:
    """Find head-motion transforms: what fMRIPrep's minimal level keeps of a run's motion."""
    hmc = (f for f in func if f.name.suffix == "xfm" and f.name.get("desc") == "hmc")
    return next(hmc, None)


def _minimal_level(who: str, sign: NamedFile) -> RunError:
    return RunError(
        f"{who} was preprocessed at fMRIPrep's minimal level: there is {sign.path.name}, but no "
        "desc-preproc_bold, and raw series are not realigned here",
        expected="fMRIPrep's level resampling or full",
        remedy="rerun fMRIPrep on the same output folder with --level full --output-spaces "
        f"{SPACE}:res-2: what is there is reused",
    )
