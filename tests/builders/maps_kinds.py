"""A small model of contrast maps of each kind, and copies with other weights."""

from __future__ import annotations

import numpy as np
import safetensors.numpy
from maps_bundle import (
    TINY_AFFINE,
    TINY_SHAPE,
    forge,
    maps_card,
    tiny_masks,
    tiny_network,
)

from bids_dtg.contrasts.bundle.bundle import BundleArrays, write_bundle
from bids_dtg.contrasts.bundle.kinds import ATTENTION_UNET, LINEAR
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.linear import LinearModel, tensors_of
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces

ROIS, CONTRASTS = 4, 3
BRAIN, PLACES = (
    VoxelPlaces.within(Grid(TINY_SHAPE, TINY_AFFINE), m) for m in tiny_masks()
)


def network_state(rois=ROIS):
    return {k: v.numpy() for k, v in tiny_network(rois, CONTRASTS).state_dict().items()}


def tiny_linear():
    rng = np.random.default_rng(4)
    mean, weights = rng.normal(size=(2, ROIS, PLACES.number)).astype(np.float32)
    coefficients = rng.normal(size=(CONTRASTS, ROIS)).astype(np.float32)
    return LinearModel((ROIS,), mean, np.abs(weights), coefficients)


def linear_tensors():
    return tensors_of(tiny_linear())


# Of a tiny model of each kind; a new row needs one.
TENSORS = {
    ATTENTION_UNET.name: network_state,
    LINEAR.name: linear_tensors,
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
        folder,
        maps_card(**(fields | facts)),
        BundleArrays(tensors, maps, BRAIN, PLACES),
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
    whole = {
        name: np.asarray(tensor, order="C")
        for name, tensor in (tensors | changed).items()
    }
    return forge(bundle, "weights.safetensors", safetensors.numpy.save(whole))
