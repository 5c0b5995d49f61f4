"""The model of real people that ships: who is in it, and maps from XCP-D's series of parcels."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from cifti_people import save_series, write_xcpd_parcels
from maps_job import read_table

import bids_dtg
import bids_dtg.errors
from bids_dtg import load_bundle
from bids_dtg.cli.run import main
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.panels.asymmetry import draw_sides
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.regions import RegionTable, encode_series
from bids_dtg.files.tensors import TensorFile
from bids_dtg.imaging.surfaces.cifti import standard_grayordinates
from bids_dtg.notices import SAME_SIDES
from bids_dtg.report.contents import find_participant
from bids_dtg.stats.linear import standardised

FRAMES, PENALTY = 900, 0.06
MAPS = "*_desc-synthetic_statmap.pscalar.nii"


def rest(seed: int = 0) -> np.ndarray:
    """Simulate rest (frames, parcels) of twenty networks and noise."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(20, 360)) ** 3
    series = rng.normal(size=(FRAMES, 20)) @ mixing + 3 * rng.normal(size=(FRAMES, 360))
    return series.astype(np.float32)


def predict(series: np.ndarray) -> np.ndarray:
    """Predict maps (contrasts, parcels) from rest (frames, parcels) in plain NumPy."""
    bundle = load_bundle("hcp-glasser")
    model, values = bundle.prepare(), standardised(series.T.astype(np.float64))
    maps = np.asarray(bundle.roi_maps, np.float64)
    connectomes = []
    end = 0
    for rois in bundle.card.part.connectome.sets:
        set_maps = maps[end : end + rois]
        end += rois
        set_maps = set_maps - set_maps.mean(axis=1, keepdims=True)
        of_rois = standardised(np.linalg.lstsq(set_maps.T, values, rcond=None)[0])
        among = of_rois @ of_rois.T / FRAMES + PENALTY * np.eye(rois)
        connectomes.append(np.linalg.solve(among, of_rois @ values.T / FRAMES))
    return bundle.correction.apply(
        model.predict(np.concatenate(connectomes).astype(np.float32))
    )


@pytest.mark.slow
def test_no_value_of_a_single_person_is_in_it():
    bundle = load_bundle("hcp-glasser")
    card = bundle.card
    assert bundle.people is None
    assert "people.json" not in card.files
    assert (bundle.path / "HCP_DataUseTerms.txt").is_file()
    people = card.training.participants
    assert people == 20
    for file in bundle.path.glob("*.safetensors"):
        for name, tensor in TensorFile(file).read().items():
            assert people not in tensor.shape, (file, name)
    assert "sub-" not in (bundle.path / "model.json").read_text()


# Values in four parcels, given `rest`, by the bundle that had only conditions, but for the rounding
# of its offset.
CONDITIONS = {
    "languageStory": (-13.022020, 1.943629, -9.032769, -33.513687),
    "motorRh": (-15.347045, 4.147207, -9.841719, -5.671382),
    "wm2bkTool": (39.898083, -2.836962, 31.797558, -10.900191),
}


def test_contrasts_are_beside_the_conditions_whose_maps_stay_the_same():
    bundle, maps = load_bundle("hcp-glasser"), predict(rest())
    index = {row.label: row.index for row in bundle.contrasts}
    assert list(index) == [row.label for row in hcp_contrasts()]
    for label, values in CONDITIONS.items():
        np.testing.assert_allclose(
            maps[index[label], [0, 7, 200, 359]], values, rtol=3e-6
        )
    # Fitted as a map of its own, a contrast is near the difference of its conditions.
    apart = maps[index["languageMath"]] - maps[index["languageStory"]]
    contrast = maps[index["languageMathVsStory"]]
    assert np.corrcoef(apart, contrast)[0, 1] > 0.99
    assert np.abs(apart - contrast).max() > 0.01
    mean = bundle.mean[
        [index[f"motor{name}"] for name in ("Lf", "Lh", "Rf", "Rh", "T")]
    ].mean(0)
    contrast_mean = bundle.mean[index["motorLfVsAvg"]]
    np.testing.assert_allclose(
        contrast_mean, bundle.mean[index["motorLf"]] - mean, atol=1e-3
    )


def test_the_card_has_scores_of_each_contrast():
    bundle = load_bundle("hcp-glasser")
    rows = {row["contrast"]: row for row in bundle.card.evaluation["contrasts"]}
    assert list(rows) == [row.label for row in bundle.contrasts]
    for row in rows.values():
        for name in ("r_minus_group_average", "residual_r", "identified_of_4"):
            mean, low, high = row[name]
            assert low <= mean <= high
    assert rows["languageMathVsStory"]["r_minus_group_average"] == [
        0.0201,
        0.0164,
        0.0237,
    ]
    hardly = {f"motor{name}VsAvg" for name in ("Lf", "Lh", "Rf", "T")} | {"wmToolVsAvg"}
    assert set(bundle.hardly_individual) == hardly


def run(xcpd: Path, out: Path, *options: str) -> int:
    words = [
        str(xcpd),
        str(out),
        "participant",
        "--model",
        "hcp-glasser",
        "--no-reports",
    ]
    return main([*words, *options])


def maps_in(out: Path) -> nib.Cifti2Image:
    (path,) = out.rglob(MAPS)
    return nib.load(path)


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> Path:
    """The output for one person, with the parcels as the model has them."""
    folder = tmp_path_factory.mktemp("glasser")
    xcpd = write_xcpd_parcels(folder, rest(), load_bundle("hcp-glasser").places.axis)
    assert run(xcpd, folder / "out") == 0
    return folder / "out"


def test_maps_of_parcels_are_those_of_plain_arithmetic(output):
    image, expected = maps_in(output), predict(rest())
    np.testing.assert_allclose(
        image.get_fdata(), expected, atol=1e-5 * np.abs(expected).max()
    )
    labels = [row.label for row in load_bundle("hcp-glasser").contrasts]
    assert list(image.header.get_axis(0).name) == labels
    (sidecar,) = (output / "sub-01").glob("*_statmap.json")
    facts = json.loads(sidecar.read_text())
    assert facts["ModelLicense"] == "WU-Minn HCP Consortium Open Access Data Use Terms"
    terms = (
        Path(bids_dtg.__file__).parent / "bundles/hcp-glasser/HCP_DataUseTerms.txt"
    ).read_text()
    assert f'"{facts["ModelHowToAcknowledge"]}"' in terms.replace(
        "[in part]", "in part"
    )
    assert (
        facts["Density"]
        == "360 parcels of fsLR's mesh (32,492 vertices per hemisphere)"
    )
    notes = {
        label: row.get("IndividualNote")
        for label, row in facts["ContrastDetails"].items()
    }
    assert notes["languageMathVsStory"] is None
    assert notes["motorLfVsAvg"].startswith(
        "This map hardly tells people apart: in held-out people"
    )


@pytest.mark.slow
def test_the_table_has_the_group_and_what_is_the_persons_own(output):
    (path,) = output.rglob("*_desc-parcels_statmap.tsv")
    rows, bundle = read_table(path), load_bundle("hcp-glasser")
    assert len(rows) == 47 * 360
    row = rows[360 + 7]
    values = [
        float(row[name]) for name in ("predicted", "group", "difference", "half_width")
    ]
    assert row["name"] == bundle.places.names[7]
    at = 1, 7
    persons_map, group = maps_in(output).get_fdata()[at], bundle.mean[at]
    wanted = [persons_map, group, persons_map - group, bundle.half_widths.at_places[at]]
    np.testing.assert_allclose(values, wanted, rtol=1e-5)


@pytest.mark.slow
def test_left_minus_right_is_that_of_the_file_of_parcels(output):
    table, bundle = (
        bids_dtg.load_maps(output, kind="asymmetry"),
        load_bundle("hcp-glasser"),
    )
    assert table["pair"].nunique() == 181
    maps, group = maps_in(output).get_fdata(), bundle.mean.astype(np.float64)
    for row in (0, 2, 46):
        label = bundle.contrasts[row].label
        of_contrast = table[table["contrast"] == label]
        persons_difference, mean = (
            values[row, :180] - values[row, 180:] for values in (maps, group)
        )
        most = np.argsort(-np.abs(mean))[:20]
        wanted = {
            "predicted": [
                *persons_difference,
                (persons_difference[most] * np.sign(mean[most])).mean(),
            ],
            "group": [*mean, np.abs(mean[most]).mean()],
            "half_width": bundle.asymmetry_widths[row],
        }
        wanted["difference"] = np.subtract(wanted["predicted"], wanted["group"])
        for name, values in wanted.items():
            np.testing.assert_allclose(of_contrast[name], values, rtol=0, atol=1e-6)
    (sidecar,) = output.rglob("*_desc-asymmetry_statmap.json")
    details = json.loads(sidecar.read_text())["ContrastDetails"]
    language = {"AsymmetryPredicted": True, "IndexPredicted": True}
    assert details["languageMathVsStory"] == language
    assert not any(details["motorLfVsAvg"].values())
    with pytest.raises(bids_dtg.errors.SettingsError, match="kind='sides' was given"):
        bids_dtg.load_maps(output, kind="sides")


@pytest.mark.slow
def test_what_held_out_people_do_not_show_is_not_shown_as_the_persons_own(
    output, tmp_path
):
    out = tmp_path / "out"
    shutil.copytree(output, out)
    (path,) = out.rglob("*_desc-asymmetry_statmap.json")
    sidecar = json.loads(path.read_text())
    details = sidecar["ContrastDetails"]
    for label, facts in details.items():
        facts.update(AsymmetryPredicted=label == "wmBody", IndexPredicted=False)
    path.write_text(json.dumps(sidecar))
    files = find_participant(DerivativeDataset(out), "01")
    (section,) = draw_sides(files)
    language, memory = section.facts["cards"]
    assert [picture.title for picture in language["pictures"]] == ["The group's"]
    assert memory["name"] == "Working memory: body parts"
    assert len(memory["pictures"]) == 2
    assert language["index"] is memory["index"] is None
    del sidecar["ContrastDetails"]
    path.write_text(json.dumps(sidecar))
    assert draw_sides(files) == []


@pytest.mark.slow
def test_a_pair_without_data_on_one_side_has_no_left_minus_right(output, tmp_path):
    """The index is over the other pairs: it moves by what they deviate, not in level."""
    series, axis = rest(), load_bundle("hcp-glasser").places.axis
    series[:, 200] = 0.0
    assert run(write_xcpd_parcels(tmp_path, series, axis), tmp_path / "out") == 0
    table = bids_dtg.load_maps(tmp_path / "out", kind="asymmetry")
    missing = table[table["predicted"].isna()]
    assert set(missing["pair"]) == {axis.name[20].removeprefix("L_")}
    assert len(missing) == 47
    whole = bids_dtg.load_maps(output, kind="asymmetry")
    index = table["pair"] == "index"
    moved = (table["predicted"] - whole["predicted"])[index].abs()
    assert (moved < 0.2 * whole["half_width"][index]).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spelt", "moved"),
    [
        (("Left_{}", "Right_{}"), 0),
        (("lh_{}", "rh_{}"), 0),
        (("L_{}_ROI", "R_{}_ROI"), 1),
    ],
    ids=["right first, as Left_V1", "as lh_V1", "a vertex of each is elsewhere"],
)
def test_parcels_are_known_by_name_in_any_order(tmp_path, capsys, output, spelt, moved):
    axis, series = load_bundle("hcp-glasser").places.axis, rest()
    order = np.roll(np.arange(360), 180)
    names = [
        spelt[name[0] == "R"].format(name[2:].removesuffix("_ROI"))
        for name in axis.name
    ]
    made_axis = nib.cifti2.ParcelsAxis(
        [names[number] for number in order],
        [np.zeros((0, 3), int)] * 360,
        [
            {side: vertices[moved:] for side, vertices in axis.vertices[number].items()}
            for number in order
        ],
        nvertices=axis.nvertices,
    )
    assert (
        run(write_xcpd_parcels(tmp_path, series[:, order], made_axis), tmp_path / "out")
        == 0
    )
    log = capsys.readouterr().err
    assert ("360 parcels have other vertices or voxels" in log) == bool(moved)
    np.testing.assert_array_equal(
        maps_in(tmp_path / "out").get_fdata(), maps_in(output).get_fdata()
    )
    assert_first_vertices_lack(moved, tmp_path / "out")


def assert_first_vertices_lack(number: int, out: Path) -> None:
    """Check that maps have the vertices of the input, where each parcel lacks its first ones."""
    axis, model_axis = (
        maps_in(out).header.get_axis(1),
        load_bundle("hcp-glasser").places.axis,
    )
    assert list(axis.name) == list(model_axis.name)
    for vertices_of_parcel, of_model in zip(
        axis.vertices, model_axis.vertices, strict=True
    ):
        ((side, vertices),) = vertices_of_parcel.items()
        np.testing.assert_array_equal(vertices, of_model[side][number:])


@pytest.mark.slow
def test_parcels_elsewhere_under_the_same_names_are_refused(tmp_path, capsys):
    axis = load_bundle("hcp-glasser").places.axis
    turned = nib.cifti2.ParcelsAxis(
        np.roll(axis.name, 1), axis.voxels, axis.vertices, nvertices=axis.nvertices
    )
    assert run(write_xcpd_parcels(tmp_path, rest(), turned), tmp_path / "out") == 1
    assert "other vertices or voxels" in capsys.readouterr().err


@pytest.mark.slow
def test_a_page_of_parcels_says_nothing_of_volumes(tmp_path):
    xcpd = write_xcpd_parcels(tmp_path, rest(), load_bundle("hcp-glasser").places.axis)
    words = [str(xcpd), str(tmp_path / "out"), "participant", "--model", "hcp-glasser"]
    assert main(words) == 0
    page = (tmp_path / "out/sub-01.html").read_text()
    assert_noise_is_flagged(tmp_path / "out", page)
    assert "on the template's surface." in page
    assert "participants of Human Connectome Project, young adults may be among" in page
    methods = " ".join((tmp_path / "out/logs/CITATION.md").read_text().split())
    assert (
        "a linear model that predicts each parcel from its connectivity with the ROIs"
        in methods
    )
    assert "90 % of the parcels of a newly measured map" in methods
    assert "Runs were read as parcel series. " in methods
    readme = (tmp_path / "out/README").read_text()
    assert "*_desc-parcels_statmap.tsv, the same as a table" in readme
    # What is the person's own is drawn only where it exceeds its interval.
    drawn = [*(tmp_path / "out/sub-01/figures").glob("*_contrast-*_own.webp")]
    shown = 0
    for picture in drawn:
        shown += page.count(f"figures/{picture.name}")
    assert page.count("beyond the interval</strong>") == 47 + 5
    assert page.count("nothing beyond the interval</strong>") == 47 + 5 - shown
    told = "from 14.3 minutes of rest told 10 held-out people apart in 85 % [54, 96] of"
    assert told in " ".join(page.split())
    assert "trained on 20 real participants" in page
    assert "As denoised by XCP-D" in page
    assert "Before cleaning" not in page
    # The units of all pictures are said once; the viewer has those of each.
    assert page.count("(arbitrary units of the training scans)") == 1
    order = re.findall(r'<span class="name">(.*?)</span', page)[:5]
    assert order == [
        "Movement: mean of all movements",
        "Language: maths minus stories",
        "Working memory: 2\u2011back minus 0\u2011back",
        "Emotion: faces minus shapes",
        "Social cognition: theory of mind minus random motion",
    ]
    # In the list of all contrasts; the five that come first tell people apart.
    assert page.count('<span class="about">This map hardly tells people apart') == 5
    assert_sides_are_shown(page)
    for word in ("axial slices", "Voxel size", "grayordinate", "Background: ICBM"):
        assert word not in page, word


def assert_sides_are_shown(page: str) -> None:
    """Language comes first; what was not predicted in held-out people is not the person's own."""
    _, _, sides = page.partition(">Left and right</h2>")
    sides, _, _ = sides.partition("</section>")
    words = " ".join(sides.split())
    assert "Language: maths minus stories" in words
    assert words.count('<div class="map">') == 2
    for name in ("The group&#39;s", "Predicted"):
        assert words.count(f"{name}</span>") == 2
    assert "predicted better than by the group's in 38 of 47 contrasts" in words
    assert "beside &plusmn;13</span>" in words
    assert "the scans of 20 people, on which the model's variants were chosen" in words
    assert "Wada tests or surgery" in words


def assert_noise_is_flagged(out: Path, page: str) -> None:
    """Simulated networks have nothing that both hemispheres share."""
    reason = "the same parcels of both hemispheres correlate more than only "
    (table,) = out.rglob("*_qc.tsv")
    (row,) = read_table(table)
    assert float(row["homotopic_rank"]) == pytest.approx(0.5, abs=0.06)
    assert row["training_distribution"] == "outside"
    assert reason in row["training_distribution_reasons"]
    for shown in (page, (out / "index.html").read_text()):
        assert f"(outside): {reason}" in shown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (lambda person, rng: person, ""),
        (lambda person, rng: person[:300:3], ""),
        (lambda person, rng: rng.standard_normal(person.shape), "outside"),
        (lambda person, rng: rng.standard_normal((100, 360)), "outside"),
        (lambda person, rng: person[:, rng.permutation(360)], "outside"),
        (
            lambda person, rng: np.hstack(
                [person[:, :180], person[:, 180 + rng.permutation(180)]]
            ),
            "outside",
        ),
    ],
    ids=[
        "real",
        "100 frames",
        "noise",
        "noise of 100 frames",
        "shuffled",
        "one side shuffled",
    ],
)
def test_real_people_are_inside_and_noise_and_shuffled_parcels_outside(
    shared, change, verdict
):
    rest_of_people = np.load(shared / "data/real/hcp30/rest.npz")["rest"]
    maps, rng = (
        bids_dtg.TaskMaps(model="hcp-glasser", t_r=2.16).fit(),
        np.random.default_rng(0),
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        maps.transform(
            [change(person.T, rng) for person in rest_of_people.astype(np.float32)]
        )
    told = [
        str(warning.message)
        for warning in caught
        if "the run is" in str(warning.message)
    ]
    assert len(told) == (len(rest_of_people) if verdict else 0)
    for line in told:
        assert line.startswith(
            f"the array: the run is {verdict} for the model: the same parcels"
        )


def write_grayordinates(xcpd: Path, series: np.ndarray, axis, how: str) -> list[str]:
    """Put another file in the place of the parcels'; return what is typed for it."""
    (parcels,) = xcpd.rglob("*.ptseries.nii")
    parcels.unlink()
    stem = parcels.name.removesuffix(".ptseries.nii")
    if how == "table":
        table = RegionTable(
            tuple(f"Left{name[1:]}" if name[0] == "L" else name for name in axis.name),
            series.T,
        )
        parcels.with_name(f"{stem.replace('_den-91k', '')}.tsv").write_bytes(
            encode_series(table)
        )
        sidecar = parcels.with_name(
            "sub-01_task-rest_space-fsLR_den-91k_desc-denoised_bold.json"
        )
        sidecar.write_text('{"RepetitionTime": 0.8}')
        return []
    dense = standard_grayordinates()
    values = np.zeros((len(series), len(dense)), np.float32)
    for number, (_, _, sides) in enumerate(axis):
        ((side, vertices),) = sides.items()
        columns = np.flatnonzero((dense.name == side) & np.isin(dense.vertex, vertices))
        # Their mean is the parcel's series.
        values[:, columns] = series[:, [number]] + np.linspace(-1, 1, len(columns))
    name = "sub-01_task-rest_space-fsLR_den-91k_desc-denoised_bold.dtseries.nii"
    save_series(parcels.with_name(name), values, dense, 0.8)
    if how == "grayordinates":
        return ["--atlases", "glasser"]
    labels = np.zeros((1, len(dense)), np.float32)
    table = {0: ("???", (0, 0, 0, 0))}
    for number, (name, _, sides) in enumerate(axis, 1):
        ((side, vertices),) = sides.items()
        labels[0, (dense.name == side) & np.isin(dense.vertex, vertices[1:])] = number
        table[number] = (name.removesuffix("_ROI"), (1, 1, 1, 1))
    atlas = xcpd.parent / "Glasser.dlabel.nii"
    axes = nib.cifti2.LabelAxis(["labels"], [table]), dense
    nib.save(nib.cifti2.Cifti2Image(labels, axes), atlas)
    return ["--atlases", str(atlas)]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["table", "grayordinates", "labels"])
def test_tables_and_grayordinates_give_the_maps_of_parcels(tmp_path, output, how):
    axis = load_bundle("hcp-glasser").places.axis
    xcpd = write_xcpd_parcels(tmp_path, rest(), axis)
    words = write_grayordinates(xcpd, rest(), axis, how)
    assert run(xcpd, tmp_path / "out", *words) == 0
    expected = maps_in(output).get_fdata()
    maps = maps_in(tmp_path / "out").get_fdata()
    np.testing.assert_allclose(maps, expected, atol=1e-5 * np.abs(expected).max())
    assert_first_vertices_lack(int(how == "labels"), tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("lost", [10, 18])
def test_missing_parcels_are_named_and_more_than_a_twentieth_refused(
    tmp_path, capsys, lost
):
    axis, series = load_bundle("hcp-glasser").places.axis, rest()
    series[3, lost] = np.nan  # the first of those that stay
    series[:, lost + 1] = np.nan
    xcpd = write_xcpd_parcels(tmp_path, series[:, lost:], axis[lost:])
    planned = run(xcpd, tmp_path / "out", "--dry-run")
    ended = run(xcpd, tmp_path / "out")
    printed = capsys.readouterr()
    if lost == 18:
        assert (ended, planned) == (1, 1)
        assert "lacks 20 of 360 parcels, or their data: L_V1_ROI" in printed.err
        assert "lacks 19 of 360 parcels" in printed.out
        assert "To do: give another file of the run" in printed.out
        return
    assert (ended, planned) == (0, 0)
    values = maps_in(tmp_path / "out").get_fdata()
    assert np.isnan(values[:, : lost + 2]).all()
    assert np.isfinite(values[:, lost + 2 :]).all()
    assert "in 11 of 360 parcels, which are n/a" in printed.out
    (table,) = (tmp_path / "out").rglob("*_desc-parcels_statmap.tsv")
    assert read_table(table)[0]["predicted"] == "n/a"


@pytest.mark.slow
def test_a_right_hemisphere_that_was_copied_from_the_left_is_flagged(tmp_path, capsys):
    axis, series = load_bundle("hcp-glasser").places.axis, rest()
    series[:, 180:] = series[:, :180]
    xcpd = write_xcpd_parcels(tmp_path, series, axis)
    assert run(xcpd, tmp_path / "out", "--dry-run") == 0
    assert f"    note: {SAME_SIDES}" in capsys.readouterr().out
    assert run(xcpd, tmp_path / "out") == 0
    assert f"sub-01_task-rest: {SAME_SIDES}" in capsys.readouterr().err


@pytest.mark.slow
def test_written_maps_are_loaded_as_rows(output):
    labels = [contrast.label for contrast in load_bundle("hcp-glasser").contrasts]
    maps = bids_dtg.load_maps(output)
    assert maps["contrast"].tolist() == labels
    assert {*maps["path"]} == {str(path) for path in output.rglob(MAPS)}
    table = bids_dtg.load_maps(output, atlas="parcels", contrast="languageMath")
    values = maps_in(output).get_fdata()[labels.index("languageMath")]
    np.testing.assert_allclose(table["predicted"], values, rtol=1e-5)
    with pytest.raises(bids_dtg.errors.SettingsError, match="one of parcels"):
        bids_dtg.load_maps(output, atlas="HCP")


@pytest.mark.slow
def test_arrays_give_the_maps_of_files(output):
    maps = bids_dtg.TaskMaps(model="hcp-glasser", t_r=0.8).fit()
    expected = maps_in(output).get_fdata()
    maps_of_array = maps.transform(rest())
    np.testing.assert_allclose(
        maps_of_array, expected, atol=1e-5 * np.abs(expected).max()
    )
    frame = maps.set_output(transform="pandas").transform([rest(), rest(1)])
    assert frame.shape == (2, 47 * 360)
    np.testing.assert_allclose(
        frame["languageMath__L_V1_ROI"][0], expected[0, 0], rtol=1e-4
    )
    with pytest.raises(ValueError, match="360 parcels"):
        maps.transform(rest()[:, 1:])


@pytest.mark.slow
def test_statistics_read_maps_parcel_by_parcel(tmp_path):
    axis = load_bundle("hcp-glasser").places.axis
    table = ["participant_id\tage"]
    for number in range(1, 9):
        xcpd = write_xcpd_parcels(tmp_path, rest(number), axis, f"{number:02d}")
        table.append(f"sub-{number:02d}\t{20 + number**2}")
    (tmp_path / "people.tsv").write_text("\n".join(table) + "\n")
    assert run(xcpd, tmp_path / "out", "--nprocs", "1") == 0
    people = np.stack(
        [nib.load(map_path).get_fdata() for map_path in (tmp_path / "out").rglob(MAPS)]
    )
    assert main([str(xcpd), str(tmp_path / "out"), "group"]) == 0
    for name, expected in {
        "Mean": people.mean(axis=0),
        "Sd": people.std(axis=0, ddof=1),
    }.items():
        (path,) = (tmp_path / "out/group").glob(
            f"*_desc-group{name}_statmap.pscalar.nii"
        )
        image = nib.load(path)
        np.testing.assert_allclose(image.get_fdata(), expected, atol=1e-4)
    page = (tmp_path / "out/group.html").read_text()
    assert '"key": "sd"' in page
    assert "axial slices" not in page
    words = [
        str(xcpd),
        str(tmp_path / "out"),
        "group",
        "--analysis",
        "stats",
        "--no-reports",
    ]
    words += [
        "--phenotype",
        "age",
        "--permutations",
        "9",
        "-p",
        str(tmp_path / "people.tsv"),
    ]
    assert main(words) == 0
    (tests,) = (tmp_path / "out/group/stats").glob("desc-ageMaps_tests.tsv")
    rows = read_table(tests)
    assert len(rows) == 47 * 360
    assert {row["name"] for row in rows} == set(load_bundle("hcp-glasser").places.names)
    assert_contrasts_in_order(tmp_path / "out")


def assert_contrasts_in_order(out: Path) -> None:
    """Check that all kinds of output have contrasts in the model's order."""
    order = [contrast.label for contrast in load_bundle("hcp-glasser").contrasts]
    files = {
        path: list(nib.load(path).header.get_axis(0).name)
        for path in out.rglob("*.pscalar.nii")
    }
    kinds = {path.name.rpartition("_desc-")[2] for path in files}
    assert {
        "synthetic_statmap.pscalar.nii",
        "groupMean_statmap.pscalar.nii",
        "groupSd_statmap.pscalar.nii",
    } <= kinds
    assert all(names == order for names in files.values())
    for path in out.rglob("*.tsv"):
        labels = [row.get("contrast") for row in read_table(path)]
        if set(labels) & set(order):
            shown = [label for label in dict.fromkeys(labels) if label in order]
            assert shown == [label for label in order if label in shown], path.name
    assert bids_dtg.load_maps(out)["contrast"].unique().tolist() == order
