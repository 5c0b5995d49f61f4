from __future__ import annotations

import json

import numpy as np
import pytest
from maps_bundle import maps_card

from bids_dtg.bundles.card import (
    WEIGHTS_FILE,
    ModelCard,
    TrainingData,
)
from bids_dtg.bundles.store import read_card
from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.bundle.part import (
    BRAIN_MASK_FILE,
    MAPS_FILE,
    MASK_FILE,
    Recentring,
)
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.errors import BundleError
from bids_dtg.imaging.grid import Grid

REQUIRED_FILES = (WEIGHTS_FILE, MAPS_FILE, BRAIN_MASK_FILE, MASK_FILE)
SETS = Form("partial", (15, 50))
FILES_OF_SETS = {
    ("maps.safetensors" if name == MAPS_FILE else name): "0" * 64
    for name in REQUIRED_FILES
}
AFFINE = np.array([[-2.0, 0, 0, 76], [0, 2, 0, -108], [0, 0, 2, -72], [0, 0, 0, 1]])


def make_card(**changes) -> ModelCard:
    fields = {
        "name": "hcp-ya",
        "version": "010525",
        "kind": "attention-unet",
        "grid": Grid((76, 93, 78), AFFINE),
        "contrasts": hcp_contrasts(),
        "training": TrainingData("HCP-YA", 0.72, "ICA-FIX", 958),
        "files": dict.fromkeys(REQUIRED_FILES, "0" * 64),
    }
    return maps_card(**(fields | changes))


def edited(path: str, value) -> str:
    """Return a card's text with the field at a dotted path changed (deleted where value is ...)."""
    content = json.loads(make_card().to_json())
    *parents, key = [
        int(part) if part.isdecimal() else part for part in path.split(".")
    ]
    target = content
    for parent in parents:
        target = target[parent]
    if value is ...:
        del target[key]
    else:
        target[key] = value
    return json.dumps(content)


RECENTRED = {"participants": 40, "segments": 4, "left_out_in_turn": False}


def without_grid(card: ModelCard) -> dict:
    """Return the fields of a card and its part but for the grid, which holds an array."""
    fields = {key: value for key, value in vars(card).items() if key != "part"}
    return fields | {
        key: value for key, value in vars(card.part).items() if key != "grid"
    }


@pytest.mark.parametrize(
    "facts",
    [
        {"kind": "linear"},
        {"kind": "attention-unet", "same_for_all": (hcp_contrasts()[3].label,)},
        {"connectome": Form("partial"), "sources": {"training.data": "stated"}},
        {"connectome": SETS, "files": FILES_OF_SETS},
    ],
    ids=["one kind", "another kind", "partial", "sets"],
)
def test_cards_come_back_in_format_1(facts):
    card = make_card(**facts)
    text = card.to_json()
    back = ModelCard.from_json(text)
    assert json.loads(text)["format_version"] == 1
    assert back.to_json() == text
    assert without_grid(back) == without_grid(card)


@pytest.mark.slow
@pytest.mark.parametrize("rois", [[50, 15], [0, 15], ["15"], [True], 15])
def test_wrong_sets_of_roi_maps_are_refused(rois):
    content = json.loads(make_card(connectome=SETS, files=FILES_OF_SETS).to_json())
    with pytest.raises(BundleError, match=r"rois is .*increasing numbers of ROIs"):
        ModelCard.from_json(json.dumps(content | {"rois": rois}))
    with pytest.raises(
        BundleError, match="no sets, because the connectome is marginal"
    ):
        ModelCard.from_json(json.dumps(content | {"connectome": "marginal"}))


def test_a_correction_and_what_is_for_readers_come_back():
    card = make_card(
        recentring=Recentring(40, 4),
        gains=tuple(np.linspace(0, 1.5, 47).tolist()),
        record={"seed": 0, "history": [{"loss": 1.5}]},
        evaluation={"rows": []},
        files=dict.fromkeys([*REQUIRED_FILES, "reference.safetensors"], "0" * 64),
    )
    back = ModelCard.from_json(card.to_json())
    assert back.to_json() == card.to_json()
    assert without_grid(back) == without_grid(card)
    assert (back.record, back.evaluation) == (card.record, card.evaluation)


def test_recentring_needs_its_file():
    card = make_card(recentring=Recentring(40, 4), gains=(1.0,) * 47)
    with pytest.raises(BundleError, match=r"lists no reference\.safetensors"):
        ModelCard.from_json(card.to_json())


@pytest.mark.parametrize(
    ("path", "value", "fact"),
    [
        (
            "format_version",
            9,
            "model.json has format version 9. Expected: 1. .*make the bundle ag",
        ),
        ("format_version", ..., "no field format_version"),
        ("kind", "vnet", 'kind is "vnet". Expected: one of linear, attention'),
        ("half_width", [], "half_width is \\[\\]"),
        ("gains", [1.0], r"gains is \[1.0\]. Expected: 47 finite numbers"),
        ("gains", [1.0] * 47, "gains is .*Expected: gains and recentring, or neither"),
        ("recentring", {}, "no field recentring.participants"),
        (
            "recentring",
            RECENTRED,
            "gains is null. Expected: gains and recentring, or neither",
        ),
        ("recentring", RECENTRED | {"n": 1}, "unknown field recentring.n"),
        (
            "connectome",
            "full",
            'connectome is "full". Expected: one of marginal, partial',
        ),
        ("same_for_all", ["unknown"], "same_for_all.*labels of contrasts"),
        ("record", [], r"record is \[\]. Expected: an object"),
        ("smoothing_fwhm", 4, "unknown field smoothing_fwhm"),
        ("grid.spce", "x", "unknown field grid.spce"),
        ("contrasts.3.colour", "red", r"unknown field contrasts\[3\].colour"),
        ("training.tr", 1, "unknown field training.tr"),
        ("name", "../evil", "name is .*Expected: letters, digits"),
        ("version", 3, "version is 3. Expected: text"),
        ("licence", None, "licence is null. Expected: text"),
        ("training", [], r"training is \[\]. Expected: an object"),
        (
            "training.repetition_time_s",
            -1,
            "repetition_time_s is -1. Expected: a number of 0",
        ),
        (
            "training.participants",
            1.5,
            "training.participants is 1.5. Expected: a whole number",
        ),
        (
            "grid.shape",
            [76, 93],
            r"grid.shape is \[76, 93\]. Expected: 3 finite numbers",
        ),
        ("grid.shape", [76, 93, 0], "grid.shape .* three whole numbers"),
        ("grid.shape", [76, 93, True], "grid.shape .* three whole numbers"),
        ("grid.affine", [[0.0] * 4] * 4, "grid.affine .* can be inverted"),
        ("grid.affine", [[1.0], [1.0, 0.0]], "grid.affine .* 4 x 4 finite numbers"),
        ("grid.affine.0.0", float("nan"), "grid.affine .* 4 x 4 finite numbers"),
        ("grid.space", "MNI 152", "grid.space is .*letters and digits"),
        ("grid.resolution", "2/../", "grid.resolution is .*letters and digits"),
        ("contrasts", [], "contrasts: there are no contrasts"),
        ("contrasts", {}, "contrasts is {}. Expected: a list"),
        ("contrasts.5.index", 6, "has index 6 at position 5"),
        (
            "contrasts.5.label",
            "a/b",
            "contrast 5 has the label 'a/b'; a BIDS label has letters",
        ),
        (
            "contrasts.5.label",
            "languageMATH",
            "languageMath and languageMATH are the same",
        ),
        ("sample", "day", 'sample is "day". Expected: one of run, session'),
        ("grid", None, "grid is null. Expected: a grid, or places, and not both"),
        (
            "segment_seconds",
            -1,
            "segment_seconds is -1. Expected: a number of 0 or more",
        ),
        ("statistic", "z/t", "statistic is .*letters and digits"),
        ("atlas", "../a", "atlas is .*letters and digits, or null"),
        ("for_science", False, "notice is .*Expected: a notice"),
        ("files", {}, "lists no .* and no mask.nii.gz and no weights.safetensors"),
        (
            "files",
            {"../../etc/passwd": "0" * 64},
            "files is .*passwd.*Expected: plain names",
        ),
        (
            "files",
            {"model.json": "0" * 64},
            "files is .*model.json.*Expected: plain names",
        ),
        ("files", {"mask.nii.gz": "0" * 63}, "files is .*mask.nii.gz.*SHA-256"),
    ],
)
def test_wrong_fields_are_named(path, value, fact):
    with pytest.raises(BundleError, match=fact) as caught:
        ModelCard.from_json(edited(path, value))
    assert "\n" not in str(caught.value)
    assert "model.json" in str(caught.value)


@pytest.mark.parametrize("key", json.loads(make_card().to_json()))
def test_no_field_may_be_missing(key):
    with pytest.raises(BundleError, match=f"model.json has no field {key}"):
        ModelCard.from_json(edited(key, ...))


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("", "cannot be read as JSON"),
        ("{", "cannot be read as JSON"),
        ("[1]", "holds no JSON object"),
        ("[" * 100_000, "cannot be read as JSON"),
    ],
)
def test_text_that_is_no_object(text, fact):
    with pytest.raises(BundleError, match=fact):
        ModelCard.from_json(text, "models/x/model.json")


def test_read_card_names_the_folder(tmp_path):
    with pytest.raises(
        BundleError, match=f"{tmp_path.name}/model.json cannot be read: No such"
    ):
        read_card(tmp_path)
    (tmp_path / "model.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(BundleError, match=r"model\.json cannot be read as text"):
        read_card(tmp_path)
    (tmp_path / "model.json").write_text(make_card().to_json(), encoding="utf-8")
    card, raw = read_card(tmp_path)
    assert (card.name, raw.decode()) == ("hcp-ya", make_card().to_json())
