"""Registration of a run that was read at vertices."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from bids_dtg import load_bundle
from bids_dtg.contrasts.panels.registration import (
    OUTLINES,
    draw_cortex,
    image_grid,
    outlines_of,
)
from bids_dtg.imaging.surfaces.vertices import cortex_in_run, template_mesh
from bids_dtg.report.pictures import Volume


@pytest.fixture(scope="module")
def cortex():
    """The template's vertices in parcels, (vertices, 3), and the parcels."""
    places = load_bundle("hcp-glasser").places
    points, _ = cortex_in_run(places, template_mesh("MNI152NLin6Asym"), ())
    return points, places


def test_outlines_lie_on_the_surface_in_three_planes(cortex):
    points, places = cortex
    cuts = outlines_of(points, places)
    assert [cut["Axis"] for cut in cuts] == ["x", "y", "z"]
    assert cuts[0]["Position"] < -20  # through the left hemisphere
    for axis, cut in enumerate(cuts):
        ends = np.array(cut["Segments"].split(), float).reshape(-1, 2)
        near = np.abs(points[:, axis] - cut["Position"]) < 6
        vertices = np.delete(points[near], axis, axis=1)
        away = [np.hypot(*(vertices - end).T).min() for end in ends[::20]]
        assert max(away) < 4
        # No segment is longer than an edge of the mesh.
        assert np.hypot(*(ends[1::2] - ends[::2]).T).max() < 8
        length = np.hypot(*(ends[1::2] - ends[::2]).T).sum()
        assert 300 < length < 3000


def test_outlines_are_drawn_where_the_surface_is_in_the_image(cortex):
    points, places = cortex
    pictures = {}

    def canvas(name: str, picture: bytes) -> str:
        pictures[name] = picture
        return name

    def drawn(shift: float) -> np.ndarray:
        facts = {OUTLINES: outlines_of(points + np.array([0, 0, shift]), places)}
        grid = image_grid(points)
        bold = Volume(np.ones(grid.shape, np.float32), grid.affine)
        figure = draw_cortex(bold, {**facts, "Surface": "own"}, canvas)
        assert "the person's own surface" in figure.caption
        line = np.asarray(Image.open(BytesIO(pictures["outlines"])))[..., 3] > 127
        # In the first cut, along x.
        return np.flatnonzero(line[:, : 4 * grid.shape[1]].any(axis=1))

    # 2 pixels a mm; a surface that lies 5 mm higher is drawn 10 rows further up.
    assert drawn(0.0)[0] - drawn(5.0)[0] == pytest.approx(10, abs=2)
