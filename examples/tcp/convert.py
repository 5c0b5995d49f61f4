"""Make arrays for twins from TCP's public parcellated series: python convert.py FOLDER tcp.npz.

FOLDER (in OpenNeuro ds005237) has a folder for each person (NDAR_INV…) and an HDF5 file for each
run, with one table of 434 parcels. Resting-state runs become `edges`, averaged over runs, and task
runs become `task_bold`.
"""

import re
import sys
from pathlib import Path

import h5py
import numpy as np

PARCELS, TASKS, TR_SECONDS = 434, ("hammerAP", "stroopAP", "stroopPA"), 0.8


def series(path: Path) -> np.ndarray:
    """Return the only table of a file, (parcels, frames); links are not followed."""
    items = []
    with h5py.File(path) as file:
        file.visititems(lambda _, item: items.append(item))
        (table,) = [item[()] for item in items if PARCELS in getattr(item, "shape", ())]
    table = table if len(table) == PARCELS else table.T
    if not (np.isfinite(table).all(axis=1) & (np.ptp(table, axis=1) > 0)).all():
        raise ValueError
    return table


source, out = map(Path, sys.argv[1:])
rest, bold = {}, {}
for path in sorted(source.glob("NDAR_INV*/*_parcellated.h5")):
    person, task = (
        path.parent.name.replace("_", ""),
        re.search("task-([A-Za-z]+)", path.name)[1],
    )
    try:
        values = series(path)
    except (OSError, ValueError):
        print(
            f"left out: {path}: not fetched, without a table of {PARCELS} parcels, or with gaps"
        )
        continue
    if task.startswith("rest"):
        edges = np.arctanh(np.corrcoef(values)[np.triu_indices(PARCELS, 1)])
        rest.setdefault(person, []).append(edges)
    elif task in TASKS:
        bold[person, TASKS.index(task)] = values
people, longest = (
    sorted(rest),
    max((values.shape[1] for values in bold.values()), default=1),
)
arrays = {
    "people": people,
    "edges": [np.mean(rest[person], axis=0) for person in people],
}
if bold:
    arrays |= {"task_bold_runs": TASKS, "task_bold_tr_seconds": TR_SECONDS}
    arrays["task_bold"] = np.full(
        (len(people), len(TASKS), PARCELS, longest), np.nan, np.float32
    )
    for (person, run), values in bold.items():
        if person in rest:
            arrays["task_bold"][people.index(person), run, :, : values.shape[1]] = (
                values
            )
np.savez(
    out, places=[f"parcel{number:03d}" for number in range(1, PARCELS + 1)], **arrays
)
print(f"{len(people)} people with rest, {len(bold)} runs of tasks: {out}")
