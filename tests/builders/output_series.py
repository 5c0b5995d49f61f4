"""Series and structural connectomes as the participant level of the network model writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.files.names import build_path
from bids_dtg.files.regions import RegionTable, encode_relmat, encode_series

REGIONS = tuple(f"{side}-{name}" for side in ("lh", "rh") for name in "ABCD")
ATLAS = {"atlas": "Tiny", "seg": "8n"}


def chance_series(seed: int, frames: int = 90) -> np.ndarray:
    """Return series (regions, frames) that remember the frame before."""
    values = np.random.default_rng(seed).standard_normal((len(REGIONS), frames)).cumsum(-1)
    values -= values.mean(-1, keepdims=True)
    return (values / values.std(-1, keepdims=True)).astype(np.float32)


def chance_weights(seed: int) -> np.ndarray:
    """Return a symmetric structural connectome (regions, regions), its largest weight 1."""
    counts = np.random.default_rng(seed).integers(1, 50, (len(REGIONS),) * 2)
    counts = (counts + counts.T) * (1 - np.eye(len(REGIONS)))
    return counts / counts.max()


def write_run(
    root: Path,
    label: str,
    session: str | None = "1",
    *,
    values: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    connected: bool = True,
    names: tuple[str, ...] = REGIONS,
    atlas: dict[str, str] = ATLAS,
    **facts: Any,
) -> Path:
    """Write a run's tables; returns that of the series. `facts` change its sidecar."""
    seed = int(label) * 10 + int(session or 0)
    entities = {"sub": label, "ses": session, "task": "rest", "space": "MNI152NLin6Asym", **atlas}
    path = root / build_path({**entities, "stat": "mean"}, "timeseries", ".tsv")
    path.parent.mkdir(parents=True, exist_ok=True)
    series = chance_series(seed) if values is None else values
    path.write_bytes(encode_series(RegionTable(names, series)))
    sidecar = {
        "RepetitionTime": 0.8,
        "Atlas": {"SHA256": "abc"},
        "InputType": "fmriprep",
        "DenoiseStrategy": "simple",
        **facts,
    }
    path.with_suffix(".json").write_text(json.dumps(sidecar))
    if connected:
        matrix = RegionTable(names, chance_weights(int(label)) if weights is None else weights)
        beside = root / build_path({**entities, "desc": "structural"}, "relmat", ".tsv")
        beside.write_bytes(encode_relmat(matrix))
    return path


def write_people(root: Path, people: int = 4) -> Path:
    """Write two sessions of people; the last one has the first session alone."""
    for number in range(1, people + 1):
        for session in ("1", "2")[: 1 + (number < people)]:
            write_run(root, f"{number:02}", session)
    return root
