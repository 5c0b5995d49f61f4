"""tedana's outputs beside a multi-echo run: the components' courses, and which it rejected."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from bids_dtg.cleaning.aroma import AromaComponents, find_files, parse_mixing, read_components
from bids_dtg.errors import RunError
from bids_dtg.files.foreign import parse_table
from bids_dtg.inputs.run import RestRun

# tedana's documentation (docs/denoising.rst), where they lie beside fMRIPrep's table.
_MIXING, _METRICS = "desc-ICA_mixing.tsv", "desc-tedana_metrics.tsv"
_REMEDY = (
    "run tedana on the echoes that fMRIPrep writes with --me-output-echos, with the run's name as "
    "--prefix, or choose another --denoise-strategy"
)


def find_tedana_files(run: RestRun) -> tuple[Path, Path] | None:
    """Find tedana's mixing matrix and its table of components.

    They are looked for as those of ICA-AROMA: beside the run, and in the same folder of a dataset
    beside the run's whose name has "tedana" in it.

    Returns
    -------
    Both paths, or None unless both are there.
    """
    return find_files(run, "tedana", (_MIXING,), (_METRICS,))


def read_tedana(run: RestRun, n_frames: int, dropped: int = 0) -> AromaComponents:
    """Read the components of a multi-echo run, and which of them tedana rejected.

    The ICA may lack the frames that are dropped at its start.

    Raises
    ------
    RunError
        Files that are missing, unreadable or do not fit each other or the run.
    """
    files = find_tedana_files(run)
    if files is None:
        raise RunError(
            f"{run.title} has no outputs of tedana beside {run.bold}",
            expected=f"{run.title}_{_MIXING} and {run.title}_{_METRICS}, there or "
            "in derivatives/tedana",
            remedy=_REMEDY,
        )
    return read_components(files, run, n_frames, dropped, parse=_parse_tedana, remedy=_REMEDY)


def _parse_tedana(mixing_path: Path, courses: str, path: Path, text: str) -> AromaComponents:
    """Match components by name; versions of tedana write ICA_04 in one file and ICA_4 in another.

    Of a component that the table does not know nothing is known: it is no noise, as in nilearn.
    """
    mixing, table = parse_mixing(mixing_path, courses), parse_table(text, path)
    name, kind = (table.header.index(column) for column in ("Component", "classification"))
    rejected = {_plain(row[name]) for row in table.rows if row[kind] == "rejected"}
    names = [_plain(word) for word in courses.split("\n", 1)[0].split()]
    if not {_plain(row[name]) for row in table.rows} & set(names):
        raise ValueError(f"{path.name} names none of the components of {mixing_path.name}")
    return AromaComponents(mixing, np.array([word in rejected for word in names]))


def _plain(component: str) -> str:
    return re.sub(r"_0+(?=\d)", "_", component.strip())
