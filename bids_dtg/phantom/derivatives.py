"""Simulated runs as fMRIPrep leaves real ones; every file says that nobody real is in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.files.atomic import write_atomic
from bids_dtg.files.names import build_path
from bids_dtg.files.text import write_json, write_text, write_tsv
from bids_dtg.phantom.anatomy import MODEL_SHAPE, Anatomy
from bids_dtg.phantom.bold_image import encode_bold, encode_mask
from bids_dtg.phantom.bold_run import BoldRun
from bids_dtg.phantom.confounds import SignalRecorder, confounds_table
from bids_dtg.version import AUTHORS

Array = NDArray[np.float32]

WARNING = (
    "SIMULATED data without any real person in them. Approximate geometry: the ICBM 2009a "
    "symmetric template stands in for MNI152NLin6Asym. Not for science about brains."
)
DESCRIP = "SIMULATED, no real person (bids_dtg.phantom)"
_FRACTION_DIGITS = 6


def describe_dataset(
    root: Path,
    *,
    name: str,
    content: str,
    generator: Mapping[str, Any],
    recipe: Mapping[str, Any],
    ignored: str,
    kind: str = "derivative",
) -> None:
    """Write what describes a simulated data set: description, README and ``.bidsignore``.

    Parameters
    ----------
    root
        Root folder of the data set.
    name
        Name of the data set.
    content
        What is in it, in words that begin the README.
    generator
        Entry of `GeneratedBy` in the dataset's description.
    recipe
        How it was simulated, by name.
    ignored
        Patterns of files that the validator's schema does not have, a line each.
    kind
        Type of the dataset: ``derivative`` or ``raw``.
    """
    description = {
        "Name": name,
        "BIDSVersion": "1.10.0",
        "DatasetType": kind,
        "License": "CC0",
        # The BIDS validator warns of a single author.
        "Authors": [*AUTHORS, "The bids_dtg contributors"],
        "GeneratedBy": [{**generator, "Description": WARNING}],
        "Simulated": True,
        "Simulation": recipe,
    }
    write_json(root / "dataset_description.json", description)
    write_text(root / "README", f"{content[0].upper()}{content[1:]}.\n\n{WARNING}\n")
    write_text(root / ".bidsignore", ignored)


def write_series(root: Path, run: BoldRun, entities: dict[str, Any]) -> None:
    """Write a run as fMRIPrep leaves it: BOLD, brain mask, confounds and their sidecars.

    Parameters
    ----------
    root
        Root folder of the dataset of derivatives.
    run
        On the phantom's grid, or blocks of it.
    entities
        Of its names, up to the run's number.
    """
    signals = SignalRecorder(run.anatomy)
    image = encode_bold(
        _recorded(run, signals),
        run.anatomy,
        frames=run.frames,
        repetition_time_s=run.repetition_time_s,
        description=DESCRIP,
    )
    resolution = _resolution(run.anatomy)
    bold = {**entities, **run.anatomy.grid.entities, "desc": "preproc"}
    mask = {**entities, **run.anatomy.grid.entities, "desc": "brain"}
    table = {**entities, "desc": "confounds"}
    columns, details = confounds_table(
        run.motion,
        signals,
        non_steady=run.non_steady,
        repetition_time_s=run.repetition_time_s,
    )
    save(root, bold, "bold", ".nii.gz", image)
    save_json(
        root,
        bold,
        "bold",
        {
            "RepetitionTime": run.repetition_time_s,
            "TaskName": entities["task"],
            "SkullStripped": True,
            **resolution,
        },
    )
    save(root, mask, "mask", ".nii.gz", encode_mask(run.anatomy, DESCRIP))
    save_json(root, mask, "mask", {"Type": "Brain", **resolution})
    rows = zip(*(_cells(column) for column in columns.values()), strict=True)
    write_tsv(root / build_path(table, "timeseries", ".tsv"), list(columns), rows)
    save_json(root, table, "timeseries", details)


def _recorded(run: BoldRun, signals: SignalRecorder) -> Iterator[Array]:
    for block in run.blocks():
        signals.add(block)
        yield block


def _cells(column: NDArray[np.float64]) -> list[float]:
    return [round(value, _FRACTION_DIGITS) for value in column.tolist()]


def _resolution(anatomy: Anatomy) -> dict[str, Any]:
    grid = anatomy.grid
    field = ", FSL's field of view" if grid.shape == MODEL_SHAPE else ""
    return {"Resolution": {grid.resolution: f"voxels of {grid.resolution} mm{field}"}}


def marks() -> dict[str, Any]:
    """Return the statement for sidecars that the files are of simulated people."""
    return {"Simulated": True, "Warning": WARNING}


def save(
    root: Path, entities: dict[str, Any], suffix: str, extension: str, data: bytes | bytearray
) -> None:
    """Write a file below a dataset, by its entities."""
    write_atomic(root / build_path(entities, suffix, extension), data)


def save_json(root: Path, entities: dict[str, Any], suffix: str, content: dict[str, Any]) -> None:
    """Write a sidecar by its entities; it says that its file is simulated."""
    write_json(root / build_path(entities, suffix, ".json"), {**content, **marks()})
