"""Full names of cortical areas."""

from __future__ import annotations

from bids_dtg import load_bundle
from bids_dtg.contrasts.panels.regions import area_in_words, short_area


def test_every_parcel_of_the_model_that_ships_has_a_full_name():
    names = load_bundle("hcp-glasser").places.names
    words = [area_in_words(name) for name in names]
    assert len({*words}) == len(names) == 360
    for name, text in zip(names, words, strict=True):
        side, area = name.removesuffix("_ROI").split("_")
        begin = {"L": "left", "R": "right"}[side]
        assert short_area(name) == f"{begin} {area}"
        assert text.startswith(f"{begin} {area} (")
        assert text.endswith(")")


def test_names_of_other_atlases_stay_as_they_are():
    for name in ("L_insula", "lh_V1", "R_V1_extra", "V1"):
        assert area_in_words(name) == short_area(name) == name
