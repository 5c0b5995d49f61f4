"""The demo bundle as shipped: whole, small, marked, and as good as its card says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bids_dtg.bundles import store
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.participant.model import Model
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.phantom.streams import Cohort


@pytest.fixture(scope="module")
def demo():
    # Loading compares every file with the hash that its card lists.
    return load_bundle(store.PACKAGE_FOLDER / "demo")


def test_it_has_the_published_geometry_and_says_what_it_is(demo):
    assert demo.grid.shape == (76, 93, 78)
    assert demo.roi_maps.shape[0] == 50
    assert demo.contrasts == hcp_contrasts()
    assert not demo.card.for_science
    assert "not for science" in demo.card.notice
    assert "SIMULATED" in demo.card.training.data


@pytest.mark.slow
def test_its_roi_maps_are_those_of_the_phantom(demo):
    phantom = Phantom()
    brain = demo.brain_voxels.mask.ravel()
    assert np.array_equal(brain, phantom.anatomy.brain.ravel())
    roi_maps = demo.roi_maps[:, phantom.anatomy.grey_in_brain]
    np.testing.assert_allclose(roi_maps, phantom.roi_maps, rtol=0, atol=0.006)


def test_its_table_says_what_was_wanted(demo):
    evaluation = demo.card.evaluation
    assert evaluation["participants"] >= 40
    rows = {row["model"]: row for row in evaluation["rows"]}
    network, linear = rows["network, re-centred"], rows["linear (Tavor)"]
    assert network["r_minus_group_average"][1] > 0  # lower end of the interval
    assert network["r"][1] > linear["r"][2]
    verdicts = {
        row["question"] or (row["score"], row["against"]): row["verdict"]
        for row in evaluation["comparisons"]
    }
    assert verdicts["individual"] == verdicts["worth using"] == "better"
    # The published baseline identifies people better; the page says so.
    assert verdicts["identification", "linear (Tavor)"] == "worse"
    assert verdicts["residual_r", "linear (Tavor)"] == "worse"


def test_who_judged_it_has_not_made_it(demo):
    sets = demo.people.sets
    assert {name: len(people) for name, people in sets.items()} == {
        "training": 240,
        "validation": 40,
        "calibration": 40,
        "test": 40,
    }
    assert len({person[0] for people in sets.values() for person in people}) == 360


@pytest.mark.slow
def test_its_maps_tell_a_new_person_from_another(demo):
    phantom = Phantom()
    measured = []
    predicted = []
    model = Model(demo, "cpu", 2)
    for index in (1000, 1001, 1002):
        person = phantom.person(Cohort.TEST, index)
        maps = model.predict(np.ascontiguousarray(person.connectome(0, 0)))
        predicted.append(maps)
        measured.append(person.true_maps())
    p, m = (np.stack(maps) - np.mean(maps, axis=0) for maps in (predicted, measured))
    # Deviations from the three people's mean, over contrasts and voxels.
    assert np.corrcoef(p.ravel(), m.ravel())[0, 1] > 0.05


def test_the_documented_table_is_the_card_s(demo):
    page = (Path(__file__).parents[2] / "docs" / "evidence.md").read_text("utf-8")
    table = page.partition("| demo model |")[2].partition("\n\n")[0].splitlines()
    rows = {row["model"]: row for row in demo.card.evaluation["rows"]}
    for line in table[2:]:
        model, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        figures = (rows[model][key] for key in ("r", "identification", "residual_r"))
        assert cells == [
            f"{mean:.3f} [{low:.3f}, {high:.3f}]" for mean, low, high in figures
        ]
    assert len(table) == 5


def test_it_has_half_widths_of_people_apart(demo):
    widths = demo.half_widths
    assert (widths.people, widths.segments, widths.left_out_in_turn) == (40, 4, False)
    assert np.isfinite(widths.at_places).all()
    # As the card says of them, over voxels and contrasts.
    stated = demo.card.evaluation["intervals"]["mean_half_width_90"]
    assert widths.at_places.mean() == pytest.approx(stated, abs=0.002)
