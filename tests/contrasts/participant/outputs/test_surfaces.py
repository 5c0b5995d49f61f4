"""Maps on surfaces through the whole program, from fMRIPrep's folders and HCP's."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from fmriprep_dataset import describe_dataset
from maps_bundle import extend_bundle, write_tiny_bundle
from maps_job import FRAMES, TR, TinyJob, add_rest
from person_surfaces import add_fmriprep_surfaces, add_hcp_surfaces, write_surface
from study_folders import add_hcp_run

from bids_dtg.contrasts.half_width import HalfWidths
from bids_dtg.contrasts.participant.outputs.surfaces import check_surfaces
from bids_dtg.errors import SettingsError
from bids_dtg.files.sidecars import read_inherited
from bids_dtg.imaging.surfaces.cifti import CORTEX, standard_grayordinates
from bids_dtg.imaging.surfaces.meshes import SIDES, read_template

pytestmark = pytest.mark.slow

AXIS = standard_grayordinates()
VERTICES = dict(
    zip("LR", (AXIS.vertex[AXIS.name == side] for side in CORTEX), strict=True)
)
# 8 mm voxels over the whole brain, on the lattice of the template.
SHAPE = (20, 24, 21)
AFFINE = np.array([[-8.0, 0, 0, 76], [0, 8, 0, -110], [0, 0, 8, -76], [0, 0, 0, 1]])


class SurfaceJob(TinyJob):
    """A small model of the whole brain with half-widths, and a participant of one kind of input."""

    def __init__(self, folder: Path, kind: str = "fmriprep") -> None:
        self.folder, self.out = folder, folder / "out"
        whole = np.ones(SHAPE, bool)
        grey = whole.copy()
        grey[:, :, 14] = False  # a gap, so that some vertices have part of their voxels
        plain = write_tiny_bundle(
            folder / "plain", shape=SHAPE, affine=AFFINE, masks=(whole, grey)
        )
        self.bundle = _with_half_widths(plain, folder / "model")
        self.model = self.bundle.path
        rng = np.random.default_rng(0)
        waves, mixing = rng.normal(size=(6, FRAMES)), rng.normal(size=(*SHAPE, 6))
        noise = 20 * rng.normal(size=(*SHAPE, FRAMES))
        bold = (1000 + 30 * mixing @ waves + noise).round().astype(np.int16)
        self.bids = folder / kind
        if kind == "hcp":
            add_hcp_run(self.bids, bold=bold, affine=AFFINE, tr=TR)
        else:
            describe_dataset(self.bids)
            add_rest(self.bids, bold=bold, affine=AFFINE)


def _with_half_widths(bundle, folder):
    lattice = bundle.places.lattice(4)
    shape = (len(bundle.contrasts), *lattice.shape)
    widths = HalfWidths(20, 4, np.full(shape, 1.28, np.float32), lattice)
    return extend_bundle(bundle, folder, half_widths=widths)


def read_metrics(path: Path) -> tuple[list[str], np.ndarray]:
    """Return the names of maps and their values, (maps, vertices), as nibabel reads them."""
    arrays = nib.load(path).darrays
    return [array.metadata["Name"] for array in arrays], np.stack(
        [array.data for array in arrays]
    )


def dscalars(out: Path, desc: str = "synthetic") -> list[Path]:
    return sorted(out.rglob(f"*_space-fsLR_den-91k_*desc-{desc}*_statmap.dscalar.nii"))


def read_dscalar(path: Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the names of maps and their values, (maps, grayordinates), as nibabel reads them."""
    image = nib.load(path)
    assert image.header.get_axis(1) == AXIS
    return tuple(image.header.get_axis(0).name), image.get_fdata(dtype=np.float32)


def one_dscalar(out: Path, desc: str = "synthetic") -> np.ndarray:
    (path,) = dscalars(out, desc)
    return read_dscalar(path)[1]


def facts(path: Path) -> dict:
    return read_inherited(path)


def expected(job: SurfaceJob, points: np.ndarray) -> np.ndarray:
    """Sample the written maps by nilearn where all voxels around a point have a value."""
    from nilearn.surface import vol_to_surf

    maps = []
    for contrast in job.bundle.contrasts:
        (path,) = job.out.glob(
            f"sub-*/**/*contrast-{contrast.label}_*desc-synthetic*.nii.gz"
        )
        image = nib.load(path)
        values = np.where(job.bundle.places.mask, image.get_fdata(), np.nan)
        faces = read_template("fsLR").faces["L"]
        options = {
            "interpolation": "linear",
            "kind": "ball",
            "radius": 0.0,
            "n_samples": 1,
        }
        maps.append(
            vol_to_surf(
                nib.Nifti1Image(values, image.affine), [points, faces], **options
            )
        )
    return np.stack(maps)


@pytest.mark.parametrize("kind", ["fmriprep", "hcp"])
def test_maps_are_sampled_on_the_participants_surfaces(tmp_path, kind):
    job = SurfaceJob(tmp_path, kind)
    if kind == "hcp":
        person = next(path for path in job.bids.iterdir() if path.is_dir())
        add_hcp_surfaces(person)
    else:
        add_fmriprep_surfaces(job.bids, "01")
    assert job.run("--surfaces", "fsLR", "fsaverage") == 0
    (path,) = dscalars(job.out)
    names, values = read_dscalar(path)
    assert list(names) == [contrast.label for contrast in job.bundle.contrasts]
    points = read_template("fsLR").points["L"]
    wanted = expected(job, points)[:, VERTICES["L"]]
    whole = np.isfinite(wanted).all(axis=0)
    assert 0.7 < whole.mean() < 1  # the others lie at the gap
    np.testing.assert_allclose(
        values[:, : len(whole)][:, whole], wanted[:, whole], atol=1e-4
    )
    sidecar = facts(path)
    assert sidecar["Surfaces"] == "participant"
    where = "MNINonLinear/fsaverage_LR32k" if kind == "hcp" else "sub-01/anat"
    assert where in sidecar["SurfaceNote"]
    assert len(sidecar["SurfaceSources"]) == (2 if kind == "hcp" else 3)
    assert all(uri.startswith("bids:") for uri in sidecar["SurfaceSources"])
    assert sidecar["Synthetic"] is True  # inherited from the average's
    assert sidecar["Density"].startswith("91,282 grayordinates")
    assert 0.1 < sidecar["ShareOfVerticesWithPartialSupport"] < 0.4
    assert str(tmp_path) not in json.dumps(sidecar)
    for side in SIDES:
        stem = f"*_hemi-{side}_space-fsaverage_den-10k_stat-z_desc-synthetic_statmap.func.gii"
        (metric,) = path.parent.glob(stem)
        names, maps = read_metrics(metric)
        assert list(names) == [contrast.label for contrast in job.bundle.contrasts]
        assert maps.shape == (3, 10242)


def test_both_files_of_a_side_hold_the_same_and_no_medial_wall(tmp_path):
    job = SurfaceJob(tmp_path)
    assert job.run("--surfaces", "fsLR") == 0
    values, start = one_dscalar(job.out), 0
    for side, word in zip(SIDES, ("CortexLeft", "CortexRight"), strict=True):
        (path,) = job.out.rglob(
            f"*_hemi-{side}_space-fsLR_den-32k_stat-z_desc-synthetic*.func.gii"
        )
        assert nib.load(path).meta["AnatomicalStructurePrimary"] == word
        maps = read_metrics(path)[1]
        vertices = VERTICES[side]
        np.testing.assert_array_equal(
            maps[:, vertices], values[:, start : start + len(vertices)]
        )
        wall = np.setdiff1d(np.arange(maps.shape[1]), vertices)
        assert np.isnan(maps[:, wall]).all()
        start += len(vertices)


def test_a_change_of_the_surfaces_makes_the_set_anew(tmp_path, capsys):
    job = SurfaceJob(tmp_path)
    arguments = ("--surfaces", "fsLR")
    assert job.run(*arguments) == 0
    first = one_dscalar(job.out)
    anat = add_fmriprep_surfaces(job.bids, "01")
    assert job.run(*arguments) == 0
    np.testing.assert_allclose(
        one_dscalar(job.out), first, atol=0.05
    )  # as the template's points
    (path,) = dscalars(job.out)
    assert facts(path)["Surfaces"] == "participant"
    time = path.stat().st_mtime_ns
    assert job.run(*arguments) == 0
    assert path.stat().st_mtime_ns == time  # nothing has changed
    left_mesh = anat / "sub-01_hemi-L_space-fsLR_den-32k_midthickness.surf.gii"
    points, faces = read_template("fsLR").points["L"], read_template("fsLR").faces["L"]
    write_surface(left_mesh, points + np.array([0, 0, 80]), faces)
    assert job.run(*arguments) == 1
    assert "% of its vertices" in capsys.readouterr().err
    left_mesh.unlink()
    assert job.run(*arguments) == 0
    assert facts(path)["Surfaces"] == "template"


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (
            lambda path: write_surface(path, *_far_from_the_head()),
            "% of its vertices",
        ),
        (
            lambda path: path.write_text("/annex/objects/MD5E-s1--a\n"),
            "has no content here",
        ),
    ],
)
def test_surfaces_that_cannot_be_used_are_named(tmp_path, capsys, spoil, why):
    job = SurfaceJob(tmp_path)
    anat = add_fmriprep_surfaces(job.bids, "01")
    spoil(anat / "sub-01_hemi-L_space-fsLR_den-32k_midthickness.surf.gii")
    assert job.run("--surfaces", "fsLR", "fsaverage") == 1
    log = capsys.readouterr().err
    assert why in log
    assert "1 participant failed" in log
    assert not list(job.out.rglob("*_statmap.*"))
    assert job.run("--surfaces", "fsaverage") == 0
    assert list(job.out.rglob("*_space-fsaverage_*synthetic*.func.gii"))


def _far_from_the_head() -> tuple[np.ndarray, np.ndarray]:
    template = read_template("fsLR")
    return template.points["L"] + np.array([0, 0, 80]), template.faces["L"]


def test_models_of_other_spaces_are_refused():
    assert check_surfaces(["fsLR", "fsaverage", "fsLR"], "MNI152NLin6Asym") == (
        "fsLR",
        "fsaverage",
    )
    with pytest.raises(
        SettingsError, match="--surfaces was given for a model in MNI152NLin2009cAsym"
    ):
        check_surfaces(["fsLR"], "MNI152NLin2009cAsym")
    assert check_surfaces([], "MNI152NLin2009cAsym") == ()
