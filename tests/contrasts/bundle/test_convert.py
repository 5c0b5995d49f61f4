from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch
from maps_bundle import TINY_AFFINE, TINY_SHAPE, tiny_masks, tiny_network

from bids_dtg.bundles.card import ModelCard, TrainingData
from bids_dtg.contrasts.bundle.convert import convert_checkpoint, read_contrasts
from bids_dtg.contrasts.bundle.part import MapsPart
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.errors import BundleError

PAD = ((2, 1), (0, 3), (1, 4))  # voxels of a larger field of view around the grid


@pytest.fixture
def inputs(tmp_path):
    """Write a checkpoint, ROI maps and masks, all on the tiny grid."""
    brain_mask, mask = tiny_masks()
    maps = np.random.default_rng(0).normal(size=(*TINY_SHAPE, 4)).astype(np.float32)
    checkpoint = tmp_path / "model.ckpt"
    torch.save({"state_dict": tiny_network().state_dict()}, checkpoint)
    paths = {"checkpoint": checkpoint, "out": tmp_path / "out", "name": "converted"}
    for name, values in (
        ("maps", maps),
        ("brain_mask", brain_mask),
        ("mask", mask[..., None]),
    ):
        paths[name] = save(tmp_path / f"{name}.nii.gz", values)
    return paths | {"contrasts": hcp_contrasts()[:3]}


def save(path, values, affine=TINY_AFFINE):
    stored = values.astype(np.uint8) if values.dtype == bool else values
    nib.save(nib.Nifti1Image(stored, affine), path)
    return path


def padded(values):
    widths = PAD if values.ndim == 3 else (*PAD, (0, 0))
    affine = TINY_AFFINE.copy()
    affine[:3, 3] -= TINY_AFFINE[:3, :3] @ [low for low, _ in PAD]
    return np.pad(values, widths), affine


def convert(*, out, **inputs):
    """Convert files and facts that are given together, by their names."""
    names = ("checkpoint", "maps", "brain_mask", "mask")
    files = {name: inputs.pop(name) for name in names}
    where = {
        name: inputs.pop(name) for name in ("space", "resolution") if name in inputs
    }
    of_part = {
        name: inputs.pop(name) for name in ("segment_seconds",) if name in inputs
    }
    part = MapsPart(inputs.pop("contrasts"), **of_part)
    card = ModelCard(kind="attention-unet", part=part, **{"version": "1", **inputs})
    return convert_checkpoint(out=out, card=card, **files, **where)


@pytest.mark.slow
def test_converted_bundle_has_all_parts(inputs):
    bundle = convert(
        **inputs,
        version="7",
        licence="HCP data-use terms",
        training=TrainingData("HCP-YA", 0.72, "ICA-FIX", 958),
        segment_seconds=300,
        space="MNI152NLin2009cAsym",
        resolution=None,
    )
    brain_mask, mask = tiny_masks()
    np.testing.assert_array_equal(bundle.brain.mask, brain_mask)
    assert isinstance(bundle.roi_maps, np.memmap)
    np.testing.assert_array_equal(bundle.places.mask, mask)
    stored = np.asarray(nib.load(inputs["maps"]).dataobj)
    np.testing.assert_array_equal(bundle.roi_maps, stored[brain_mask].T)
    assert (bundle.card.name, bundle.card.version) == ("converted", "7")
    assert bundle.card.training.participants == 958
    assert bundle.card.part.segment_seconds == 300
    assert (bundle.grid.space, bundle.grid.resolution) == ("MNI152NLin2009cAsym", None)
    x = torch.randn((1, 4, *TINY_SHAPE), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(
            bundle.network()(x), tiny_network()(x), rtol=0, atol=0
        )


@pytest.mark.slow
@pytest.mark.parametrize("flipped", [False, True])
def test_larger_fields_of_view_are_cropped_exactly(inputs, tmp_path, flipped):
    expected = convert(**inputs)
    for name in ("maps", "brain_mask"):
        values, affine = padded(np.asarray(nib.load(inputs[name]).dataobj))
        if flipped:  # stored from right to left
            values = values[::-1]
            affine = affine @ np.array(
                [[-1, 0, 0, len(values) - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
            )
        inputs[name] = save(tmp_path / f"large_{name}.nii", values, affine)
    # The identity covers every byte of maps and masks.
    assert convert(**inputs | {"out": tmp_path / "b"}).identity == expected.identity


def half_a_voxel_away(values):
    affine = TINY_AFFINE.copy()
    affine[0, 3] += 1
    return values, affine


def wide(values):
    values, affine = padded(values)
    values[0, 0, :2] = 1
    return values, affine


@pytest.mark.parametrize(
    ("name", "change", "line"),
    [
        ("maps", half_a_voxel_away, "odd.nii has voxels of 2 x 2 x 2 mm"),
        ("brain_mask", half_a_voxel_away, "odd.nii has voxels of 2 x 2 x 2 mm"),
        (
            "maps",
            lambda roi_maps: (roi_maps[:, :, :6], TINY_AFFINE),
            "does not cover {missing} voxels",
        ),
        ("brain_mask", wide, "odd.nii has 2 voxels outside the grid"),
        (
            "maps",
            lambda roi_maps: (roi_maps[..., :3], TINY_AFFINE),
            "odd.nii holds 3 ROI maps. Expected: 4",
        ),
        (
            "maps",
            lambda roi_maps: (roi_maps[..., 0], TINY_AFFINE),
            r"odd.nii has sizes \(10, 12, 9\)",
        ),
    ],
)
def test_images_that_do_not_fit_are_refused(inputs, tmp_path, name, change, line):
    inputs[name] = save(
        tmp_path / "odd.nii", *change(np.asarray(nib.load(inputs[name]).dataobj))
    )
    missing = tiny_masks()[0][:, :, 6:].sum()
    with pytest.raises(BundleError, match=line.format(missing=missing)):
        convert(**inputs)


@pytest.mark.parametrize("name", ["mask", "brain_mask"])
def test_masks_are_binary(inputs, tmp_path, name):
    brain_mask, _ = tiny_masks()
    for values in (
        brain_mask * 0.25,
        brain_mask * 2.0,
        brain_mask[..., None] * np.ones(2),
    ):
        inputs[name] = save(tmp_path / "odd.nii", values.astype(np.float32))
        with pytest.raises(BundleError, match=r"odd\.nii .*Expected: a mask"):
            convert(**inputs)


def test_channels_must_match(inputs):
    with pytest.raises(BundleError, match="predicts 3 contrasts, the table lists 2"):
        convert(**inputs | {"contrasts": hcp_contrasts()[:2]})
    with pytest.raises(BundleError, match="predicts 3 contrasts, HCP-YA has 47"):
        convert(**inputs | {"contrasts": ()})
    with pytest.raises(
        BundleError, match="contrast languageStory has index 1 at position 0"
    ):
        convert(**inputs | {"contrasts": hcp_contrasts()[1:4]})


@pytest.mark.parametrize("name", ["checkpoint", "maps", "brain_mask", "mask"])
def test_missing_and_damaged_inputs_are_named(inputs, tmp_path, name):
    with pytest.raises(BundleError, match="absent"):
        convert(**inputs | {name: tmp_path / "absent"})
    (tmp_path / "damaged").write_bytes(b"this is none")
    with pytest.raises(BundleError, match="damaged"):
        convert(**inputs | {name: tmp_path / "damaged"})
    assert not (tmp_path / "out").exists()


def test_read_contrasts_names_the_file(tmp_path):
    path = tmp_path / "contrasts.tsv"
    with pytest.raises(BundleError, match=r"contrasts\.tsv cannot be read"):
        read_contrasts(path)
    path.write_text("label\nmath-story\n", encoding="utf-8")
    with pytest.raises(BundleError, match=r"contrasts\.tsv: contrast 0 has the label"):
        read_contrasts(path)
    path.write_bytes(b"\xff\xff")
    with pytest.raises(BundleError, match=r"contrasts\.tsv cannot be read as text"):
        read_contrasts(path)
    path.write_text("\ufefflabel\nfaces\n", encoding="utf-8")
    assert [c.label for c in read_contrasts(path)] == ["faces"]
