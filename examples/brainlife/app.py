"""The brainlife App: reads config.json, writes derivatives/ and product.json in the current folder.

brainlife provides fMRIPrep's results as single files (bold.nii.gz, mask.nii.gz, regressors.tsv).
The App links them into a folder in fMRIPrep's layout, runs bids_dtg on it, and reports the result
to brainlife in product.json, with a plot.
"""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

INPUTS = {
    "bold": "desc-preproc_bold.nii.gz",
    "mask": "desc-brain_mask.nii.gz",
    "regressors": "desc-confounds_timeseries.tsv",
}
STRENGTH = 98  # percentile of |z| that is plotted for each map


def main() -> int:
    """Run the App and return its exit code."""
    config = json.loads(Path("config.json").read_text(encoding="utf-8"))
    fmriprep, derivatives = Path("fmriprep"), Path("derivatives")
    link_inputs(config, fmriprep)
    command = ["bids_dtg", str(fmriprep), str(derivatives), "participant"]
    for option in ("model", "denoise_strategy", "min_minutes"):
        if option in config:
            command += ["--" + option.replace("_", "-"), str(config[option])]
    task = meta(config).get("task")
    if task:
        command += ["--task-id", label(task)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    sys.stderr.write(done.stderr)
    failed = done.returncode != 0
    product = failure(derivatives, done.stderr) if failed else success(derivatives)
    Path("product.json").write_text(json.dumps(product, indent=1), encoding="utf-8")
    return done.returncode


def meta(config: dict[str, Any]) -> dict[str, Any]:
    """Return brainlife's metadata of the BOLD series."""
    found = (
        item.get("meta")
        for item in config.get("_inputs", [])
        if item.get("id") == "bold"
    )
    return next(found, None) or {}


def label(text: Any) -> str:
    """Return a BIDS label: letters and digits."""
    return re.sub(r"[^A-Za-z0-9]", "", str(text)) or "unknown"


def link_inputs(config: dict[str, Any], fmriprep: Path) -> None:
    """Link brainlife's files into a folder in fMRIPrep's layout."""
    known = meta(config)
    entities = [f"sub-{label(known.get('subject', 'unknown'))}"]
    if known.get("session"):
        entities.append(f"ses-{label(known['session'])}")
    func = fmriprep.joinpath(*entities, "func")
    func.mkdir(parents=True, exist_ok=True)
    entities.append(f"task-{label(known.get('task') or 'rest')}")
    space = f"space-{config.get('space', 'MNI152NLin6Asym')}"
    if config.get("resolution"):
        space += f"_res-{config['resolution']}"
    stem = "_".join(entities)
    for name, suffix in INPUTS.items():
        if not config.get(name):
            continue
        middle = "" if name == "regressors" else f"_{space}"
        link = func / f"{stem}{middle}_{suffix}"
        link.unlink(missing_ok=True)
        link.symlink_to(Path(config[name]).resolve())
    sidecar = {key: known[key] for key in ("RepetitionTime",) if key in known}
    (func / f"{stem}_{space}_desc-preproc_bold.json").write_text(json.dumps(sidecar))
    description = {
        "Name": "fMRIPrep derivatives from brainlife",
        "BIDSVersion": "1.9.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "fMRIPrep"}],
    }
    (fmriprep / "dataset_description.json").write_text(json.dumps(description))


def failure(derivatives: Path, errors: str) -> dict[str, Any]:
    """Return product.json after a failure, with the program's error lines."""
    tables = sorted(derivatives.glob("logs/*/failures.tsv"))
    lines = [line for table in tables for line in read_table(table)]
    messages = [line["message"] for line in lines] or errors.strip().splitlines()[-1:]
    return {"brainlife": [{"type": "error", "msg": message} for message in messages]}


def success(derivatives: Path) -> dict[str, Any]:
    """Return product.json after a success: quality metrics, and the strength of each map."""
    quality = [
        line
        for path in sorted(derivatives.rglob("*_qc.tsv"))
        for line in read_table(path)
    ]
    strengths = map_strengths(derivatives)
    bars = {"type": "bar", "x": list(strengths), "y": list(strengths.values())}
    axis = {"title": f"|z|, percentile {STRENGTH} in grey matter"}
    return {
        "brainlife": [
            {"type": "info", "msg": "The maps are predictions, not measurements."},
            {
                "type": "plotly",
                "name": "Strength of the synthetic maps",
                "data": [bars],
                "layout": {"yaxis": axis, "margin": {"b": 160}},
            },
        ],
        "datatype_tags": ["synthetic"],
        "qc": quality,
    }


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a tab-separated table."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def map_strengths(derivatives: Path) -> dict[str, float]:
    """Return a high percentile of |z| for each contrast's map, over voxels that are not 0."""
    import nibabel as nib
    import numpy as np

    strengths = {}
    for path in sorted(derivatives.rglob("*_desc-synthetic_statmap.nii.gz")):
        values = np.abs(np.asarray(nib.load(path).dataobj))
        (contrast,) = re.findall(r"_contrast-([A-Za-z0-9]+)_", path.name)
        strengths[contrast] = round(
            float(np.percentile(values[values > 0], STRENGTH)), 3
        )
    return strengths


if __name__ == "__main__":
    sys.exit(main())
