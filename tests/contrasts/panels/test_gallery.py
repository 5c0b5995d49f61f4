"""The gallery of a participant's contrasts, and what the viewer has of them."""

from __future__ import annotations

import re
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from cifti_people import brain_models

from bids_dtg.contrasts.panels.gallery import draw_averages
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.sidecars import sidecar_of
from bids_dtg.files.text import tsv_text, write_json
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces, read_parcel_maps
from bids_dtg.report.contents import find_participant
from bids_dtg.report.participant import write_participant_report

AFFINE = np.array([[-2.0, 0, 0, 12], [0, 2, 0, -30], [0, 0, 2, -6], [0, 0, 0, 1]])
GRID = Grid((10, 12, 9), AFFINE)
PLACES = VoxelPlaces(GRID, np.arange(100, 900))
LABELS = ("faces", "shapes")
MODEL = "ab" * 32


def write_map(
    output, label: str, desc: str, values: np.ndarray, **facts: object
) -> None:
    stem = f"sub-01_task-rest_space-MNI152NLin6Asym_res-2_contrast-{label}_stat-z"
    path = output.root / f"sub-01/func/{stem}_desc-{desc}_statmap.nii.gz"
    output.write(
        path.relative_to(output.root), PLACES.encode(values.astype(np.float32))
    )
    write_json(
        sidecar_of(path), {"Task": "EMOTION", "Contrast": label, "Units": "z", **facts}
    )


@pytest.fixture
def output(tmp_path):
    """Maps of two contrasts."""
    output = DerivativeDataset(tmp_path)
    rng = np.random.default_rng(0)
    for label in LABELS:
        write_map(output, label, "synthetic", rng.normal(size=800), ModelSHA256=MODEL)
    return output


def section(output):
    files = find_participant(output, "01")
    first, every = draw_averages(output, files, output.root / "sub-01/figures")
    assert first.leads
    return replace(first, facts={**first.facts, **every.facts})


def cards_of(maps_section) -> list[dict]:
    return [card for task in maps_section.facts["tasks"] for card in task["cards"]]


def write_half_widths(output, model: str = MODEL, of_maps: str = MODEL) -> None:
    stem = "tpl-MNI152NLin6Asym/tpl-MNI152NLin6Asym_res-2"
    name = f"{stem}_contrast-{{}}_stat-z_desc-halfwidth_statmap.nii.gz"
    shared = output.root / f"{stem}_stat-z_desc-halfwidth_statmap.json"
    shared.parent.mkdir(exist_ok=True)
    write_json(shared, {"ModelSHA256": model})
    for label in LABELS:
        output.write(name.format(label), PLACES.encode(np.full(800, 0.5, np.float32)))
        write_map(output, label, "synthetic", np.ones(800), ModelSHA256=of_maps)


def test_pages_of_two_models_have_the_half_widths_of_their_own(output):
    scripts = []
    for model in (MODEL, "cd" * 32):
        write_half_widths(output, model, of_maps=model)
        (average,) = section(output).viewer["averages"]
        scripts.append(average["scripts"]["halfwidth"])
    template = "figures/tpl-MNI152NLin6Asym"
    assert scripts == [
        f"{template}_{digest}_desc-halfwidth_volumes.js"
        for digest in ("abababab", "cdcdcdcd")
    ]
    assert all((output.root / script).is_file() for script in scripts)


@pytest.mark.slow
def test_half_widths_are_offered_by_the_viewer_and_explained_on_the_page(output):
    assert "half-width of" not in write_participant_report(output, "01", {}).read_text()
    write_half_widths(output, model="cd" * 32)  # of another model
    assert "half-width of" not in write_participant_report(output, "01", {}).read_text()
    write_half_widths(output)
    maps_section = section(output)
    for shown in maps_section.viewer["maps"]:
        assert [overlay["desc"] for overlay in shown["overlays"]] == ["halfwidth"]
    assert all(
        (output.root / card["picture"]).is_file() for card in cards_of(maps_section)
    )
    assert (
        len(list((output.root / "sub-01/figures").iterdir())) == len(LABELS) + 1
    )  # and a script
    page = " ".join(write_participant_report(output, "01", {}).read_text().split())
    assert (
        "half-width of its prediction interval. In 9 of 10 voxels, a new measurement"
        in page
    )


def test_few_maps_come_first_and_all_are_closed_on_the_page(output):
    page = write_participant_report(output, "01", {}).read_text()
    order = [
        page.index(text)
        for text in ("<h1>", "<h2>Contrasts", "<summary>All 2", 'id="decision')
    ]
    assert order == sorted(order)
    assert page.count('<details class="gallery"') == 1
    numbers = [int(number) for number in re.findall(r'data-map="(\d+)"', page)]
    assert numbers == [0, 1, 0, 1]
    assert len(set(re.findall(r' id="([^"]+)"', page))) == len(
        re.findall(r' id="([^"]+)"', page)
    )


def test_a_map_that_is_the_same_for_everybody_is_grey_and_says_so(output):
    details = {"faces": {}, "shapes": {"Individual": False}}
    write_json(
        output.root / "sub-01/sub-01_task-rest_statmap.json",
        {"ContrastDetails": details},
    )
    faces, shapes = cards_of(section(output))
    assert not faces["same"]
    page = write_participant_report(output, "01", {}).read_text()
    assert page.count('class="map faded"') == 2
    assert page.count(shapes["same"]) == 3  # on its cards, and in the viewer


# Of a vertex or a voxel each.
PARCELS = ParcelPlaces.of_axis(
    nib.cifti2.ParcelsAxis.from_brain_models(
        [(f"P{number:03d}", brain_models()[[number]]) for number in range(160)]
    )
)
STEM = "sub-01/func/sub-01_task-rest_space-fsLR_stat-z"
TASKS = {"faces": "EMOTION", "shapes": "EMOTION", "math": "LANGUAGE"}


def write_dense(
    output, desc: str, maps: dict[str, np.ndarray], **facts: object
) -> None:
    values = np.array([*maps.values()], np.float32)
    output.write(
        f"{STEM}_desc-{desc}_statmap.pscalar.nii", PARCELS.encode_maps(values, [*maps])
    )
    write_json(output.root / f"{STEM}_desc-{desc}_statmap.json", facts)


@pytest.fixture
def dense(tmp_path):
    """Three contrasts of two tasks of parcels."""
    output = DerivativeDataset(tmp_path)
    maps = {label: np.full(PARCELS.number, 0.01) for label in TASKS}
    maps["faces"][:60] = 2.0  # all of the left
    maps["shapes"][150] = -0.5  # a voxel
    maps["math"][70] = np.nan
    maps["math"][75] = 8.0
    details = {
        label: {"Task": task, "Contrast": f"{label}-rest"}
        for label, task in TASKS.items()
    }
    common = {"Units": "z (of voxels)", "ModelSHA256": MODEL}
    write_dense(output, "synthetic", maps, ContrastDetails=details, **common)
    return output


def test_maps_of_parcels_are_cards_by_task_that_the_viewer_of_the_cortex_opens(dense):
    maps_section = section(dense)
    assert [viewer_map["label"] for viewer_map in maps_section.viewer["maps"]] == [
        "faces",
        "shapes",
        "math",
    ]
    assert [layer["key"] for layer in maps_section.viewer["layers"]] == [
        "map"
    ]  # there is no table
    assert (dense.root / maps_section.viewer["meshes"]).is_file()
    emotion, language = maps_section.facts["tasks"]
    assert [(task["title"], task["units"]) for task in (emotion, language)] == [
        ("Emotion: differences", "z"),
        ("Language: differences", "z"),
    ]
    faces, shapes = emotion["cards"]
    (math,) = language["cards"]
    # Each map has its own scale, which one extreme value does not stretch to itself: colours end
    # where 98 % of amounts do, and the card says that values go on. The viewer has one for a task.
    ends = [(card["limit"], card["beyond"]) for card in (faces, shapes, math)]
    assert ends == [("2", False), ("0.01", True), ("0.01", True)]
    in_viewer = [card["viewer"]["limit"] for card in (faces, shapes, math)]
    assert in_viewer == [2.0, 2.0, 0.01]
    assert faces["name"] == "faces \N{MINUS SIGN} rest"
    assert (faces["anchor"], faces["number"]) == ("faces", 0)
    assert shapes["peak"] == "\N{MINUS SIGN}0.500 in P150"
    assert (
        shapes["alt"] == f"shapes-rest: predicted map, largest value {shapes['peak']}"
    )
    assert math["peak"] == "+8.00 in P075"
    page = " ".join(write_participant_report(dense, "01", {}).read_text().split())
    assert (
        "on the template's surface; below, axial slices at z = \N{MINUS SIGN}24,"
        in page
    )


def write_deviations(output, deviation: np.ndarray, half_width: float) -> None:
    """Write the table of parcels of all contrasts, with one deviation that "math" alone has."""
    _, names, values = read_parcel_maps(
        output.root / f"{STEM}_desc-synthetic_statmap.pscalar.nii"
    )
    header = ("contrast", "name", "predicted", "group", "difference", "half_width")
    rows = []
    for label, of_map in zip(names, values, strict=True):
        differences = deviation if label == "math" else np.zeros(PARCELS.number)
        for parcel, value, difference in zip(
            PARCELS.names, of_map, differences, strict=True
        ):
            numbers = (value, value - difference, difference, half_width)
            cells = ["n/a" if np.isnan(number) else number for number in numbers]
            rows.append((label, parcel, *cells))
    output.write(f"{STEM}_desc-parcels_statmap.tsv", tsv_text(header, rows).encode())


def test_a_card_says_what_differs_from_0_and_what_is_the_persons_own(dense):
    deviation = np.full(PARCELS.number, 0.1)
    deviation[70], deviation[10] = np.nan, -0.9
    write_deviations(dense, deviation, half_width=1.0)
    faces, _, math = cards_of(section(dense))
    assert (faces["regions"].differ, faces["regions"].regions) == (60, 160)
    assert (math["regions"].differ, math["regions"].regions) == (1, 159)
    regions = math["regions"]
    assert (regions.beyond, regions.difference, regions.half_width, regions.place) == (
        0,
        "\N{MINUS SIGN}0.90",
        "1.0",
        "P010",
    )
    numbers = [regions.strip[name][1] for name in ("low", "value", "high")]
    assert numbers == ["+7.00", "+8.00", "+9.00"]
    # The line begins at 0 and ends at the end of the interval, with a margin.
    places = [regions.strip[name][0] for name in ("zero", "low", "high")]
    assert places == pytest.approx([4, 4 + 92 * 7 / 9, 96])
    assert math["deviation"] is None  # in the viewer alone
    page = write_participant_report(dense, "01", {}).read_text()
    assert "nothing beyond the interval" in page
    deviation[10] = 1.5
    write_deviations(dense, deviation, half_width=1.0)
    _, _, math = cards_of(section(dense))
    assert (math["regions"].beyond, math["regions"].place) == (1, "P010")
    assert (dense.root / math["deviation"]["picture"]).is_file()
    page = write_participant_report(dense, "01", {}).read_text()
    assert "1 of 159 regions beyond the interval" in page
