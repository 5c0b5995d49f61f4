from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import safetensors.numpy
import torch
from cifti_people import parcels_axis, write_parcel_bundle
from maps_bundle import (
    TINY_AFFINE,
    TINY_SHAPE,
    extend_bundle,
    forge,
    maps_card,
    tiny_masks,
    tiny_network,
    write_tiny_bundle,
)

import bids_dtg
from bids_dtg.cli.run import main as program
from bids_dtg.contrasts.bundle.bundle import BundleArrays, load_bundle, write_bundle
from bids_dtg.contrasts.bundle.facts import maps_facts
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.linear import LinearModel, tensors_of
from bids_dtg.errors import BundleError
from bids_dtg.imaging.places import ListedPlaces
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces

FILES = ("weights.safetensors", "maps.nii.gz", "brain_mask.nii.gz", "mask.nii.gz")


@pytest.fixture
def bundle_folder(tmp_path):
    write_tiny_bundle(tmp_path / "tiny")
    return tmp_path / "tiny"


def replace_file(folder: Path, name: str, data: bytes) -> None:
    """Put another file into a bundle and its hash into the card, as a faulty maker would."""
    (folder / name).write_bytes(data)
    card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    card["files"][name] = hashlib.sha256(data).hexdigest()
    (folder / "model.json").write_text(json.dumps(card), encoding="utf-8")


def edit_card(folder: Path, **changes) -> None:
    card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    (folder / "model.json").write_text(json.dumps(card | changes), encoding="utf-8")


def nifti(values: np.ndarray, affine=TINY_AFFINE) -> bytes:
    image = nib.Nifti1Image(values.astype(np.float32), affine)
    return gzip.compress(image.to_bytes(), 1, mtime=0)


@pytest.mark.slow
def test_what_is_written_is_loaded(tmp_path):
    written = write_tiny_bundle(tmp_path / "tiny", rois=5, contrasts=2, seed=3)
    bundle = bids_dtg.load_bundle(tmp_path / "tiny")
    brain_mask, mask = tiny_masks()
    np.testing.assert_array_equal(bundle.brain.mask, brain_mask)
    np.testing.assert_array_equal(bundle.places.mask, mask)
    expected = (
        np.random.default_rng(3).normal(size=(5, brain_mask.sum())).astype(np.float32)
    )
    np.testing.assert_array_equal(bundle.roi_maps, expected)
    assert bundle.grid.shape == TINY_SHAPE
    np.testing.assert_array_equal(bundle.grid.affine, TINY_AFFINE)
    assert [c.label for c in bundle.contrasts] == ["languageMath", "languageStory"]
    assert bundle.path == written.path == tmp_path / "tiny"
    assert bundle.identity == written.identity


def test_network_predicts_as_the_one_that_was_written(bundle_folder):
    x = torch.randn((1, 4, *TINY_SHAPE), generator=torch.Generator().manual_seed(0))
    network = load_bundle(bundle_folder).network()
    assert not network.training
    with torch.no_grad():
        torch.testing.assert_close(network(x), tiny_network()(x), rtol=0, atol=0)


@pytest.mark.slow
def test_identity_is_that_of_the_content(tmp_path):
    first = write_tiny_bundle(tmp_path / "a")
    again = write_tiny_bundle(tmp_path / "b")
    other_weights = write_tiny_bundle(tmp_path / "c", seed=1)
    other_card = write_tiny_bundle(tmp_path / "d", version="2")
    assert first.identity == again.identity
    assert len({first.identity, other_weights.identity, other_card.identity}) == 3
    card = (tmp_path / "a" / "model.json").read_bytes()
    assert first.identity == hashlib.sha256(card).hexdigest()


@pytest.mark.parametrize("name", FILES)
def test_changed_bytes_are_refused_with_both_hashes(bundle_folder, name):
    path = bundle_folder / name
    data = bytearray(path.read_bytes())
    expected = hashlib.sha256(data).hexdigest()
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    changed_hash = hashlib.sha256(data).hexdigest()
    with pytest.raises(
        BundleError, match=f"{name} has changed.*{changed_hash}.*Expected: {expected}"
    ):
        load_bundle(bundle_folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_missing_files_are_named(bundle_folder, name):
    (bundle_folder / name).unlink()
    with pytest.raises(BundleError, match=f"{name} cannot be read: No such"):
        load_bundle(bundle_folder)
    (bundle_folder / name).symlink_to(".git/annex/objects/absent")
    with pytest.raises(
        BundleError, match=f"{name} has no content here: it is a broken link"
    ):
        load_bundle(bundle_folder)


def test_weights_changed_after_loading_are_refused(bundle_folder):
    bundle = load_bundle(bundle_folder)
    path = bundle_folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-4] + b"\1\2\3\4")
    with pytest.raises(BundleError, match=r"weights\.safetensors has changed"):
        bundle.network()


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_damaged_files_with_a_right_hash_are_refused(bundle_folder, name):
    data = (bundle_folder / name).read_bytes()
    for damaged in (b"", b"not such a file", data[: len(data) // 2], data[:-1]):
        replace_file(bundle_folder, name, damaged)
        with pytest.raises(BundleError, match=name) as caught:
            load_bundle(bundle_folder).network()
        assert "\n" not in str(caught.value)
        assert " To do: fetch or make the " in str(caught.value)
        assert (" Expected: " in str(caught.value)) is name.endswith(".nii.gz")


@pytest.mark.parametrize("name", ["mask.nii.gz", "brain_mask.nii.gz", "maps.nii.gz"])
def test_images_off_the_lattice_are_refused(bundle_folder, name):
    volumes = (4,) if name == "maps.nii.gz" else ()
    values = np.random.default_rng(0).normal(size=(*TINY_SHAPE, *volumes)) + 5
    shifted = TINY_AFFINE.copy()
    shifted[0, 3] += 1
    replace_file(bundle_folder, name, nifti(values, shifted))
    with pytest.raises(BundleError, match=name):
        load_bundle(bundle_folder)


@pytest.mark.slow
def test_masks_have_one_volume_and_a_voxel(bundle_folder):
    replace_file(bundle_folder, "mask.nii.gz", nifti(np.ones((*TINY_SHAPE, 2))))
    with pytest.raises(BundleError, match=r"mask\.nii\.gz"):
        load_bundle(bundle_folder)
    replace_file(bundle_folder, "mask.nii.gz", nifti(np.zeros(TINY_SHAPE)))
    with pytest.raises(BundleError, match=r"mask\.nii\.gz has values of 0 at most"):
        load_bundle(bundle_folder)


@pytest.mark.slow
def test_maps_are_finite_and_not_constant_in_the_brain(bundle_folder):
    brain_mask, _ = tiny_masks()
    values = np.random.default_rng(0).normal(size=(*TINY_SHAPE, 4))
    values[~brain_mask] = np.nan  # nobody reads these
    replace_file(bundle_folder, "maps.nii.gz", nifti(values))
    load_bundle(bundle_folder)
    for wrong, fact in (
        (np.nan, "NaN or infinite"),
        (np.inf, "NaN or infinite"),
        (3, "constant"),
    ):
        broken = values.copy()
        broken[brain_mask, 2] = np.where(np.arange(brain_mask.sum()) == 7, wrong, 3)
        replace_file(bundle_folder, "maps.nii.gz", nifti(broken))
        with pytest.raises(BundleError, match=rf"ROI map 2 \(from 0\) .*{fact}"):
            load_bundle(bundle_folder)


@pytest.mark.slow
def test_channels_must_match_maps_and_contrasts(bundle_folder):
    card = json.loads((bundle_folder / "model.json").read_text(encoding="utf-8"))
    edit_card(bundle_folder, contrasts=card["contrasts"][:2])
    with pytest.raises(
        BundleError, match=r"predicts 3 maps\. Expected: 2, as model\.json lists"
    ):
        load_bundle(bundle_folder)
    edit_card(bundle_folder, contrasts=card["contrasts"])
    state = {k: v.numpy() for k, v in tiny_network(rois=6).state_dict().items()}
    replace_file(bundle_folder, "weights.safetensors", safetensors.numpy.save(state))
    with pytest.raises(
        BundleError, match=r"maps\.nii\.gz holds 4 ROI maps\. Expected: 6"
    ):
        load_bundle(bundle_folder)


def test_mapped_maps_are_those_of_the_image(tmp_path):
    image = write_tiny_bundle(tmp_path / "image")
    extend_bundle(image, tmp_path / "mapped", mapped=True)
    mapped = load_bundle(tmp_path / "mapped")
    assert "maps.nii.gz" not in mapped.card.files
    assert isinstance(mapped.roi_maps, np.memmap)
    np.testing.assert_array_equal(mapped.roi_maps, image.roi_maps)
    np.testing.assert_array_equal(mapped.place_roi_maps, image.place_roi_maps)


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (lambda maps: {"roi_maps": maps.astype(np.float64)}, "roi_maps is .*float64"),
        (lambda maps: {"roi_maps": maps[:, :-1].copy()}, r"roi_maps is .*\(4, \d+\)"),
        (lambda maps: {"roi_maps": maps[:3]}, r"roi_maps is .*\(3, \d+\)"),
        (lambda maps: {"roi_maps": maps, "combine": np.eye(4)}, "combine is"),
        (lambda maps: {}, "roi_maps is missing"),
        (
            lambda maps: {"roi_maps": np.where(maps == maps[2, 7], np.nan, maps)},
            "finite",
        ),
        (
            lambda maps: {"roi_maps": maps * [[1], [1], [0], [1]]},
            "ROI map 2 .*constant",
        ),
    ],
)
def test_damaged_mapped_maps_are_refused(tmp_path, change, fact):
    image = write_tiny_bundle(tmp_path / "image")
    mapped = extend_bundle(image, tmp_path / "mapped", mapped=True)
    tensors = change(np.array(mapped.roi_maps))
    if "float64" not in fact and "roi_maps" in tensors:
        tensors["roi_maps"] = tensors["roi_maps"].astype(np.float32)
    forge(mapped, "maps.safetensors", safetensors.numpy.save(tensors))
    with pytest.raises(BundleError, match=rf"maps\.safetensors.*{fact}"):
        load_bundle(mapped.path)


@pytest.fixture
def listed(tmp_path):
    """A model of five places without a grid, that a linear model predicts at."""
    places = ListedPlaces(("1", "2", "3", "4", "5"))
    rng = np.random.default_rng(0)
    mean, coefficients = rng.normal(size=(3, 5)), rng.normal(size=(2, 3))
    model = LinearModel((3,), mean, np.ones((3, 5)), coefficients)
    card = maps_card(
        name="parcels",
        version="1",
        kind="linear",
        grid=None,
        places=5,
        contrasts=hcp_contrasts()[:2],
    )
    maps = rng.normal(size=(3, 5)).astype(np.float32)
    tensors = tensors_of(model)
    return write_bundle(
        tmp_path / "parcels", card, BundleArrays(tensors, maps, places, places)
    )


@pytest.mark.slow
def test_a_model_without_a_grid_is_written_and_loaded(listed):
    bundle = load_bundle(listed.path)
    assert bundle.identity == listed.identity
    assert ("grid", "none, it reads arrays of named places") in maps_facts(bundle)
    assert bundle.places.names == ("1", "2", "3", "4", "5")
    np.testing.assert_array_equal(bundle.roi_maps, listed.roi_maps)
    assert bundle.prepare().predict(np.ones((3, 5), np.float32)).shape == (2, 5)
    with pytest.raises(
        BundleError, match="parcels is a model of 5 places without a grid"
    ):
        _ = bundle.voxels


@pytest.mark.slow
def test_images_are_refused_by_a_model_without_a_grid(listed, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "dataset_description.json").write_text(
        '{"Name": "fMRIPrep", "BIDSVersion": "1.8.0", "DatasetType": "derivative",'
        ' "GeneratedBy": [{"Name": "fMRIPrep"}]}'
    )
    (tmp_path / "in" / "sub-01").mkdir()
    call = [str(tmp_path / "in"), str(tmp_path / "out"), "participant", "--model"]
    assert program([*call, str(listed.path)]) == 2
    assert "5 places without a grid and reads arrays" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"roi_maps": np.zeros((3, 4), np.float32)}, r"ROI maps \(3, 4\)"),
        ({"roi_maps": np.full((3, 5), np.nan, np.float32)}, "not finite"),
        ({"other": np.zeros((3, 5), np.float32)}, r"ROI maps \(0,\)"),
    ],
)
def test_damaged_maps_are_refused(listed, tensors, message):
    forge(listed, "maps.safetensors", safetensors.numpy.save(tensors))
    with pytest.raises(BundleError, match=message):
        load_bundle(listed.path)


def test_places_that_would_fill_the_memory_are_refused(listed):
    edit_card(listed.path, places=10**13)
    with pytest.raises(BundleError, match=r"ROI maps \(3, 5\)"):
        load_bundle(listed.path)


def test_parcels_and_sets_that_do_not_fit_are_refused(tmp_path):
    bundle = write_parcel_bundle(tmp_path / "parcels")
    assert load_bundle(bundle.path).places.entities == {"space": "fsLR", "seg": "Tiny"}
    of_other_parcels = ParcelPlaces.of_axis(parcels_axis(11)).to_xml()
    for xml, fact in (
        (b"none", "cannot be read"),
        (of_other_parcels, "has 11 parcels. Expected: 12"),
    ):
        with pytest.raises(BundleError, match=rf"parcels\.xml.*{fact}"):
            load_bundle(forge(bundle, "parcels.xml", xml))
    sets = Path(shutil.copytree(load_bundle("hcp-glasser").path, tmp_path / "sets"))
    edit_card(sets, rois=[15, 25, 50, 75, 101])
    with pytest.raises(BundleError, match=r"266 ROI maps under rois\. Expected: 265"):
        load_bundle(sets)
