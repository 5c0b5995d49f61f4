"""The maps of an average in another space, each resampled once from the model's grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.participant.outputs.half_width_files import encode_half_widths
from bids_dtg.contrasts.participant.outputs.layers import Layer
from bids_dtg.contrasts.participant.outputs.map_files import (
    OutputFile,
    contrast_facts,
    map_images,
    map_path,
    maps_of,
)
from bids_dtg.contrasts.participant.outputs.spaces import Target
from bids_dtg.files.names import bids_uri
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.warp import Warp
from bids_dtg.participants.origin import source_uri
from bids_dtg.report.contents import RESAMPLED
from bids_dtg.version import __version__


def space_images(
    entities: Mapping[str, str],
    layers: Sequence[Layer],
    bundle: ModelBundle,
    warp: Warp,
    *,
    threads: int,
) -> Iterator[OutputFile]:
    """Resample and encode the maps of layers, one layer after the other.

    Parameters
    ----------
    entities
        What the names of the average share.
    layers
        Kinds of values over the bundle's places.
    bundle
        Bundle of the model that predicted the maps.
    warp
        From its places to the other grid.
    threads
        Maps encoded at the same time.
    """
    for layer in layers:
        moved = replace(layer, values=warp.apply(layer.values))
        if not layer.covers:
            yield from map_images(entities, [moved], bundle, threads=threads, places=warp.voxels)
            continue
        for _, contrast in maps_of([moved]):
            text = f"bids_dtg {__version__} {contrast.label} {layer.desc}"
            path = map_path(
                entities, contrast, layer.desc, ".nii.gz", bundle=bundle, places=warp.voxels
            )
            widths = moved.values[contrast.index]
            yield OutputFile(path, encode_half_widths(warp.voxels, widths, text))


def space_sidecars(
    entities: Mapping[str, str],
    layers: Sequence[Layer],
    bundle: ModelBundle,
    target: Target,
    facts: Mapping[str, Any],
) -> Iterator[tuple[PurePosixPath, dict[str, Any]]]:
    """Yield path and content of the sidecar of each map, without fields that the average shares."""
    places = VoxelPlaces(target.grid, bundle.voxels.positions[:0])
    for layer, contrast in maps_of(layers):
        original = map_path(entities, contrast, layer.desc, ".nii.gz", bundle=bundle)
        sources = [] if layer.everybody else [bids_uri("", original)]
        yield (
            map_path(entities, contrast, layer.desc, ".json", bundle=bundle, places=places),
            {
                **contrast_facts(layer, contrast, bundle),
                **facts,
                "Sources": [*sources, *facts["Sources"]],
                "Units": bundle.card.part.units,
            },
        )


def space_facts(target: Target, bundle: ModelBundle, root: Path, source: str) -> dict[str, Any]:
    """Return the sidecar fields on another space and the transforms to it."""
    sizes = " x ".join(f"{size:.4g}" for size in target.grid.voxel_sizes_mm)
    shape = " x ".join(map(str, target.grid.shape))
    facts: dict[str, Any] = target.grid.brain_metadata
    facts["Resolution"] = f"{sizes} mm, {shape} voxels of the template's grid"
    if target.image is not None:
        facts["SpatialReference"] = source_uri(target.image, root, source)
        facts["Resolution"] = f"{sizes} mm, {shape} voxels over the field of view of the T1w image"
    return {
        **facts,
        RESAMPLED: bundle.grid.space,
        "Interpolation": "linear, of voxels in the model's mask alone; a voxel has a value where "
        "at least half of the weight is in the mask",
        "Transforms": [transform.path.name for transform in target.transforms],
        "Sources": [source_uri(path, root, source) for path in target.inputs],
    }
