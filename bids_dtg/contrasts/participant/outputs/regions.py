"""Tables of the maps' means over parcels, one for each average and atlas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.participant.outputs.maps import Entities, File, Maps
from bids_dtg.files.names import FileKind
from bids_dtg.files.regions.cells import name_cell
from bids_dtg.imaging.atlas import Atlas, region_means, region_voxels
from bids_dtg.imaging.surfaces.parcels import FORM_ENTITIES, encode_pscalar
from bids_dtg.participants.origin import atlas_facts, parcel_form_facts

REGIONS = FileKind("statmap", "regions", ".tsv")
PSCALAR = FileKind("statmap", "regionMeans", ".pscalar.nii")
COLUMNS = ("contrast", "index", "name", "mean", "coverage", "voxels")

_MEANS = "Means of the predicted maps over the parcels of an atlas"


def region_files(
    entities: Entities,
    atlas: Atlas,
    maps: Maps,
    contrasts: Sequence[Contrast],
    *,
    bundle: ModelBundle,
    min_coverage: float,
) -> Iterator[File]:
    """Yield an atlas' table with its sidecar; also as CIFTI where it has a form as grayordinates.

    Parameters
    ----------
    entities
        What the names of the average share.
    atlas
        Its parcels at the model's voxels.
    maps
        Of all contrasts, at the model's voxels.
    contrasts
        Those that are written.
    bundle
        The model.
    min_coverage
        Share of a parcel that must have values; below it the mean is n/a.
    """
    named = {**atlas.entities, "stat": bundle.card.part.statistic}
    own = {**entities, "space": bundle.grid.space, **named}
    rows = [contrast.index for contrast in contrasts]
    voxels = region_voxels(maps, atlas)[rows]
    coverage = voxels / np.maximum(atlas.voxels, 1)
    means = np.where(coverage >= min_coverage, region_means(maps, atlas)[rows], np.nan)
    facts = {
        "Description": f"{_MEANS}: a row a contrast and parcel",
        **_columns(bundle, min_coverage),
        "SpatialReference": bundle.grid.metadata["SpatialReference"],
        "MinCoverage": min_coverage,
        **atlas_facts(atlas),
    }
    yield REGIONS.path(own, ".json"), facts
    parcels = [f"\t{index}\t{name_cell(name)}\t" for index, name in atlas.parcels.items()]
    lines = ["\t".join(COLUMNS)]
    before, covered = np.array([-1]), list[str]()
    for number, contrast in enumerate(contrasts):
        if not np.array_equal(voxels[number], before):  # mostly the same for all
            before = voxels[number]
            pairs = zip(coverage[number], before, strict=True)
            covered = [f"\t{share:.4f}\t{count}" for share, count in pairs]
        # All at once: ten tables of a participant have 100,000 numbers.
        text = "%.7g\n" * len(parcels) % tuple(means[number].tolist())
        cells = zip(parcels, text.replace("nan", "n/a").split("\n")[:-1], covered, strict=True)
        lines += [f"{contrast.label}{parcel}{mean}{share}" for parcel, mean, share in cells]
    yield REGIONS.path(own, ".tsv"), ("\n".join(lines) + "\n").encode()
    if atlas.form is None:
        return
    dense = {**entities, **FORM_ENTITIES, **named}
    what = f"{_MEANS}: a map a contrast; NaN where less than {min_coverage:g} has a value"
    # As in the table, to the digits of which they are equal.
    rounded = np.array([float(f"{mean:.7g}") for mean in means.ravel()]).reshape(means.shape)
    image = encode_pscalar(rounded, [contrast.label for contrast in contrasts], atlas.form)
    dense_facts = {
        "Description": what,
        "Units": bundle.card.part.units,
        "SpatialReference": bundle.grid.metadata["SpatialReference"],
        "MinCoverage": min_coverage,
        **atlas_facts(atlas),
        **parcel_form_facts(atlas.form),
    }
    yield PSCALAR.path(dense, ".json"), dense_facts
    yield PSCALAR.path(dense), image


def _columns(bundle: ModelBundle, min_coverage: float) -> dict[str, dict[str, Any]]:
    return {
        "contrast": {"Description": "Contrast of the map, as in contrast- of its file"},
        "index": {"Description": "Label of the parcel in the atlas"},
        "name": {"Description": "Name of the parcel in the atlas' table"},
        "mean": {
            "Description": "Mean of the map over the parcel's voxels that have a value; n/a "
            f"where they are less than {min_coverage:g} of the parcel",
            "Units": bundle.card.part.units,
        },
        "coverage": {
            "Description": "Share of the parcel's voxels that have a value, 0 to 1; the "
            "model's mask leaves out some of most parcels"
        },
        "voxels": {"Description": "Voxels of the parcel that have a value"},
    }
