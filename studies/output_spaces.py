"""What maps in further spaces cost: time and disk of a participant, one run of 2 mm.

    python studies/output_spaces.py [--volumes 490] [--rounds 2] [--keep FOLDER]

All are whole processes of the command line: maps on the model's grid alone, and with
`--output-spaces` T1w (an image of 1 mm, 176 x 256 x 256 voxels), MNI152NLin2009cAsym, and both.
The composites are as large as TemplateFlow's (an affine, and a field of 193 x 229 x 193 nodes).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from participant import Finished, make_dataset, run
from spaces import OTHER, make_templateflow

MODEL = "MNI152NLin6Asym"
CALLS = {"model's grid": (), "T1w": ("T1w",), OTHER: (OTHER,), "both": ("T1w", OTHER)}


def add_anatomy(root: Path, home: Path) -> None:
    """Add a T1w image, the way to it, and the way to the other template."""
    anat = root / "sub-01" / "anat"
    anat.mkdir(exist_ok=True)
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = -88, -130, -120
    image = nib.Nifti1Image(np.zeros((176, 256, 256), np.uint8), affine)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    nib.save(image, anat / "sub-01_desc-preproc_T1w.nii.gz")
    composite = next(home.glob(f"tpl-{MODEL}/*_xfm.h5"))
    shutil.copy(composite, anat / f"sub-01_from-{MODEL}_to-T1w_mode-image_xfm.h5")
    (home / f"tpl-{OTHER}").mkdir(exist_ok=True)
    shutil.copy(composite, home / f"tpl-{OTHER}/tpl-{OTHER}_from-{MODEL}_mode-image_xfm.h5")


def call(root: Path, folder: Path, spaces: tuple[str, ...], *, memory: bool) -> Finished:
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "bids_dtg.cli", str(root), str(out), "participant"]
    command += ["--model", str(folder / "bundle"), "--no-reports"]
    return run([*command, *(["--output-spaces", *spaces] if spaces else [])], memory=memory)


def megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def measure(root: Path, folder: Path, rounds: int) -> None:
    walls: dict[str, list[float]] = {name: [] for name in CALLS}
    for _ in range(rounds):
        for name, spaces in CALLS.items():
            walls[name].append(call(root, folder, spaces, memory=False).wall_s)
    first = statistics.median(walls["model's grid"])
    for name, spaces in CALLS.items():
        peak = call(root, folder, spaces, memory=True).peak_mb
        disk, wall = megabytes(folder / "out" / "sub-01"), statistics.median(walls[name])
        print(
            f"{name:20} wall {wall:6.2f} s ({wall - first:+.2f}), peak {peak:5.0f} MB, "
            f"participant {disk:6.1f} MB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--volumes", type=int, default=490)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="folder for the inputs, reused if it has them")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dtg-bench-") as temporary:
        folder = options.keep or Path(temporary)
        if not (folder / "made").is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            add_anatomy(make_dataset(folder, options.volumes), make_templateflow(folder))
        os.environ["TEMPLATEFLOW_HOME"] = str(folder / "templateflow")
        measure(folder / "fmriprep", folder, options.rounds)


if __name__ == "__main__":
    main()
