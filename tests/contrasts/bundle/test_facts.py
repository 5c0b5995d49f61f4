from __future__ import annotations

import dataclasses

import pytest
from cifti_people import write_parcel_bundle
from maps_bundle import write_tiny_bundle

from bids_dtg.contrasts.bundle.facts import maps_facts, maps_tables


@pytest.mark.slow
def test_a_row_a_model(tmp_path):
    rows = [
        {"model": "group average", "r": [0.5259, 0.51, 0.54]},
        {
            "model": "network",
            "r": [0.5, None, None],
            "ratio": 0.0206,
            "residual_r": None,
        },
    ]
    evaluation = {"participants": 7, "conventions": "r: of maps", "rows": rows}
    bundle = write_tiny_bundle(tmp_path / "tiny")
    assert not any("MODEL" in line for line in maps_tables(bundle))
    card = dataclasses.replace(bundle.card, evaluation=evaluation)
    *_, heading, titles, first, second, conventions = maps_tables(
        dataclasses.replace(bundle, card=card)
    )
    assert heading == "scores on 7 people not trained on"
    assert titles.split()[:2] == ["MODEL", "R"]
    assert first == "group average  0.526 [0.510, 0.540]"
    assert second.split() == ["network", "0.500", "0.021"]
    assert conventions == "r: of maps"
    card = dataclasses.replace(
        bundle.card, evaluation={**evaluation, "cross_validation": 5}
    )
    page = maps_tables(dataclasses.replace(bundle, card=card))
    assert (
        "scores on 7 people by cross-validation, each predicted by a fit to others"
        in page
    )


@pytest.mark.slow
def test_facts_say_what_a_model_reads(tmp_path):
    facts = dict(maps_facts(write_tiny_bundle(tmp_path / "joined", sample="session")))
    assert facts["segment"] == "none, runs of a session are joined (432 s in training)"
    facts = dict(maps_facts(write_parcel_bundle(tmp_path / "parcels")))
    assert facts["grid"] == "none, it reads parcels"
