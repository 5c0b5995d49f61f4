"""The kinds of model of contrast maps: each row is complete, and a new one is enough."""

from __future__ import annotations

import re

import numpy as np
import pytest
from maps_kinds import (
    PLACES,
    ROIS,
    forge_tiny_kind,
    linear_tensors,
    tiny_linear,
    with_value,
    write_tiny_kind,
)

from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.bundle.kinds import ATTENTION_UNET, LINEAR, find_kind
from bids_dtg.contrasts.participant.model import Model
from bids_dtg.contrasts.plan import find_recipe
from bids_dtg.errors import BundleError, DatasetError, SettingsError

pytestmark = pytest.mark.slow


@pytest.fixture
def connectome():
    return (
        np.random.default_rng(1)
        .uniform(-1, 1, (ROIS, PLACES.number))
        .astype(np.float32)
    )


def test_what_is_not_in_the_table_is_refused_with_what_is():
    with pytest.raises(
        SettingsError,
        match=r"--architecture is 'x'\. Expected: one of linear, attention-u",
    ):
        find_kind("x")
    expected = r"recipe published was given with --architecture linear\. Expected: .*attention-unet"
    with pytest.raises(SettingsError, match=expected):
        LINEAR.require_recipe("published")
    for refuse in (LINEAR.require_recipe, find_recipe):
        with pytest.raises(
            SettingsError, match=r"--recipe is 'x'\. Expected: one of default, pub"
        ):
            refuse("x")
    ATTENTION_UNET.require_recipe("published")
    few = (
        r"4 training participants: too few for a linear model\. Expected: 5 or more\. "
    )
    with pytest.raises(DatasetError, match=few):
        LINEAR.require_people(4)
    LINEAR.require_people(5)


def test_a_linear_model_predicts_through_a_bundle_what_it_did_before(
    tmp_path, connectome
):
    bundle = write_tiny_kind(tmp_path / "linear", LINEAR.name, linear_tensors())
    maps = Model(bundle, "cpu", 1).predict(connectome)
    np.testing.assert_allclose(
        maps, tiny_linear().predict(connectome), rtol=1e-5, atol=1e-5
    )
    with pytest.raises(BundleError, match=r"kind linear\. Expected: attention-unet"):
        bundle.network()


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (ATTENTION_UNET.name, "out_block.1.weight", np.inf),
        (ATTENTION_UNET.name, "in_block.conv.1.running_var", np.float64(-1e300)),
        (LINEAR.name, "linear.means", np.nan),
        (LINEAR.name, "linear.weights", np.float64(1e300)),
        (LINEAR.name, "linear.coefficients", np.inf),
    ],
)
def test_weights_that_are_not_finite_are_refused(tmp_path, kind, name, value):
    changes = {name: lambda tensor: with_value(tensor, value)}
    bundle = load_bundle(forge_tiny_kind(tmp_path / "odd", kind, **changes))
    fact = f"weights.safetensors has values that are not finite in {name}"
    for use in (bundle.check_weights, bundle.prepare):
        with pytest.raises(BundleError, match=re.escape(fact)):
            use()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("means", lambda a: a[:, :7]),
        ("means", lambda a: a[0]),
        ("weights", lambda a: a[1:]),
        ("coefficients", lambda a: a[:, 1:]),
        ("sets", lambda a: a + 1),
    ],
)
def test_shapes_that_do_not_fit_are_refused(tmp_path, name, change):
    folder = forge_tiny_kind(
        tmp_path / "odd", LINEAR.name, **{f"linear.{name}": change}
    )
    with pytest.raises(BundleError, match=r"does not fit the mask|holds 4 ROI maps"):
        load_bundle(folder).check_weights()


def test_a_missing_or_wrong_tensor_is_named(tmp_path):
    tensors = linear_tensors()
    without = {k: v for k, v in tensors.items() if k != "linear.means"}
    with pytest.raises(BundleError, match=r"no tensor linear\.means"):
        write_tiny_kind(tmp_path / "a", LINEAR.name, without).check_weights()
    with pytest.raises(BundleError, match=r"no tensor in_block\.conv\.0\.weight"):
        write_tiny_kind(tmp_path / "c", ATTENTION_UNET.name, tensors)
