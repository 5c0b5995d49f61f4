"""A participant's surfaces reach the model's space, or are refused for what is wrong with them."""

from __future__ import annotations

import numpy as np
import pytest
from person_surfaces import add_fmriprep_surfaces, in_t1w, template_mesh, write_surface

from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.errors import RunError
from bids_dtg.imaging.surfaces.meshes import SIDES, fs_lr_sphere, read_midthickness
from bids_dtg.inputs.anatomy import SurfaceFiles, SurfaceSide
from bids_dtg.inputs.run import TransformFile

BRAIN = load_bundle("demo").brain_voxels


def _files(anat, *, native=False):
    stem = "sub-01_hemi-{}"
    mesh = "" if native else "_space-fsLR_den-32k"
    named = {"sphere": "space-fsLR_desc-msmsulc_sphere", "fsaverage_sphere": "desc-reg_sphere"}
    return SurfaceFiles(
        "a test",
        {
            side: SurfaceSide(
                anat / f"{stem.format(side)}{mesh}_midthickness.surf.gii",
                **{
                    key: anat / f"{stem.format(side)}_{name}.surf.gii"
                    for key, name in named.items()
                    if native
                },
            )
            for side in SIDES
        },
        (TransformFile(anat / "sub-01_from-MNI152NLin6Asym_to-T1w_mode-image_xfm.txt"),),
    )


@pytest.mark.slow
@pytest.mark.parametrize("native", [False, True], ids=["fsLR", "native mesh"])
def test_points_come_back_from_the_persons_space(tmp_path, native):
    anat = add_fmriprep_surfaces(tmp_path, "01", native=native)
    points = read_midthickness(_files(anat, native=native), BRAIN)
    for side in SIDES:
        np.testing.assert_allclose(points[side], template_mesh(side)[0], atol=1e-3)


def test_points_in_another_space_than_the_name_says_are_refused(tmp_path):
    anat = add_fmriprep_surfaces(tmp_path, "01")
    t1w_as_template = SurfaceFiles("a test", _files(anat).sides)
    with pytest.raises(RunError, match=r"hemi-L.* has 9?\d\.\d% of its vertices in the brain mask"):
        read_midthickness(t1w_as_template, BRAIN)
    for side in SIDES:  # as XCP-D writes them: moved to the template before
        path = _files(anat).sides[side].midthickness
        write_surface(path, *template_mesh(side))
    with pytest.raises(RunError, match=r"in another space than its name says"):
        read_midthickness(_files(anat), BRAIN)


def test_another_mesh_is_refused(tmp_path):
    anat = add_fmriprep_surfaces(tmp_path, "01")
    path = _files(anat).sides["L"].midthickness
    write_surface(path, in_t1w(template_mesh("L")[0][:99]), np.array([[0, 1, 2]]))
    with pytest.raises(RunError, match=r"hemi-L.* has 99 vertices\. Expected: 32492"):
        read_midthickness(_files(anat), BRAIN)


def test_a_sphere_that_is_a_copy_of_fsaverages_is_refused(tmp_path):
    anat = add_fmriprep_surfaces(tmp_path, "01", native=True)
    side = _files(anat, native=True).sides["L"]
    side.sphere.write_bytes(side.fsaverage_sphere.read_bytes())
    with pytest.raises(RunError, match=r"msmsulc_sphere.* is a copy of .*desc-reg_sphere"):
        read_midthickness(_files(anat, native=True), BRAIN)
    write_surface(side.sphere, fs_lr_sphere("L")[:50], np.array([[0, 1, 2]]))
    with pytest.raises(RunError, match=r"has 50 vertices\. Expected: 32492"):
        read_midthickness(_files(anat, native=True), BRAIN)


def test_a_real_transform(shared):
    real = shared / "data/real"
    anat = real / "surfaces/sub-HAPPYTEST/anat"
    name = "sub-HAPPYTEST_from-MNI152NLin6Asym_to-T1w_mode-image_xfm.h5"
    stem = str(anat / "sub-HAPPYTEST_hemi-{}_space-fsLR_den-32k_midthickness.surf.gii")
    sides = {side: SurfaceSide(type(anat)(stem.format(side))) for side in SIDES}
    transform = TransformFile(real / "fmriprep_like/sub-HAPPYTEST/anat" / name)
    found = read_midthickness(SurfaceFiles("a test", sides, (transform,)), BRAIN)
    reference = np.load(real / "surfaces/reference/sub-HAPPYTEST_points.npz")
    for side in SIDES:
        np.testing.assert_allclose(found[side], reference[f"fsLR32k_{side}_mni"], atol=1e-4)
