"""Values of parcels at voxels and vertices, against Connectome Workbench and their definition."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from cifti_people import parcels_axis
from workbench_painting import AFFINE, SHAPE, stored_labels

from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.errors import RunError
from bids_dtg.imaging.grid import TEMPLATE_GRIDS, Grid, apply_affine
from bids_dtg.imaging.surfaces.cifti import CORTEX, ParcelPlaces
from bids_dtg.imaging.surfaces.meshes import SIDES, both_sides, read_template
from bids_dtg.imaging.surfaces.painting import (
    TEMPLATE_MM,
    paint_mesh,
    paint_voxels,
    read_over_parcels,
    voxels_near,
    voxels_near_template,
)
from bids_dtg.imaging.surfaces.vertices import template_mesh

GRID = Grid(SHAPE, AFFINE, "MNI152NLin6Asym")


@pytest.fixture(scope="module")
def glasser() -> ParcelPlaces:
    places = load_bundle("hcp-glasser").places
    assert isinstance(places, ParcelPlaces)
    return places


@pytest.fixture(scope="module")
def painted(glasser) -> np.ndarray:
    """The label of each voxel, (i, j, k); 0: none."""
    voxels, painting = paint_voxels(glasser, *voxels_near_template(GRID))
    return voxels.volume(painting.parcel + 1)


def test_labels_are_those_of_workbench(painted):
    """Workbench paints each hemisphere by itself, so voxels between both are left out."""
    left_labels, right_labels = map(stored_labels, SIDES)
    between = (left_labels > 0) & (right_labels > 0)
    wanted = left_labels + right_labels
    either = ((wanted > 0) | (painted > 0)) & ~between
    assert np.count_nonzero(either) > 115_000
    assert np.count_nonzero(between) < 2_000
    assert (painted == wanted)[either].mean() >= 0.995


@pytest.mark.parametrize("grid", TEMPLATE_GRIDS.values(), ids=TEMPLATE_GRIDS)
def test_the_stored_nearest_vertices_are_those_of_a_search(grid):
    voxels, nearest = voxels_near(template_mesh(grid.space), grid, TEMPLATE_MM)
    stored, stored_nearest = voxels_near_template(grid)
    np.testing.assert_array_equal(stored.positions, voxels.positions)
    np.testing.assert_array_equal(stored_nearest, nearest)


def test_every_parcel_has_voxels_and_the_medial_wall_has_none(painted):
    sizes = np.bincount(painted.ravel(), minlength=361)[1:]
    assert (sizes.sum(), sizes.min(), np.median(sizes)) == (120_260, 70, 261.5)
    template = read_template("fsLR")
    for side in SIDES:
        wall = template.points[side][~template.cortex[side]]
        index = np.rint(apply_affine(np.linalg.inv(AFFINE), wall)).astype(int)
        # At the wall's rim, a voxel may be nearer to a vertex of the cortex.
        assert (painted[tuple(index.T)] == 0).mean() > 0.8


def test_all_of_the_cortex_has_a_parcel_on_meshes(glasser):
    template = read_template("fsLR")
    painting = paint_mesh(glasser, "fsLR")
    cortex = both_sides(template.cortex)
    np.testing.assert_array_equal(painting.whole, cortex)
    assert np.count_nonzero(cortex) == 59_412
    left_vertices = glasser.axis.vertices[7][CORTEX[0]]
    values = painting.apply(np.arange(360.0)[None])[0]
    np.testing.assert_array_equal(np.flatnonzero(values == 7), left_vertices)
    assert np.isnan(values[~cortex]).all()
    coarse = paint_mesh(glasser, "fsaverage")
    assert (len(coarse.parcel), np.count_nonzero(coarse.whole)) == (20_484, 18_766)


@pytest.mark.parametrize("space", ["MNI152NLin6Asym", "MNI152NLin2009cAsym"])
def test_painted_volumes_are_read_back_over_parcels(glasser, tmp_path, space):
    bundle = load_bundle("hcp-glasser")
    values = bundle.mean[7].copy()
    values[glasser.names.index("L_V1_ROI")] = 0  # a value of 0 is none
    near = voxels_near_template(TEMPLATE_GRIDS[space])
    voxels, painting = paint_voxels(glasser, *near)
    path = tmp_path / "map.nii.gz"
    path.write_bytes(voxels.encode(painting.apply(values[None])[0]))
    parcel_values = read_over_parcels(glasser, space, path)
    assert np.isnan(parcel_values[glasser.names.index("L_V1_ROI")])
    values[values == 0] = np.nan
    np.testing.assert_array_equal(parcel_values, values)
    volume = voxels.volume(painting.apply(values[None])[0])
    volume[tuple(voxels.index[-1])] += 1  # so that parcels do not have one value each
    image = nib.Nifti1Image(volume, voxels.grid.affine)
    nib.save(image, path)
    at_vertices = read_over_parcels(glasser, space, path)
    finite = np.isfinite(at_vertices)
    assert finite.sum() >= 350
    assert np.median(np.abs(at_vertices - values)[finite]) > 0.01
    assert np.corrcoef(at_vertices[finite], values[finite])[0, 1] > 0.995


def test_parcels_of_voxels_are_painted_as_these_voxels():
    places = ParcelPlaces.of_axis(parcels_axis())
    voxels, painting = paint_voxels(places, *voxels_near_template(GRID))
    amygdala = places.names.index("AMYGDALA")
    centres = voxels.points[painting.parcel == amygdala]
    axis = places.axis
    wanted = nib.affines.apply_affine(axis.affine, axis.voxels[amygdala])
    assert {*map(tuple, centres.tolist())} == {*map(tuple, wanted.tolist())}
    elsewhere = voxels_near_template(TEMPLATE_GRIDS["MNI152NLin2009cAsym"])
    with pytest.raises(RunError, match="AMYGDALA has voxels, which are not those of"):
        paint_voxels(places, *elsewhere)
