"""Files of an average of maps of parcels: one CIFTI file for each kind of value.

A file holds the maps of all contrasts, by their labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.participant.outputs.layers import Layer
from bids_dtg.contrasts.participant.outputs.map_files import (
    OutputFile,
    contrast_facts,
    interval_facts,
    maps_of,
)
from bids_dtg.files.names import build_path
from bids_dtg.imaging.surfaces.parcel_places import ParcelPlaces
from bids_dtg.notices import counted
from bids_dtg.participants.origin import model_facts
from bids_dtg.report.contents import DETAILS, half_width_path

Entities = Mapping[str, str]


def layer_path(
    entities: Entities, layer: Layer, bundle: ModelBundle, extension: str
) -> PurePosixPath:
    """Return the path of a layer's file or its sidecar, relative to the output folder.

    Parameters
    ----------
    entities
        What the names of the average share.
    layer
        Kind of values; one that is the same for all participants lies in the template's folder.
    bundle
        Bundle of the model that predicted the maps.
    extension
        Of the file, with its dot.
    """
    named = {**bundle.places.entities, "stat": bundle.card.part.statistic}
    if layer.everybody:
        return half_width_path(named, bundle.identity, extension)
    return build_path({**entities, **named, "desc": layer.desc}, "statmap", extension)


def layer_files(
    entities: Entities, layers: Sequence[Layer], bundle: ModelBundle
) -> Iterator[OutputFile]:
    """Encode the file of each layer; parameters as of `layer_path`."""
    places = bundle.places
    assert isinstance(places, ParcelPlaces)
    for layer in layers:
        there = [contrast for _, contrast in maps_of([layer])]
        values = layer.values[[contrast.index for contrast in there]]
        data = places.encode_maps(values, [contrast.label for contrast in there])
        yield OutputFile(layer_path(entities, layer, bundle, places.extension), data)


def layer_sidecars(
    entities: Entities, layers: Sequence[Layer], bundle: ModelBundle
) -> Iterator[tuple[PurePosixPath, dict[str, Any]]]:
    """Yield path and content of each layer's sidecar; parameters as of `layer_path`."""
    for layer in layers:
        there = [contrast for _, contrast in maps_of([layer])]
        maps = counted(len(there), "contrast")
        yield (
            layer_path(entities, layer, bundle, ".json"),
            {
                "Description": f"{layer.words}{maps}, a map each",
                "Contrasts": [contrast.label for contrast in there],
                DETAILS: {
                    contrast.label: contrast_facts(layer, contrast, bundle) for contrast in there
                },
                "Units": bundle.card.part.units,
                **bundle.metadata,
                **({**interval_facts(bundle), **model_facts(bundle)} if layer.everybody else {}),
            },
        )
