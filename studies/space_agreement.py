"""One simulated brain in four spaces: how well the predicted maps agree.

    python studies/space_agreement.py [--frames 240]

The script resamples a simulated participant's run on the model's grid by cubic splines, as
fMRIPrep does: to 3 mm, to a made-up MNI152NLin2009cAsym at 2 mm, and to an oblique native grid of
2.4 mm. The last two spaces are bent by up to 4 mm (affine and field), and the run's transforms
lead there. The command line processes each version with the demo model. The table has Pearson r
over grey matter, mean over contrasts (and minimum): with the maps of the run on the model's grid;
the same after subtracting the mean of three other people's maps, which is most of any map; and
with the participant's true maps.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import binary_dilation, map_coordinates, spline_filter

from bids_dtg import load_bundle

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from spaces import write_composite

OTHER, OTHERS = "MNI152NLin2009cAsym", 3
NODES = np.array([[-4.0, 0, 0, 100], [0, 4, 0, -140], [0, 0, 4, -100], [0, 0, 0, 1]])
NODES_SHAPE = (51, 62, 56)
TURN = np.array([[0.98, -0.06, 0.02, 2], [0.05, 1.01, 0.2, -6], [-0.03, -0.21, 0.97, 9]])
IDENTITY = """#Insight Transform File V1.0
#Transform 0
Transform: AffineTransform_double_3_3
Parameters: 1 0 0 0 1 0 0 0 1 0 0 0
FixedParameters: 0 0 0
"""
SLIGHT = np.array([[1.01, 0, 0, 0.4], [0, 1.01, 0, -0.3], [0, 0, 1.02, 0.5]])


def bend(points: np.ndarray) -> np.ndarray:
    """Return displacements (n, 3) mm of points (n, 3), with a width of about 10 cm."""
    x, y, z = points.T / 20
    return np.stack([2 * np.sin(y), 3 * np.cos(x + z), 2.5 * np.sin(z - x)], axis=1)


def to_model(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Invert x -> A (x + bend(x)) + b by fixed-point iteration."""
    wanted = np.linalg.solve(matrix[:, :3], (points - matrix[:, 3]).T).T
    found = wanted
    for _ in range(30):
        found = wanted - bend(found)
    return found


def write_transform(path: Path, matrix: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lps = matrix * np.outer([-1, -1, 1], [-1, -1, 1, 1])
    nodes = np.indices(NODES_SHAPE).reshape(3, -1, order="F").T @ NODES[:3, :3].T + NODES[:3, 3]
    fixed = [*NODES_SHAPE, -100, 140, -100, 4, 4, 4, 1, 0, 0, 0, -1, 0, 0, 0, 1]
    affine = [*lps[:, :3].ravel(), *lps[:, 3]]
    write_composite(path, affine, bend(nodes) * [-1, -1, 1], fixed)


def resample(source: Path, affine: np.ndarray, shape: tuple[int, ...], matrix, bold: Path) -> None:
    """Write a run and its mask on a grid of the space that a transform leads to."""
    run = nib.load(source)
    mask = nib.load(str(source).replace("preproc_bold", "brain_mask"))
    points = np.indices(shape).reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]
    if matrix is not None:
        points = to_model(points, matrix)
    brain = taken(np.asarray(mask.dataobj, float), mask.affine, points, 1).reshape(shape) > 0.5
    image = nib.Nifti1Image(brain.astype(np.uint8), affine)
    nib.save(image, str(bold).replace("preproc_bold", "brain_mask"))
    near = binary_dilation(brain, iterations=3)
    frames = np.asarray(run.dataobj)
    data = np.zeros((*shape, run.shape[3]), np.int16)
    for frame in range(run.shape[3]):
        volume = spline_filter(frames[..., frame], output=np.float32)
        values = taken(volume, run.affine, points[near.ravel()], 3)
        data[near, frame] = np.rint(np.clip(values, -32000, 32000))
    series = nib.Nifti1Image(data, affine)
    series.header.set_xyzt_units("mm", "sec")
    series.header.set_zooms((*series.header.get_zooms()[:3], run.header.get_zooms()[3]))
    nib.save(series, bold)
    sidecar = Path(str(source).replace(".nii.gz", ".json"))
    if sidecar.exists():
        shutil.copy(sidecar, str(bold).replace(".nii.gz", ".json"))


def taken(volume: np.ndarray, affine: np.ndarray, points: np.ndarray, order: int) -> np.ndarray:
    inverse = np.linalg.inv(affine)
    indices = (points @ inverse[:3, :3].T + inverse[:3, 3]).T
    return map_coordinates(volume, indices, order=order, prefilter=False, mode="nearest")


def grid_affine(size: float, shape: tuple[int, ...], tilt: float) -> np.ndarray:
    """Return the affine of a grid around the middle of the brain, turned about x."""
    affine = np.diag([size, size, size, 1.0])
    cos, sin = np.cos(tilt), np.sin(tilt)
    affine[1:3, 1:3] = size * np.array([[cos, -sin], [sin, cos]])
    affine[:3, 3] = (0, -18, 14) - affine[:3, :3] @ (np.array(shape) - 1) / 2
    return affine


def make_versions(folder: Path, frames: int) -> dict[str, Path]:
    """Write a dataset for each version; return their roots."""
    made, people = folder / "phantom", str(1 + OTHERS)
    program = [sys.executable, "-m", "bids_dtg.cli.phantom", str(made)]
    program += ["--participants", people, "--frames", str(frames)]
    subprocess.run(program, check=True, capture_output=True)
    ready = made / "fmriprep"
    bold = sorted(ready.rglob("*_desc-preproc_bold.nii.gz"))[0]
    rest = bold.name.partition("_space-")[0]
    person = rest.partition("_")[0]
    others = [path.name for path in ready.glob("sub-*") if path.name != person]
    versions = {"on the grid": ready}
    for name, space, matrix, affine, shape in VERSIONS:
        root = folder / name
        shutil.copytree(ready, root, ignore=shutil.ignore_patterns("*_space-*", *others))
        func = root / bold.parent.relative_to(ready)
        resample(bold, affine, shape, matrix, func / f"{rest}_{space}desc-preproc_bold.nii.gz")
        versions[name] = root
    native = versions["native, 2.4 mm"]
    normalisation = f"{person}_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.h5"
    write_transform(native / person / "anat" / normalisation, TURN)
    func = native / bold.parent.relative_to(ready)
    (func / f"{rest}_from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt").write_text(IDENTITY)
    place = f"tpl-MNI152NLin6Asym_from-{OTHER}_mode-image_xfm.h5"
    write_transform(folder / "templateflow" / "tpl-MNI152NLin6Asym" / place, SLIGHT)
    return versions


# Name, entity of the space, affine part of the transform to it, affine and shape of the grid.
VERSIONS = [
    ("3 mm", "space-MNI152NLin6Asym_res-3_", None, grid_affine(3.0, (64, 76, 64), 0), (64, 76, 64)),
    (
        "2009cAsym, 2 mm",
        f"space-{OTHER}_res-2_",
        SLIGHT,
        grid_affine(2.0, (97, 115, 97), 0),
        (97, 115, 97),
    ),
    ("native, 2.4 mm", "", TURN, grid_affine(2.4, (90, 105, 90), 0.25), (90, 105, 90)),
]


def maps_of(folder: Path, pattern: str, mask: np.ndarray, labels: list[str]) -> np.ndarray:
    """Read maps (people, contrasts, voxels), people in the order of their labels."""
    found = [sorted(folder.rglob(pattern.format(label))) for label in labels]
    people = zip(*found, strict=True)
    return np.array([[nib.load(path).get_fdata()[mask] for path in paths] for paths in people])


def agreement(maps: np.ndarray, others: np.ndarray) -> str:
    """Return the mean and the smallest r over contrasts."""
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(maps, others, strict=True)]
    return f"{np.mean(r):.3f} ({np.min(r):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=240)
    options = parser.parse_args()
    bundle = load_bundle("demo")
    labels = [contrast.label for contrast in bundle.contrasts]
    with tempfile.TemporaryDirectory(prefix="dtg-bench-") as temporary:
        folder = Path(temporary)
        os.environ["TEMPLATEFLOW_HOME"] = str(folder / "templateflow")
        versions = make_versions(folder, options.frames)
        pattern = "*_contrast-{}_*statmap.nii.gz"
        truth = maps_of(folder / "phantom" / "truth", pattern, bundle.places.mask, labels)[0]
        print("| given as | interpolation | r with the grid's | own part | r with the truth |")
        print("|---|---|---|---|---|")
        ready = None
        for name, root in versions.items():
            for kind in ("cubic", "linear", "nearest") if ready is not None else ("none",):
                out = folder / "out" / f"{name} {kind}"
                command = [sys.executable, "-m", "bids_dtg.cli", str(root), str(out), "participant"]
                how = ["--interpolation", kind] if kind != "none" else []
                subprocess.run([*command, "--model", "demo", *how], check=True, capture_output=True)
                pattern = "*_contrast-{}_*desc-synthetic_statmap.nii.gz"
                found, *others = maps_of(out, pattern, bundle.places.mask, labels)
                if ready is None:
                    ready, mean = found, np.mean(others, axis=0)
                own = agreement(found - mean, ready - mean)
                cells = (name, kind, agreement(found, ready), own, agreement(found, truth))
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
