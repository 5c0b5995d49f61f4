"""What stands behind maps: the template, else the mean BOLD of a run, else nilearn's."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from fmriprep_dataset import SPACE, make_image
from measured_run import ENTITIES, measured_run
from tiny_bundle import TINY_AFFINE, TINY_SHAPE

from bids_dtg.contrasts.panels.background import keep_template, of_group, of_participant
from bids_dtg.contrasts.panels.run import PANELS
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.text import read_json
from bids_dtg.imaging.grid import Grid
from bids_dtg.inputs.templateflow import TemplateFlow
from bids_dtg.report.contents import find_participant, sidecar_of
from bids_dtg.report.panels.panel import keep_all, write_kept
from bids_dtg.report.slices import AXIAL, Box, View, standard_background
from bids_dtg.report.viewer import write_shared_files

pytest.importorskip("PIL", reason="reports need the extra [report]")

# Voxels of 3 mm, stored from the left, that cover the tiny grid and more.
SHAPE, AFFINE = (16, 18, 14), np.diag([3.0, 3, 3, 1])
AFFINE[:3, 3] = [-24, -38, -14]


@pytest.fixture
def data(tmp_path):
    return measured_run(tmp_path)


@pytest.fixture
def output(tmp_path):
    return DerivativeDataset(tmp_path / "out")


def anatomy(path) -> nib.Nifti1Image:
    """Write an image that is twice as bright on the left."""
    values = np.random.default_rng(0).uniform(100, 200, SHAPE).astype(np.float32)
    left = (AFFINE[0, 0] * np.arange(SHAPE[0]) + AFFINE[0, 3]) < -4
    values[left] *= 2
    make_image(path, values, AFFINE)
    return nib.load(path)


def expected(image: nib.Nifti1Image) -> np.ndarray:
    from nibabel.processing import resample_from_to

    return resample_from_to(image, (TINY_SHAPE, TINY_AFFINE), order=1).get_fdata()


def assert_is(background, image, bundle) -> None:
    brain = bundle.brain_voxels.mask
    shown, wanted = background.anatomy.values, expected(image)
    assert (shown[~brain] == 0).all()
    assert (shown[brain] > 0).all()
    shown, wanted = shown[brain], wanted[brain]
    dim = shown < 1  # the brightest are cut off
    wanted *= np.median(shown[dim] / wanted[dim])
    np.testing.assert_allclose(shown[dim], wanted[dim], atol=0.005)  # 8 bits


def test_the_template_stands_behind_everybodys_maps(tmp_path, data, output):
    flow = TemplateFlow(tmp_path / "flow")
    image = anatomy(flow.home / f"tpl-{SPACE}/tpl-{SPACE}_res-02_T1w.nii.gz")
    path = keep_template(output, data.bundle, flow)
    assert path.relative_to(output.root).as_posix() == (
        f"tpl-{SPACE}/tpl-{SPACE}_res-2_desc-background_T1w.nii.gz"
    )
    facts = read_json(sidecar_of(path))
    assert facts["Sources"] == [f"bids:templateflow:tpl-{SPACE}/tpl-{SPACE}_res-02_T1w.nii.gz"]
    found = of_group(output)
    assert_is(found, image, data.bundle)
    assert (found.words, found.file) == (f"TemplateFlow's template {SPACE}", path)


def test_without_it_the_mean_bold_does_and_then_nilearns(data, output):
    list(write_kept(keep_all(PANELS, data), ENTITIES, output))
    kinds = [panel.kind for panel in PANELS]
    found = of_participant(output, find_participant(output, "01", kinds))
    assert found.words.startswith("the mean BOLD of a run, as the template")
    brain = data.bundle.brain_voxels.mask
    np.testing.assert_array_equal(found.anatomy.values > 0, brain)
    assert "it is not the template of the maps" in of_group(output).words


def test_a_damaged_template_is_no_error(tmp_path, data, output):
    flow = TemplateFlow(tmp_path / "flow")
    path = flow.home / f"tpl-{SPACE}/tpl-{SPACE}_res-02_T1w.nii.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no image")
    assert keep_template(output, data.bundle, flow) is None
    path.write_bytes(b"")  # as TemplateFlow keeps what it has not fetched
    assert flow.anatomy(SPACE) is None


def test_the_viewer_gets_the_same_part_of_space(tmp_path, data, output):
    grid = Grid(TINY_SHAPE, TINY_AFFINE)
    background, box = standard_background(), Box.around(grid)
    address = write_shared_files(output, grid, background)
    assert output.path(address).is_file()
    part = background.anatomy.within(box)
    view = View(AXIAL, 4)
    np.testing.assert_allclose(part.cut(box, view), background.anatomy.cut(box, view), atol=1e-5)
    turned = data.bundle.brain_voxels.volume(np.arange(data.bundle.brain.number, dtype=np.float32))
    volume = type(part)(turned, TINY_AFFINE)  # stored from the right
    same = volume.within(box)
    assert same.affine[0, 0] == 2
    np.testing.assert_allclose(same.cut(box, view), volume.cut(box, view), atol=1e-4)


@pytest.mark.slow
def test_the_real_template_lies_on_the_models_brain(shared, output):
    from bids_dtg.contrasts.bundle.bundle import load_bundle

    home = shared / "data/real/templateflow_like"
    if TemplateFlow(home).anatomy(SPACE) is None:
        pytest.skip(f"no template at {home}")
    bundle = load_bundle("demo")
    keep_template(output, bundle, TemplateFlow(home))
    shown = of_group(output).anatomy.values[bundle.brain_voxels.mask]
    assert np.median(shown) > 0.5  # brain is bright, and what lies around it is not
    assert (
        output.path(f"tpl-{SPACE}/tpl-{SPACE}_res-2_desc-background_T1w.nii.gz").stat().st_size
        < 3e5
    )
