"""Bundles of linear cores: what is written is loaded, and what is wrong is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from linear_core_bundle import TINY_REGIONS, tiny_fitted, write_tiny_linear

from bids_dtg.bundles.overview import bundle_lines
from bids_dtg.dynamics.bundle.linear import LinearBundle
from bids_dtg.dynamics.components import edges_of
from bids_dtg.dynamics.linear import LagCovariances
from bids_dtg.errors import BundleError


def test_a_loaded_model_infers_what_the_written_one_does(tmp_path):
    bundle = write_tiny_linear(tmp_path / "tiny")
    covariances = LagCovariances.of(np.random.default_rng(1).standard_normal((4, 80)))
    written, expected_of = tiny_fitted()
    inferred, expected = (
        model.infer(covariances) for model in (bundle.model(), written)
    )
    np.testing.assert_allclose(inferred.transitions, expected.transitions, atol=1e-6)
    np.testing.assert_allclose(inferred.noise, expected.noise, atol=1e-6)
    components = bundle.components()
    np.testing.assert_allclose(
        components.scores(edges_of(covariances)),
        expected_of.scores(edges_of(covariances)),
        atol=1e-4,
    )
    assert bundle.regions == TINY_REGIONS
    assert bundle.part.outputs == "4 regions by 6 participants"
    assert bundle.in_training_set(["p1", "nobody"], "Tiny study") == ("p1",)
    words = " ".join(bundle_lines(bundle))
    assert (
        "2400 frames (process), 500 frames (functional connectivity), fixed, for lack of people"
        in words
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"order": 3}, "order"),
        ({"diagonal_share": 1.5}, "diagonal_share"),
        ({"process_shrinkage": -1}, "process_shrinkage"),
        ({"components": 6}, "components is 6"),
        ({"component_icc": [0.5]}, "component_icc"),
    ],
)
def test_a_card_that_cannot_be_is_refused(tmp_path, changes, fact):
    path = write_tiny_linear(tmp_path / "tiny").path / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(BundleError, match=fact):
        LinearBundle.load(path.parent)
