"""Files of maps on surfaces in NiiVue, which many people look at them with."""

from __future__ import annotations

import base64
import json

import nibabel as nib
import numpy as np
import pytest
from browser import chromium, opened

from bids_dtg.imaging.gifti import encode_metrics
from bids_dtg.imaging.surfaces.grayordinates import encode_dscalar, standard_grayordinates
from bids_dtg.imaging.surfaces.templates import SIDES, read_template
from bids_dtg.report.pages.page import vendored

pytestmark = pytest.mark.slow

STRUCTURES = {"L": "CORTEX_LEFT", "R": "CORTEX_RIGHT"}
# What a person does by dragging a mesh, and then a file of maps, into the window.
OPEN = """async ([mesh, structure, name, maps]) => {
  const viewer = new niivue.Niivue({ logLevel: "error" });
  await viewer.attachToCanvas(document.querySelector("canvas"));
  const bytes = Uint8Array.from(atob(mesh), (char) => char.charCodeAt(0));
  const shown = await niivue.NVMesh.readMesh(
    bytes.buffer, "mesh.surf.gii", viewer.gl, 1, new Uint8Array([190, 190, 190, 255]));
  shown.anatomicalStructurePrimary = structure;
  await niivue.NVMesh.loadLayer({
    base64: maps, name, opacity: 1, colormap: "warm", colormapNegative: "winter",
    useNegativeCmap: true, cal_min: 0.5, cal_max: 2,
  }, shown);
  const [layer] = shown.layers;
  return { maps: layer.nFrame4D, values: Array.from(layer.values) };
}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("niivue")
    (folder / "niivue.js").write_bytes(vendored("niivue.umd.js"))
    path = folder / "page.html"
    path.write_text('<canvas width="200" height="200"></canvas><script src="niivue.js"></script>')
    with chromium() as browser, opened(browser, path) as watched:
        yield watched.page
        watched.check()


def mesh(side: str) -> bytes:
    template = read_template("fsLR")
    arrays = (
        (template.points[side].astype(np.float32), "NIFTI_INTENT_POINTSET"),
        (template.faces[side].astype(np.int32), "NIFTI_INTENT_TRIANGLE"),
    )
    return nib.gifti.GiftiImage(
        darrays=[nib.gifti.GiftiDataArray(values, intent) for values, intent in arrays]
    ).to_bytes()


@pytest.mark.flaky(reruns=1)  # waits for a browser
@pytest.mark.parametrize("kind", ["func.gii", "dscalar.nii"])
@pytest.mark.parametrize("side", SIDES)
def test_all_maps_of_a_file_open_on_their_side(page, kind, side):
    template, places = read_template("fsLR"), standard_grayordinates()
    rng, names = np.random.default_rng(0), ["languageMath", "faces", "cue"]
    values = {one: rng.normal(size=(3, 32492)).astype(np.float32) for one in SIDES}
    for one in SIDES:
        values[one][:, ~template.cortex[one]] = np.nan
    if kind == "func.gii":
        file = encode_metrics(values[side], side, names=names)
    else:
        cortex = [values[one][:, places.vertices[one]] for one in SIDES]
        below = np.zeros((3, len(places.voxels)), np.float32)
        file = encode_dscalar(np.concatenate([*cortex, below], axis=1), names)
    texts = [base64.b64encode(data).decode() for data in (mesh(side), file)]
    found = page.evaluate(OPEN, [texts[0], STRUCTURES[side], f"maps.{kind}", texts[1]])
    assert found["maps"] == 3
    shown = np.array(json.loads(json.dumps(found["values"])), float).reshape(3, -1)
    wall = template.cortex[side]
    np.testing.assert_allclose(shown[:, wall], values[side][:, wall], atol=1e-6)
