"""Where results come from, as sidecars say it: the model, files of the input, atlas, cleaning."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bids_dtg.bundles.bundle import Bundle
from bids_dtg.bundles.card import TrainingData
from bids_dtg.cleaning.strategies import find_strategy
from bids_dtg.files.derivatives import TEMPLATEFLOW
from bids_dtg.files.names import bids_uri
from bids_dtg.imaging.atlas import Atlas
from bids_dtg.inputs.run import RestRun
from bids_dtg.settings import InputChoice

# How the runs of each type of input were made, before any cleaning here.
_MADE: dict[InputChoice, str] = {
    "auto": "preprocessed by fMRIPrep",
    "fmriprep": "preprocessed by fMRIPrep",
    "xcpd": "cleaned by XCP-D",
    "hcp": "cleaned by HCP's minimal preprocessing and ICA-FIX",
    "ukb": "cleaned by UK Biobank's preprocessing and ICA-FIX",
}
# Words in a card's text that mean the same cleaning.
_SAME: dict[InputChoice, str] = {
    "xcpd": r"XCP.?D",
    "hcp": r"HCP.*FIX",
    "ukb": r"(UK ?Biobank|UKB).*FIX",
}

# What HCP-YA 2025 adds to ICA-FIX, in names of files and in words.
_FURTHER = re.compile(r"[rt]clean|temporal ICA|\btICA\b", re.IGNORECASE)

# Cards that say nothing, or whose model has seen no run at all.
_SILENT = ("", "unknown", "none")


def model_facts(bundle: Bundle[Any]) -> dict[str, Any]:
    """Return the facts of the model for sidecars."""
    card = bundle.card
    return {
        "ModelName": card.name,
        "ModelVersion": card.version,
        "ModelKind": card.kind,
        "ModelSHA256": bundle.identity,
        **({"ModelNotice": card.notice} if card.notice else {}),
        **({} if card.for_science else {"NotForScience": True}),
    }


def run_sources(run: RestRun, source: str) -> list[str]:
    """Return the BIDS URIs of a run's files; `source` names the dataset that they are in."""
    transforms = (transform.path for transform in run.transforms)
    files = (run.bold, run.mask, run.confounds, run.outliers, *transforms)
    return [source_uri(path, run.root, source) for path in files if path]


def source_uri(path: Path, root: Path, source: str) -> str:
    """Return the BIDS URI of a file of the input or of TemplateFlow's folder.

    Parameters
    ----------
    path
        A file below `root`, or below TemplateFlow's folder.
    root
        Root folder of the dataset of derivatives.
    source
        Name of that dataset in URIs.
    """
    if path.is_relative_to(root):
        return bids_uri(source, path.relative_to(root).as_posix())
    # A transform of TemplateFlow's folder, wherever this machine has it.
    return bids_uri(TEMPLATEFLOW, f"{path.parent.name}/{path.name}")


def atlas_facts(atlas: Atlas) -> dict[str, Any]:
    """Return the facts of an atlas for sidecars: its key, and what its file states."""
    file = atlas.file
    if file is None:
        return {"Atlas": {"Key": atlas.key}}
    return {
        "Atlas": {
            "Key": atlas.key,
            **file.facts,
            "Image": file.image.name,
            "Space": file.space,
            "Parcels": len(atlas.parcels),
            **(
                {
                    "Transforms": [
                        bids_uri(TEMPLATEFLOW, f"{used.path.parent.name}/{used.path.name}")
                        for used in file.transforms
                    ]
                }
                if file.transforms
                else {}
            ),
        }
    }


def camel_case(values: Mapping[str, Any]) -> dict[str, Any]:
    """Name values as BIDS metadata are: frames_kept becomes FramesKept."""
    return {key.title().replace("_", ""): value for key, value in values.items()}


def cleaning_note(
    training: TrainingData, input_type: InputChoice, strategy: str, cleaned_as: str = ""
) -> str | None:
    """Describe differences in cleaning from the training's runs; None without any.

    A card describes the training's cleaning in words, so words are compared: the note is
    written unless they are known to mean the same.

    Parameters
    ----------
    training
        Training facts of the model's card.
    input_type
        Which program wrote the runs: a value of ``--input-type``.
    strategy
        What was removed from them here.
    cleaned_as
        Their cleaning before by the names of their files, where there are several.
    """
    words, cleaned = training.cleaning.strip(), find_strategy(strategy).reads_table
    if re.split(r"\W", words.lower())[0] in _SILENT:
        return None
    if not cleaned:
        same = _SAME.get(input_type)
        alike = bool(same and re.search(same, words, re.IGNORECASE))
        if alike and bool(_FURTHER.search(cleaned_as)) == bool(_FURTHER.search(words)):
            return None
    elif input_type in ("auto", "fmriprep") and re.search(
        rf"fMRIPrep.*\b{strategy}\b", words, re.IGNORECASE
    ):
        return None
    further = f", and further ({cleaned_as})" if _FURTHER.search(cleaned_as) else ""
    here = _MADE[input_type] + further + (f" and here by {strategy}" if cleaned else "")
    return f"The model was trained on runs cleaned otherwise ({words}); these were {here}."
