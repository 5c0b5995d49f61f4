"""Left minus right of homologous parcels, and the lateralisation index, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from cifti_people import parcels_axis

from bids_dtg import load_bundle
from bids_dtg.contrasts.asymmetry import INDEX_PAIRS, Homologues
from bids_dtg.imaging.places import ListedPlaces
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces

HALVES = Homologues(tuple(map(str, range(30))), np.arange(30), np.arange(30, 60))


def plain_values(maps: np.ndarray, mean: np.ndarray) -> list[float]:
    """Return the asymmetries of one map (60 parcels), and its index, by loops."""
    left_minus_right = [maps[pair] - maps[pair + 30] for pair in range(30)]
    of_group = [mean[pair] - mean[pair + 30] for pair in range(30)]
    most = sorted(range(30), key=lambda pair: abs(of_group[pair]))[-INDEX_PAIRS:]
    signed = [left_minus_right[n] * (1 if of_group[n] > 0 else -1) for n in most]
    finite = [value for value in signed if value == value]
    index = (
        sum(finite) / len(finite) if 2 * len(finite) >= INDEX_PAIRS else float("nan")
    )
    return [*left_minus_right, index]


@pytest.mark.parametrize("missing", [0, 4, 28])
def test_asymmetry_and_index_are_those_of_loops(missing):
    rng = np.random.default_rng(missing)
    maps, mean = rng.normal(size=(3, 2, 60)), rng.normal(size=(2, 60))
    maps[1, :, :missing] = np.nan
    values = HALVES.values(maps, mean)
    for person in range(3):
        for contrast in range(2):
            wanted = plain_values(maps[person, contrast], mean[contrast])
            np.testing.assert_allclose(values[person, contrast], wanted, atol=1e-12)
    assert np.isnan(values[1, :, -1]).all() == (missing == 28)


def test_glasser_s_parcels_are_paired_by_name_and_others_are_not():
    places = load_bundle("hcp-glasser").places
    pairs = Homologues.of(places)
    assert len(pairs.names) == 180
    for name, left_parcel, right_parcel in zip(
        pairs.names, pairs.left, pairs.right, strict=True
    ):
        assert (places.names[left_parcel], places.names[right_parcel]) == (
            f"L_{name}",
            f"R_{name}",
        )
    assert Homologues.of(ParcelPlaces.of_axis(parcels_axis())) is None
    assert Homologues.of(ListedPlaces(places.names)) is None
