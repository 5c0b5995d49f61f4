"""A real person's run in three spaces, from the command line: what they agree on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from maps_bundle import tiny_network

from bids_dtg.bundles.card import ModelCard
from bids_dtg.cli.run import main
from bids_dtg.contrasts.bundle.bundle import BundleArrays, write_bundle
from bids_dtg.contrasts.bundle.kinds import ATTENTION_UNET
from bids_dtg.contrasts.bundle.part import MapsPart
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.files.sidecars import read_inherited
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces

pytestmark = pytest.mark.slow

ROIS, PARCELS_A_ROI = 50, 8


@dataclass(frozen=True)
class Person:
    """A dataset and a small bundle on the published grid."""

    bids: Path  # the dataset
    bundle: Path  # its 50 ROI maps hold 8 parcels each
    parcels: np.ndarray  # (i, j, k), labels 1 to 400
    grey: np.ndarray  # (i, j, k) bool
    folder: Path  # for results


@pytest.fixture(scope="module")
def person(shared, tmp_path_factory) -> Person:
    folder, mni = tmp_path_factory.mktemp("spaces"), shared / "data/mni"
    brain = nib.load(mni / "MNI_2mm_brain_mask_crop.nii")
    kinds = ("cortical", "subcortical")
    grey = (
        sum(
            nib.load(mni / f"MNI_2mm_{kind}_mask_crop.nii.gz").get_fdata()
            for kind in kinds
        )
        > 0
    )
    name = "Schaefer2018_400Parcels_7Networks_order_FSLMNI152_2mm.nii.gz"
    labels = np.asarray(
        nib.load(shared / "data/real/parcellations" / name).dataobj
    ).astype(int)
    # The published grid is a crop of FSL's.
    parcels = labels[7 : 7 + brain.shape[0], 9 : 9 + brain.shape[1], : brain.shape[2]]
    mask = brain.get_fdata() > 0
    rois = np.where(parcels > 0, (parcels - 1) // PARCELS_A_ROI, -1)[mask]
    maps = np.stack([rois == number for number in range(ROIS)]).astype(np.float32)
    contrasts = hcp_contrasts()[:3]
    card = ModelCard(
        "small",
        "0",
        ATTENTION_UNET.name,
        MapsPart(contrasts, Grid(brain.shape, brain.affine)),
    )
    tensors = {
        k: v.numpy() for k, v in tiny_network(ROIS, len(contrasts)).state_dict().items()
    }
    places = (
        VoxelPlaces.within(card.part.grid, inside) for inside in (mask, grey & mask)
    )
    write_bundle(folder / "bundle", card, BundleArrays(tensors, maps, *places))
    bids = shared / "data/real/fmriprep_like"
    return Person(bids, folder / "bundle", parcels, grey & mask, folder)


def connectome(person: Person, space: str, interpolation: str = "cubic") -> np.ndarray:
    """(rois, grey-matter voxels) of the run in a space, and check what is told of the way."""
    out = person.folder / f"{space}-{interpolation}"
    words = [str(person.bids), str(out), "participant", "--model", str(person.bundle)]
    words += [
        "--participant-label",
        "HAPPYTEST",
        "--min-minutes",
        "2",
        "--write",
        "maps",
        "connectome",
    ]
    if not out.is_dir():
        assert main([*words, "--space", space, "--interpolation", interpolation]) == 0
    (sidecar,) = out.rglob(
        f"*contrast-{hcp_contrasts()[0].label}_*desc-synthetic_statmap.nii.gz"
    )
    (facts,) = read_inherited(sidecar)["Runs"]
    assert facts["Interpolation"] == (
        "none" if space == "MNI152NLin6Asym" else interpolation
    )
    (path,) = out.rglob("*desc-connectome_statmap.nii.gz")
    return nib.load(path).get_fdata()[person.grey].T


def agreement(first: np.ndarray, second: np.ndarray) -> float:
    covered = first.any(axis=0) & second.any(axis=0)
    assert covered.mean() > 0.95
    return float(
        np.corrcoef(first[:, covered].ravel(), second[:, covered].ravel())[0, 1]
    )


def parcel_means(person: Person, values: np.ndarray) -> np.ndarray:
    """(rois, parcels), which no longer depend on how smooth a single voxel is."""
    labels = person.parcels[person.grey]
    with_data = [
        label for label in np.unique(labels[labels > 0]) if (labels == label).sum() > 20
    ]
    return np.stack(
        [values[:, labels == label].mean(axis=1) for label in with_data], axis=1
    )


def test_native_with_transforms_agrees_with_the_ready_file(person):
    """The ready file was interpolated by cubic splines, too; linearly, voxels are smoother."""
    ready, native = connectome(person, "MNI152NLin6Asym"), connectome(person, "boldref")
    assert agreement(ready, native) > 0.98
    assert agreement(parcel_means(person, ready), parcel_means(person, native)) > 0.99
    linear, nearest = (
        connectome(person, "boldref", kind) for kind in ("linear", "nearest")
    )
    assert (
        0.7
        < agreement(ready, nearest)
        < agreement(ready, linear)
        < agreement(ready, native)
    )


def test_another_template_goes_through_the_composite(person, shared, monkeypatch):
    """These 4 mm images were made elsewhere, without motion correction: much less agreement."""
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(shared / "data/real/templateflow_like"))
    ready, composed = (
        connectome(person, space)
        for space in ("MNI152NLin6Asym", "MNI152NLin2009cAsym")
    )
    assert agreement(ready, composed) > 0.5
    assert agreement(parcel_means(person, ready), parcel_means(person, composed)) > 0.93
    turned = mirrored(person, composed)
    assert agreement(parcel_means(person, ready), parcel_means(person, turned)) < 0.7


def mirrored(person: Person, values: np.ndarray) -> np.ndarray:
    """Exchange left and right, to 2 mm; the midline lies near the middle of the grid."""
    full = np.zeros((len(values), *person.grey.shape))
    full[:, person.grey] = values
    return full[:, ::-1][:, person.grey]
