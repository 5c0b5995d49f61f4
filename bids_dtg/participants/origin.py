"""What every workflow writes about runs: sources, quality metrics, and the completion record."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from bids_dtg.bundles.bundle import Bundle
from bids_dtg.bundles.card import TrainingData
from bids_dtg.cleaning.strategies import find_strategy
from bids_dtg.files.derivatives import TEMPLATEFLOW
from bids_dtg.files.names import bids_uri, parse_name
from bids_dtg.files.provenance import (
    Fingerprint,
    note_replaced,
    recorded_outputs,
    write_completion,
)
from bids_dtg.imaging.atlas import Atlas
from bids_dtg.inputs.run import RestRun, other_side
from bids_dtg.participants.request import AveragedRuns, CallRequest
from bids_dtg.report.participant import discard_report
from bids_dtg.settings import InputChoice

# How the runs of each input type were processed before any cleaning here, and a pattern of the
# words with which cards name that.
_PROCESSING = {
    "fmriprep": ("preprocessed by fMRIPrep", r"fMRIPrep"),
    "xcpd": ("cleaned by XCP-D", r"XCP.?D"),
    "hcp": ("cleaned by HCP's minimal preprocessing and ICA-FIX", r"HCP.*FIX"),
    "ukb": (
        "cleaned by UK Biobank's preprocessing and ICA-FIX",
        r"(UK ?Biobank|UKB).*FIX",
    ),
}
# What HCP-YA 2025 adds to ICA-FIX, in file names and in words.
_FURTHER = re.compile(r"[rt]clean|temporal ICA|\btICA\b", re.IGNORECASE)
WHY_MODEL = "ModelChoiceNote"  # key of sidecars: why a model was used that nobody named
# First words of cards that say nothing, or whose model was trained on no runs.
_SILENT = ("", "unknown", "none")


def model_facts(bundle: Bundle[Any]) -> dict[str, Any]:
    """Return the facts of the model for sidecars."""
    card = bundle.card
    return {
        "ModelName": card.name,
        "ModelVersion": card.version,
        "ModelKind": card.kind,
        "ModelSHA256": bundle.identity,
        "ModelLicense": card.licence,
        **({"ModelHowToAcknowledge": card.citation} if card.citation else {}),
        **({"ModelNotice": card.notice} if card.notice else {}),
        **({} if card.for_science else {"NotForScience": True}),
    }


def run_sources(run: RestRun, source: str) -> list[str]:
    """Return the BIDS URIs of a run's files; `source` is the name of their dataset.

    Surfaces in a folder of FreeSurfer beside the dataset have no URI.
    """
    used = [*run.transforms]
    surface_files: tuple[Path, ...] = ()
    if run.surfaces:
        used += run.surfaces.transforms
        surface_files = tuple(
            path for path in run.surfaces.inputs if path.is_relative_to(run.root)
        )
    sides = (run.bold, other_side(run.bold))
    transforms = (transform.path for transform in used)
    files = (
        *sides,
        run.mask,
        run.confounds,
        run.outliers,
        run.motion,
        *surface_files,
        *transforms,
    )
    return [source_uri(path, run.root, source) for path in dict.fromkeys(files) if path]


def source_uri(path: Path, root: Path, source: str) -> str:
    """Return the BIDS URI of a file of the input or of TemplateFlow's folder.

    Parameters
    ----------
    path
        A file below `root`, or below TemplateFlow's folder, wherever this machine has it.
    root
        Root folder of the dataset of derivatives.
    source
        Name of that dataset in URIs.
    """
    if path.is_relative_to(root):
        return bids_uri(source, path.relative_to(root).as_posix())
    return bids_uri(TEMPLATEFLOW, _in_templateflow(path))


def _in_templateflow(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def atlas_facts(atlas: Atlas) -> dict[str, Any]:
    """Return the facts of an atlas for sidecars: its key, and the facts of its file."""
    facts: dict[str, Any] = {"Key": atlas.key}
    file = atlas.file
    if file is not None:
        facts |= {**file.facts, "Image": file.image.name, "Space": file.space}
        facts["Parcels"] = len(atlas.parcels)
        if file.transforms:
            facts["Transforms"] = [
                bids_uri(TEMPLATEFLOW, _in_templateflow(transform.path))
                for transform in file.transforms
            ]
    return {"Atlas": facts}


def camel_case(values: Mapping[str, Any]) -> dict[str, Any]:
    """Rename keys as in BIDS metadata: frames_kept becomes FramesKept."""
    return {key.title().replace("_", ""): value for key, value in values.items()}


def cleaning_note(
    training: TrainingData, input_type: InputChoice, strategy: str, cleaned_as: str = ""
) -> str | None:
    """Describe how the cleaning differs from that of the training runs; None if it does not.

    A card describes the training's cleaning in words. The note is left out only where these
    words are known to mean the same cleaning.

    Parameters
    ----------
    training
        Training facts of the model's card.
    input_type
        Which program wrote the runs: a value of ``--input-type``.
    strategy
        The denoising strategy of this program.
    cleaned_as
        Their earlier cleaning, from the names of their files, where there are several kinds.
    """
    words = training.cleaning.strip()
    cleaned = find_strategy(strategy).reads_table
    if re.split(r"\W", words.lower())[0] in _SILENT:
        return None
    cleaned_before = input_type in ("xcpd", "hcp", "ukb")
    processing, pattern = _PROCESSING[input_type if cleaned_before else "fmriprep"]
    if cleaned or not cleaned_before:
        pattern += rf".*\b{strategy}\b"
    further = bool(_FURTHER.search(cleaned_as))
    further_in_training = bool(_FURTHER.search(words))
    same_words = re.search(pattern, words, re.IGNORECASE)
    if same_words and further == further_in_training:
        return None
    if further:
        processing += f", and further ({cleaned_as})"
    if cleaned:
        processing += f" and cleaned here by {strategy}"
    return (
        f"The model was trained on runs cleaned differently ({words}); "
        f"these were {processing}."
    )


def begin_replacing(request: CallRequest, planned: AveragedRuns) -> None:
    """Prepare the output for new files of an average, before the first one is written.

    If they are not completed, the earlier report must not show them, nor a group use them.

    Raises
    ------
    OutputError
        The record of the earlier files cannot be written.
    """
    note_replaced(request.output, planned.title)
    discard_report(request.output, planned.participant)


def complete_average(
    request: CallRequest,
    planned: AveragedRuns,
    inputs: Mapping[str, Fingerprint],
    files: Sequence[PurePosixPath],
) -> None:
    """Record that an average is complete, after all its other files have been written.

    Parameters
    ----------
    request
        Output dataset, options and methods text.
    planned
        The runs that are averaged.
    inputs
        Fingerprints of the input files, by path.
    files
        All files that were written for it.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    output = request.output
    # Files that earlier options wrote, e.g. maps in another space, must not remain.
    for earlier in set(recorded_outputs(output, planned.title)) - set(files):
        if _is_of(planned, earlier):
            output.remove(earlier)
    # The record is written last, so that a run that is killed before repeats everything.
    write_completion(
        output,
        planned.title,
        options=request.shaping_options(),
        inputs=inputs,
        outputs=[output.path(file) for file in files],
        methods=request.methods(planned),
    )


def _is_of(planned: AveragedRuns, path: PurePosixPath) -> bool:
    """Return whether a file is of this average; a record that was copied may list others."""
    try:
        named = dict(parse_name(path.name).entities)
    except ValueError:
        return False
    in_folder = path.parts[0] == f"sub-{planned.participant}"
    return in_folder and planned.entities.items() <= named.items()
