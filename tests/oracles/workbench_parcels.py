"""Series of parcels by Connectome Workbench, for the real person HAPPYTEST of the shared data.

    python tests/oracles/workbench_parcels.py SHARED     (needs wb_command)

writes ``workbench_parcels.npz`` beside this file: for each version of the run, on the person's own
surfaces and on the template's, `wb_command -volume-to-surface-mapping -trilinear` of some frames,
and means over the vertices of each parcel that the program uses.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np

HERE = Path(__file__).parent
STORED = HERE / "workbench_parcels.npz"
FRAMES = (0, 50, 109)
STRUCTURES = {"L": "CORTEX_LEFT", "R": "CORTEX_RIGHT"}


def sampled(volume: Path, surface: Path, folder: Path) -> np.ndarray:
    """Sample a volume at the vertices of a surface, (frames, vertices)."""
    out = folder / "sampled.func.gii"
    words = [
        "wb_command",
        "-volume-to-surface-mapping",
        volume,
        surface,
        out,
        "-trilinear",
    ]
    subprocess.run([*map(str, words)], check=True)
    return np.stack([array.data for array in nib.load(out).darrays])


def means(root: Path, run, places, folder: Path) -> np.ndarray:
    """Return means (frames, parcels) of a run."""
    from person_surfaces import template_mesh, write_surface

    from bids_dtg.imaging.surfaces.vertices import parcels_of_vertices
    from bids_dtg.imaging.transforms import map_points, read_transforms
    from bids_dtg.participants.run_source import plan_run
    from bids_dtg.participants.vertex_series import VertexSeries, surface_of
    from bids_dtg.settings import CleaningOptions

    image = nib.load(run.bold)
    volumes = [image.dataobj[..., frame] for frame in FRAMES]
    frames = np.stack(volumes, axis=3).astype(np.float32)
    selected = folder / "frames.nii.gz"
    nib.save(nib.Nifti1Image(frames, image.affine), selected)
    planned = plan_run(run, places.space, CleaningOptions(min_minutes=1))
    series = VertexSeries.of(run, planned.header, places, planned.design.keep)
    for _ in series.blocks(lambda first, stored: None):
        pass  # vertices that leave the field of view are known after the last frame
    mesh, used = surface_of(run)
    usable = {}
    of_sides = parcels_of_vertices(places)
    left_vertices = np.count_nonzero(of_sides["L"] >= 0)
    usable["L"], usable["R"] = np.split(series.usable, [left_vertices])
    sums, counts = np.zeros((len(FRAMES), places.number)), np.zeros(places.number)
    for side, structure in STRUCTURES.items():
        points = map_points(mesh[side], read_transforms(used.files.transforms))
        surface = write_surface(
            folder / f"{side}.surf.gii", points, template_mesh(side)[1]
        )
        words = ["wb_command", "-set-structure", surface, structure]
        subprocess.run([*map(str, words)], check=True)
        (at,) = np.nonzero(of_sides[side] >= 0)
        at = at[usable[side]]
        parcel, values = of_sides[side][at], sampled(selected, surface, folder)
        counts += np.bincount(parcel, minlength=places.number)
        for row, frame in zip(sums, values, strict=True):
            row += np.bincount(parcel, frame[at], places.number)
    return sums / counts


def main(shared: Path) -> None:
    """Write the file."""
    sys.path[:0] = [str(HERE.parent / "builders")]
    from happy_person import VERSIONS, write_happy_person

    from bids_dtg import load_bundle
    from bids_dtg.inputs.runs import find_runs
    from bids_dtg.inputs.space_choice import SpaceRule

    places, series = load_bundle("hcp-glasser").places, {}
    for version in VERSIONS:
        for own_surfaces in (True, False):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                root = write_happy_person(
                    shared, folder, versions=(version,), own_surfaces=own_surfaces
                )
                rule = SpaceRule(model="fsLR parcels")
                (run,) = find_runs(root, "HAPPYTEST", rule=rule)
                key = f"{version} {'own' if own_surfaces else 'template'}"
                series[key] = means(root, run, places, folder).astype(np.float32)
    np.savez_compressed(STORED, **series)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
