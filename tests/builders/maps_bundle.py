"""Small models of contrast maps with random weights, and copies of them that differ in a part."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bids_dtg.bundles import store
from bids_dtg.bundles.card import CARD_FILE, ModelCard
from bids_dtg.bundles.training_hashes import PEOPLE_FILE
from bids_dtg.contrasts.bundle.bundle import BundleArrays, ModelBundle, write_bundle
from bids_dtg.contrasts.bundle.kinds import ATTENTION_UNET
from bids_dtg.contrasts.bundle.part import MapsPart
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.half_width import HalfWidths
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces

TINY_SHAPE = (10, 12, 9)
# The 2 mm lattice of the FSL grid (MNI152NLin6Asym), somewhere inside the brain.
TINY_AFFINE = np.array([[-2.0, 0, 0, 12], [0, 2, 0, -30], [0, 0, 2, -6], [0, 0, 0, 1]])


def move_program_folders(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Have the models of image and package looked for in `image` and `package` of a folder."""
    for name in ("image", "package"):
        monkeypatch.setattr(store, f"{name.upper()}_FOLDER", folder / name)


def tiny_masks(shape=TINY_SHAPE):
    """Make a brain mask (an ellipsoid) and a thinner model mask inside it."""
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    return radius < 1.05, (radius < 0.95) & (radius > 0.35)


def tiny_network(rois=4, contrasts=3, features=4, seed=0):
    """Make a network with random weights and batch statistics, in eval mode."""
    import torch

    from bids_dtg.contrasts.network.unet import AttentionUNet

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = AttentionUNet(rois, contrasts, features)
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0, 0.2)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    return network.eval()


@functools.cache
def _tiny_tensors(
    rois: int, contrasts: int, features: int, seed: int
) -> dict[str, np.ndarray]:
    state = tiny_network(rois, contrasts, features, seed).state_dict()
    return {name: tensor.numpy() for name, tensor in state.items()}


def maps_card(**facts: object) -> ModelCard[MapsPart]:
    """Make the card of a model of maps from fields of the card and of its part."""
    part_fields = {field.name for field in dataclasses.fields(MapsPart)}
    part = MapsPart(
        **{name: fact for name, fact in facts.items() if name in part_fields}
    )
    return ModelCard(
        part=part,
        **{name: fact for name, fact in facts.items() if name not in part_fields},
    )


def write_tiny_bundle(
    folder: Path,
    *,
    rois: int = 4,
    contrasts: int = 3,
    features: int = 4,
    shape: tuple[int, int, int] = TINY_SHAPE,
    affine: np.ndarray = TINY_AFFINE,
    masks: tuple[np.ndarray, np.ndarray] | None = None,
    seed: int = 0,
    correction: Correction | None = None,
    **facts: object,
) -> ModelBundle:
    """Write a bundle with a random network and ROI maps; `facts` as in ModelCard and MapsPart."""
    brain_mask, mask = masks or tiny_masks(shape)
    rng = np.random.default_rng(seed)
    roi_maps = rng.normal(size=(rois, np.count_nonzero(brain_mask))).astype(np.float32)
    fields = {
        "name": "tiny",
        "version": "0",
        "kind": ATTENTION_UNET.name,
        "grid": Grid(shape, affine),
        "contrasts": hcp_contrasts()[:contrasts],
        "for_science": False,
        "notice": "random weights, for tests",
    }
    card = maps_card(**(fields | facts))
    tensors = dict(_tiny_tensors(rois, contrasts, features, seed))
    brain, places = (
        VoxelPlaces.within(card.part.grid, inside) for inside in (brain_mask, mask)
    )
    arrays = BundleArrays(tensors, roi_maps, brain, places, correction)
    return write_bundle(folder, card, arrays)


def extend_bundle(bundle: ModelBundle, folder: Path, **changes: object) -> ModelBundle:
    """Write a copy of a bundle with other half-widths, another mean or another list of people."""
    people = changes.pop("people", bundle.people)
    facts = {"half_widths": bundle.half_widths, "mean": bundle.mean, **changes}
    arrays = BundleArrays(
        bundle.weights().read(),
        *(bundle.roi_maps, bundle.brain, bundle.places, bundle.correction),
        combine=bundle.combine,
        **facts,
    )
    return write_bundle(folder, bundle.card, arrays, people)


def with_half_widths(bundle: ModelBundle, folder: Path) -> ModelBundle:
    """Copy a bundle as one with half-widths, other ones in each block of each contrast."""
    contrasts, lattice = len(bundle.contrasts), bundle.places.lattice(4)
    values = np.linspace(0.5, 1.5, contrasts * lattice.blocks, dtype=np.float32)
    half_widths = HalfWidths(20, 4, values.reshape(contrasts, *lattice.shape), lattice)
    return extend_bundle(bundle, folder, half_widths=half_widths)


def forge(bundle: ModelBundle, name: str, content: bytes) -> Path:
    """Put other content in place of a file of a bundle, and its hash into the card."""
    (bundle.path / name).write_bytes(content)
    card = json.loads((bundle.path / CARD_FILE).read_text())
    card["files"][name] = hashlib.sha256(content).hexdigest()
    (bundle.path / CARD_FILE).write_text(json.dumps(card))
    return bundle.path


def without_people(bundle: ModelBundle, folder: Path) -> Path:
    """Copy a bundle as one of which nobody knows whom it has seen, as early versions made them."""
    shutil.copytree(bundle.path, folder)
    (folder / PEOPLE_FILE).unlink()
    card = json.loads((folder / CARD_FILE).read_text())
    del card["files"][PEOPLE_FILE]
    (folder / CARD_FILE).write_text(json.dumps(card))
    return folder
