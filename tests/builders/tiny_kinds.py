"""Builders of tiny bundles of each kind of model of contrast maps."""

from __future__ import annotations

import numpy as np
import safetensors.numpy
from tiny_bundle import (
    TINY_AFFINE,
    TINY_SHAPE,
    forge,
    maps_card,
    tiny_masks,
    tiny_network,
)

from bids_dtg.contrasts import blend, linear_kind, local_ridge_kind
from bids_dtg.contrasts.bundle.kinds import (
    ATTENTION_UNET,
    BLEND,
    LINEAR,
    LINEAR_PARCEL,
    LOCAL_RIDGE,
)
from bids_dtg.contrasts.bundle.writer import BundleArrays, write_bundle
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.linear import LinearModel, Parcels
from bids_dtg.contrasts.local_ridge import LocalRidgeSums
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces

ROIS, CONTRASTS = 4, 3
BRAIN, PLACES = (VoxelPlaces.within(Grid(TINY_SHAPE, TINY_AFFINE), m) for m in tiny_masks())
WEIGHTS = np.array([[0.9, 1.0, 0.0], [0.4, 0.0, 0.5]], np.float32)


def tiny_ridge(rois=ROIS, contrasts=CONTRASTS):
    rng = np.random.default_rng(3)
    sums = LocalRidgeSums(PLACES.lattice(3))
    for _ in range(6):
        x = rng.uniform(-1, 1, (rois, PLACES.number))
        sums.fit_person(x, rng.normal(size=(contrasts, rois)) @ x)
    return sums.solve(1.0)


def network_state(rois=ROIS):
    return {k: v.numpy() for k, v in tiny_network(rois, CONTRASTS).state_dict().items()}


def ridge_tensors():
    return local_ridge_kind.tensors_of(tiny_ridge())


def blend_tensors(rois=ROIS):
    return blend.tensors_of(
        {"local_ridge": ridge_tensors(), "network": network_state(rois)}, WEIGHTS
    )


def linear_tensors(parcels=1):
    labels = None if parcels == 1 else np.arange(PLACES.number) % parcels
    values = np.random.default_rng(4).normal(size=(CONTRASTS, parcels, 1 + ROIS))
    return linear_kind.tensors_of(LinearModel(values.astype(np.float32), Parcels(labels)))


# Of a tiny model of each kind; a new row needs one.
TENSORS = {
    ATTENTION_UNET.name: network_state,
    LOCAL_RIDGE.name: ridge_tensors,
    LINEAR.name: linear_tensors,
    LINEAR_PARCEL.name: lambda: linear_tensors(2),
    BLEND.name: blend_tensors,
}


def write_tiny_kind(folder, kind, tensors, **facts):
    """Write a bundle of a kind; `facts` as in ModelCard and MapsPart."""
    fields = {
        "name": "tiny",
        "version": "0",
        "kind": kind,
        "grid": Grid(TINY_SHAPE, TINY_AFFINE),
        "contrasts": hcp_contrasts()[:CONTRASTS],
    }
    maps = np.random.default_rng(0).normal(size=(ROIS, BRAIN.number)).astype(np.float32)
    return write_bundle(
        folder, maps_card(**(fields | facts)), BundleArrays(tensors, maps, BRAIN, PLACES)
    )


def with_value(tensor, value):
    changed = np.array(tensor, np.result_type(tensor, value))
    changed.reshape(-1)[0] = value
    return changed


def forge_tiny_kind(folder, kind, **changes):
    """Write a bundle whose weights were changed by somebody who knows the hashes."""
    tensors = TENSORS[kind]()
    bundle = write_tiny_kind(folder, kind, tensors)
    changed = {name: change(tensors[name]) for name, change in changes.items()}
    whole = {name: np.asarray(tensor, order="C") for name, tensor in (tensors | changed).items()}
    return forge(bundle, "weights.safetensors", safetensors.numpy.save(whole))
