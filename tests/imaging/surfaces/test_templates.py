"""Template surfaces: in the space that they are said to be in, and equal to their sources."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.imaging.surfaces.meshes import (
    SIDES,
    fs_lr_sphere,
    read_surface,
    read_template,
    share_inside,
)

# Numbers of vertices a side.
SIZES = {"fsLR": 32492, "fsaverage": 10242}


@pytest.mark.parametrize("space", ["fsLR", "fsaverage"])
def test_each_side_lies_on_its_side_in_the_brain_with_triangles_outward(space):
    template, brain = read_template(space), load_bundle("demo").brain_voxels
    for side, sign in zip(SIDES, (-1, 1), strict=True):
        points, faces = template.points[side], template.faces[side]
        assert points.shape == (SIZES[space], 3)
        assert template.cortex[side].shape == (SIZES[space],)
        assert share_inside(points, brain) > 0.99
        assert np.mean(np.sign(points[:, 0]) == sign) > 0.97
        # Each edge of a closed surface without handles lies in two triangles: V - E + F = 2.
        assert len(faces) == 2 * SIZES[space] - 4
        corners = points[faces]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        volume = (normals * corners[:, 0]).sum() / 6  # mm3, positive where normals look outward
        assert 2e5 < volume < 7e5


def test_they_equal_their_sources(shared):
    folder = shared / "data/real/surfaces"
    template = read_template("fsLR")
    for side in SIDES:
        stem = f"tpl-fsLR/tpl-fsLR_desc-regfusion_hemi-{side}_den-32k_midthickness.surf.gii"
        points, faces = read_surface(folder / stem)
        np.testing.assert_array_equal(template.points[side], points)
        same = np.sort(template.faces[side], axis=1) == np.sort(faces, axis=1)
        assert same.all()
        roi = nib.load(folder / f"tpl-fsLR/{side}.atlasroi.32k_fs_LR.shape.gii").darrays[0].data > 0
        np.testing.assert_array_equal(template.cortex[side], roi)
        sphere, _ = read_surface(folder / f"tpl-fsLR/tpl-fsLR_hemi-{side}_den-32k_sphere.surf.gii")
        np.testing.assert_array_equal(fs_lr_sphere(side), sphere)
        stem = f"tpl-fsaverage/tpl-fsaverage_desc-regfusion_hemi-{side}_den-10k_midthickness"
        points, faces = read_surface(folder / f"{stem}.surf.gii")
        np.testing.assert_array_equal(read_template("fsaverage").points[side], points)
        np.testing.assert_array_equal(read_template("fsaverage").faces[side], faces)
