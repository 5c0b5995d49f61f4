"""The model of real people that ships: who is in it, and maps from XCP-D's series of parcels."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from cifti_people import write_xcpd_parcels
from tiny_job import read_table

import bids_dtg
from bids_dtg import load_bundle
from bids_dtg.cli.run import main
from bids_dtg.files.tensors import TensorFile
from bids_dtg.stats.linear import standardised

FRAMES, PENALTY = 900, 0.06


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
    maps, found, end = np.asarray(bundle.roi_maps, np.float64), [], 0
    for rois in bundle.card.part.connectome.sets:
        own = maps[end : end + rois]
        end += rois
        own = own - own.mean(axis=1, keepdims=True)
        of_rois = standardised(np.linalg.lstsq(own.T, values, rcond=None)[0])
        among = of_rois @ of_rois.T / FRAMES + PENALTY * np.eye(rois)
        found.append(np.linalg.solve(among, of_rois @ values.T / FRAMES))
    return bundle.correction.apply(model.predict(np.concatenate(found).astype(np.float32)))


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


def run(xcpd: Path, out: Path, *more: str) -> int:
    words = [str(xcpd), str(out), "participant", "--model", "hcp-glasser", "--no-reports"]
    return main([*words, *more])


def maps_in(out: Path) -> nib.Cifti2Image:
    (path,) = out.rglob("*_desc-synthetic_statmap.pscalar.nii")
    return nib.load(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The output for one person, with the parcels as the model has them."""
    folder = tmp_path_factory.mktemp("glasser")
    xcpd = write_xcpd_parcels(folder, rest(), load_bundle("hcp-glasser").places.axis)
    assert run(xcpd, folder / "out") == 0
    return folder / "out"


def test_maps_of_parcels_are_those_of_plain_arithmetic(made):
    image, expected = maps_in(made), predict(rest())
    np.testing.assert_allclose(image.get_fdata(), expected, atol=1e-5 * np.abs(expected).max())
    labels = [row.label for row in load_bundle("hcp-glasser").contrasts]
    assert list(image.header.get_axis(0).name) == labels
    (sidecar,) = (made / "sub-01").glob("*_statmap.json")
    facts = json.loads(sidecar.read_text())
    assert facts["ModelLicense"] == "WU-Minn HCP Consortium Open Access Data Use Terms"
    terms = (
        Path(bids_dtg.__file__).parent / "bundles/hcp-glasser/HCP_DataUseTerms.txt"
    ).read_text()
    assert f'"{facts["ModelHowToAcknowledge"]}"' in terms


def test_the_table_has_the_group_and_what_is_the_persons_own(made):
    (path,) = made.rglob("*_desc-parcels_statmap.tsv")
    rows, bundle = read_table(path), load_bundle("hcp-glasser")
    assert len(rows) == 24 * 360
    row = rows[360 + 7]
    values = [float(row[name]) for name in ("predicted", "group", "difference", "half_width")]
    assert row["name"] == bundle.places.names[7]
    at = 1, 7
    own, group = maps_in(made).get_fdata()[at], bundle.mean[at]
    wanted = [own, group, own - group, bundle.half_widths.at_places[at]]
    np.testing.assert_allclose(values, wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("spelt", "moved"),
    [
        (("Left_{}", "Right_{}"), 0),
        (("lh_{}", "rh_{}"), 0),
        (("L_{}_ROI", "R_{}_ROI"), 1),
    ],
    ids=["right first, as Left_V1", "as lh_V1", "a vertex of each is elsewhere"],
)
def test_parcels_are_known_by_name_in_any_order(tmp_path, capsys, made, spelt, moved):
    axis, series = load_bundle("hcp-glasser").places.axis, rest()
    order = np.roll(np.arange(360), 180)
    names = [spelt[name[0] == "R"].format(name[2:].removesuffix("_ROI")) for name in axis.name]
    made_axis = nib.cifti2.ParcelsAxis(
        [names[number] for number in order],
        [np.zeros((0, 3), int)] * 360,
        [{side: own[moved:] for side, own in axis.vertices[number].items()} for number in order],
        nvertices=axis.nvertices,
    )
    assert run(write_xcpd_parcels(tmp_path, series[:, order], made_axis), tmp_path / "out") == 0
    said = capsys.readouterr().err
    assert ("360 parcels of the file have other vertices" in said) == bool(moved)
    np.testing.assert_array_equal(maps_in(tmp_path / "out").get_fdata(), maps_in(made).get_fdata())


def test_parcels_elsewhere_under_the_same_names_are_refused(tmp_path, capsys):
    axis = load_bundle("hcp-glasser").places.axis
    turned = nib.cifti2.ParcelsAxis(
        np.roll(axis.name, 1), axis.voxels, axis.vertices, nvertices=axis.nvertices
    )
    assert run(write_xcpd_parcels(tmp_path, rest(), turned), tmp_path / "out") == 1
    assert "has other vertices or voxels than the model's" in capsys.readouterr().err


def test_a_page_of_parcels_says_nothing_of_volumes(tmp_path):
    xcpd = write_xcpd_parcels(tmp_path, rest(), load_bundle("hcp-glasser").places.axis)
    words = [str(xcpd), str(tmp_path / "out"), "participant", "--model", "hcp-glasser"]
    assert main(words) == 0
    page = (tmp_path / "out/sub-01.html").read_text()
    assert "on the template's surface." in page
    for word in ("axial slices", "Voxel size", "grayordinate", "Behind the maps"):
        assert word not in page, word
