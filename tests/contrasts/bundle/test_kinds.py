"""The kinds of model of contrast maps: each row is complete, and a new one is enough."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.numpy
from tiny_bundle import tiny_network
from tiny_kinds import (
    CONTRASTS,
    PLACES,
    ROIS,
    TENSORS,
    WEIGHTS,
    blend_tensors,
    forge_tiny_kind,
    linear_tensors,
    network_state,
    ridge_tensors,
    tiny_ridge,
    with_value,
    write_tiny_kind,
)

from bids_dtg.bundles.card import ModelCard
from bids_dtg.bundles.kinds import all_kinds
from bids_dtg.bundles.overview import bundle_lines, model_lines
from bids_dtg.cli.models import main
from bids_dtg.cli.tables import legal_values
from bids_dtg.contrasts import blend, local_ridge_kind
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.bundle.kinds import (
    ATTENTION_UNET,
    BLEND,
    KINDS,
    LINEAR,
    LINEAR_PARCEL,
    LOCAL_RIDGE,
    KindChoice,
    MapsKind,
    choose_kind,
    find_kind,
)
from bids_dtg.contrasts.kind import Processor
from bids_dtg.contrasts.linear import LinearModel, Parcels
from bids_dtg.contrasts.network.parameters import Parameters
from bids_dtg.contrasts.network.prepared import prepare
from bids_dtg.contrasts.participant.model import Model
from bids_dtg.contrasts.plan import RECIPES, find_recipe
from bids_dtg.errors import BundleError, SettingsError
from bids_dtg.files.tensors import TensorFile
from bids_dtg.workflows import find_workflow

GROUP_PAGE = (Path(__file__).parents[3] / "docs" / "explanation" / "group.md").read_text(
    encoding="utf-8"
)


@pytest.fixture
def connectome():
    return np.random.default_rng(1).uniform(-1, 1, (ROIS, PLACES.number)).astype(np.float32)


@pytest.mark.parametrize("row", KINDS.values(), ids=KINDS)
def test_each_row_is_complete(row, tmp_path, connectome):
    assert KINDS[row.name] is row is find_kind(row.name) is all_kinds()[row.name]
    assert row.words.model
    assert row.words.owner
    assert "default" in row.recipes
    assert set(row.recipes) <= set(RECIPES) == set(find_workflow("contrasts").recipes)
    assert row.name in legal_values()["architecture"]
    assert f"\n- `--architecture {row.name}`" in GROUP_PAGE, (
        "say in docs/explanation/group.md what it is"
    )
    assert row.name in TENSORS, "TENSORS in tests/builders/tiny_kinds.py needs those of a tiny one"
    for function in ("channels", "check", "prepare", "check_machine", "check_plan", "fit"):
        assert callable(getattr(row.module(), function))
    bundle = write_tiny_kind(tmp_path / "tiny", row.name, TENSORS[row.name]())
    assert isinstance(bundle.card.part, row.part())
    assert ModelCard.from_json(bundle.card.to_json()).to_json() == bundle.card.to_json()
    assert main(["verify", str(bundle.path)]) == 0
    maps = Model(bundle, "cpu", 1).predict(connectome)
    assert maps.shape == (CONTRASTS, connectome.shape[1])
    assert np.isfinite(maps).all()
    assert f"model       tiny, version 0 ({row.name})" in bundle_lines(bundle)


@pytest.mark.slow
def test_no_kind_needs_torch_on_the_cpu(tmp_path):
    """All are read, verified and asked for maps in one process."""
    code = """
import sys, numpy as np, bids_dtg
from bids_dtg.connectome.connectome import Connectome
for folder in sys.argv[1:]:
    bundle = bids_dtg.load_bundle(folder)
    bundle.check_weights()
    r = np.zeros((len(bundle.roi_maps), bundle.places.number), np.float32)
    form = bundle.card.part.connectome
    connectome = Connectome(r, frames=100, seconds=432.0, form=form)
    bids_dtg.predict_maps(connectome, bundle, device="cpu", threads=1)
sys.exit("torch" in sys.modules)
"""
    bundles = [write_tiny_kind(tmp_path / name, name, make()) for name, make in TENSORS.items()]
    command = [sys.executable, "-c", code, *(str(bundle.path) for bundle in bundles)]
    assert subprocess.run(command, check=False).returncode == 0


def test_what_is_not_in_the_table_is_refused_with_what_is():
    with pytest.raises(
        SettingsError, match=r"--architecture is 'x'\. Expected: one of auto, attention-u"
    ):
        find_kind("x")
    expected = r"recipe published was given with --architecture blend\. Expected: .*attention-unet"
    with pytest.raises(SettingsError, match=expected):
        BLEND.require_recipe("published")
    for refuse in (BLEND.require_recipe, find_recipe):
        with pytest.raises(SettingsError, match=r"--recipe is 'x'\. Expected: one of default, pub"):
            refuse("x")
    ATTENTION_UNET.require_recipe("published")


def test_auto_goes_by_the_number_of_people():
    assert find_kind("auto") is LINEAR
    assert legal_values()["architecture"][0] == "auto"
    for people, validation in ((4, 0), (49, 49), (50, 9)):
        choice = choose_kind(people, validation)
        assert choice.kind is LINEAR
        assert choice.line.startswith(f"architecture: auto → linear: {people} participants to ")
        assert choice.to_json() == {"architecture": {"asked": "auto", "why": choice.why}}
    assert choose_kind(50, 10).kind is BLEND
    unable = choose_kind(50, 10, "lightning is not installed")
    assert unable.kind is LINEAR
    assert unable.line.endswith("are enough for a blend, but lightning is not installed")
    assert (KindChoice(BLEND).line, KindChoice(BLEND).to_json()) == ("", {})
    # The rules are stated where people read of them.
    assert re.search(r"`--architecture auto` \(default\).* 50 .* 10 ", GROUP_PAGE, re.DOTALL)


def test_local_ridge_predicts_through_a_bundle_what_it_did_before(tmp_path, connectome):
    model = tiny_ridge()
    bundle = write_tiny_kind(
        tmp_path / "ridge", LOCAL_RIDGE.name, local_ridge_kind.tensors_of(model)
    )
    found = Model(bundle, "cpu", 1).predict(connectome)
    expected = model.predict(connectome)
    np.testing.assert_allclose(found, expected, atol=5e-3 * np.abs(expected).max())
    with pytest.raises(BundleError, match=r"kind local-ridge\. Expected: attention-unet or blend"):
        bundle.network()


@pytest.mark.parametrize("parcels", [1, 2])
def test_a_linear_model_predicts_through_a_bundle_what_it_did_before(tmp_path, connectome, parcels):
    tensors = linear_tensors(parcels)
    bundle = write_tiny_kind(tmp_path / "linear", LINEAR.name, tensors)
    model = LinearModel(
        tensors["linear.coefficients"],
        Parcels(tensors["linear.parcels"] if parcels > 1 else None),
    )
    found = Model(bundle, "cpu", 1).predict(connectome)
    np.testing.assert_allclose(found, model.predict(connectome), rtol=1e-6)


def test_parcels_that_do_not_fit_are_refused(tmp_path):
    for name, change in (
        ("short", lambda labels: labels[:-1]),
        ("real", lambda labels: labels.astype(np.float32)),
        ("one", lambda labels: 0 * labels),
    ):
        folder = forge_tiny_kind(tmp_path / name, LINEAR_PARCEL.name, **{"linear.parcels": change})
        with pytest.raises(BundleError, match=r"does not fit the mask: (parcels|coefficients) are"):
            load_bundle(folder).check_weights()


def test_a_blend_is_the_weighed_sum_of_both(tmp_path, connectome):
    bundle = write_tiny_kind(tmp_path / "blend", BLEND.name, blend_tensors())
    network = prepare(Parameters.of(tiny_network(ROIS, CONTRASTS)), PLACES.mask)
    expected = blend.blended(
        [tiny_ridge().predict(connectome), network.predict(connectome)], WEIGHTS
    )
    found = Model(bundle, "cpu", 1).predict(connectome)
    np.testing.assert_allclose(found, expected, atol=5e-3 * np.abs(expected).max())


def test_a_blend_as_earlier_versions_wrote_it_predicts_the_same_to_the_bit(tmp_path, connectome):
    network = {f"network.{name}": tensor for name, tensor in network_state().items()}
    written_then = ridge_tensors() | network | {"blend.weights": WEIGHTS}
    bundle = write_tiny_kind(tmp_path / "blend", BLEND.name, written_then)
    weights = bundle.weights()
    ridge = local_ridge_kind.read_ridge(weights, PLACES).predict(connectome)
    unet = prepare(Parameters.of(bundle.network()), PLACES.mask).predict(connectome)
    found = bundle.prepare(Processor()).predict(connectome)
    np.testing.assert_array_equal(found, blend.blended([ridge, unet], WEIGHTS))


def saved(path, tensors):
    path.write_bytes(safetensors.numpy.save(tensors))
    return TensorFile(path)


def test_a_blend_of_models_that_do_not_fit_is_refused(tmp_path):
    weights = saved(tmp_path / "weights.safetensors", blend_tensors(ROIS + 1))
    with pytest.raises(BundleError, match=r"blends models of \(4, 3\) and \(5, 3\)"):
        blend.channels(weights)


@pytest.mark.parametrize(("begins", "found"), [("ridge.", "network"), ("", "none")])
def test_a_blend_of_one_model_is_refused(tmp_path, begins, found):
    tensors = {name: one for name, one in blend_tensors().items() if not name.startswith(begins)}
    weights = saved(tmp_path / "weights.safetensors", tensors or {"x": np.ones(1)})
    for use in (blend.channels, blend.read_blend_weights, lambda w: blend.check(w, PLACES)):
        with pytest.raises(BundleError, match=rf"blends too few models \({found}\)"):
            use(weights)


@pytest.mark.parametrize("wrong", [None, np.ones((2, 4))])
def test_a_blend_needs_a_weight_a_model_and_contrast(tmp_path, wrong):
    tensors = {name: tensor for name, tensor in blend_tensors().items() if "blend" not in name}
    if wrong is not None:
        tensors["blend.weights"] = wrong
    bundle = write_tiny_kind(tmp_path / "blend", BLEND.name, tensors)
    for use in (bundle.check_weights, lambda: bundle.prepare(Processor())):
        with pytest.raises(
            BundleError, match=r"safetensors: blend\.weights is .*Expected: \(2, 3\)"
        ):
            use()


@pytest.mark.parametrize("value", [np.nan, np.inf, np.float64(-1e300)])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (ATTENTION_UNET.name, "out_block.1.weight"),
        (ATTENTION_UNET.name, "in_block.conv.1.running_var"),
        (LOCAL_RIDGE.name, "ridge.mean_connectome"),
        (LOCAL_RIDGE.name, "ridge.mean_maps"),
        (LOCAL_RIDGE.name, "ridge.coefficients"),
        (BLEND.name, "ridge.coefficients"),
        (BLEND.name, "network.out_block.1.bias"),
        (BLEND.name, "blend.weights"),
    ],
)
def test_weights_that_are_not_finite_are_refused(tmp_path, capsys, kind, name, value):
    folder = forge_tiny_kind(
        tmp_path / "odd", kind, **{name: lambda tensor: with_value(tensor, value)}
    )
    bundle = load_bundle(folder)
    fact = f"weights.safetensors has values that are not finite in {name}"
    for use in (bundle.check_weights, lambda: bundle.prepare(Processor())):
        with pytest.raises(BundleError, match=re.escape(fact)):
            use()
    assert main(["verify", str(folder)]) == 2
    assert fact in capsys.readouterr().out


@pytest.mark.parametrize("block", [[3, 3], [3], 3.0, 0, -3, 2**62])
def test_block_that_is_no_edge_is_refused(tmp_path, block):
    folder = forge_tiny_kind(
        tmp_path / "odd", LOCAL_RIDGE.name, **{"ridge.block": lambda _: np.array(block)}
    )
    fact = r"weights\.safetensors.*(block is one whole number|ridge\.block has shape)"
    with pytest.raises(BundleError, match=fact):
        load_bundle(folder).check_weights()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("mean_connectome", lambda a: a[0]),
        ("mean_connectome", lambda a: a[:, :7]),
        ("mean_maps", lambda a: a[0, 0]),
        ("mean_maps", lambda a: a[:2]),
        ("coefficients", lambda a: a[:-1]),
    ],
)
def test_shapes_that_do_not_fit_are_refused(tmp_path, name, change):
    folder = forge_tiny_kind(tmp_path / "odd", LOCAL_RIDGE.name, **{f"ridge.{name}": change})
    facts = r"does not fit the mask: coefficients are|mean_\w+ has shape|has coefficients of"
    with pytest.raises(BundleError, match=facts):
        load_bundle(folder).check_weights()


def test_large_values_are_kept_in_32_bits(tmp_path, connectome):
    model = tiny_ridge()
    for values in (model.mean_maps, model.coefficients):
        values *= np.float32(1e6)
    tensors = local_ridge_kind.tensors_of(model)
    assert tensors["ridge.mean_maps"].dtype == np.float32
    bundle = write_tiny_kind(tmp_path / "large", LOCAL_RIDGE.name, tensors)
    found = Model(bundle, "cpu", 1).predict(connectome)
    expected = model.predict(connectome)
    np.testing.assert_allclose(found, expected, atol=5e-3 * np.abs(expected).max())


@pytest.mark.parametrize("kind", KINDS)
def test_model_that_is_not_finite_is_not_written(tmp_path, kind):
    tensors = TENSORS[kind]()
    name = next(iter(tensors))
    tensors[name] = with_value(tensors[name], np.nan)
    with pytest.raises(BundleError, match=rf"the model was not written: {name} has values that"):
        write_tiny_kind(tmp_path / "odd", kind, tensors)
    assert not list(tmp_path.iterdir())


def test_a_missing_or_wrong_tensor_is_named(tmp_path):
    tensors = ridge_tensors()
    without = {k: v for k, v in tensors.items() if k != "ridge.mean_maps"}
    with pytest.raises(BundleError, match=r"no tensor ridge\.mean_maps"):
        write_tiny_kind(tmp_path / "a", LOCAL_RIDGE.name, without).check_weights()
    other_cells = tensors | {"ridge.block": np.array(2)}
    with pytest.raises(BundleError, match="does not fit the mask: coefficients are"):
        write_tiny_kind(tmp_path / "b", LOCAL_RIDGE.name, other_cells).check_weights()
    with pytest.raises(BundleError, match=r"no tensor in_block\.conv\.0\.weight"):
        write_tiny_kind(tmp_path / "c", ATTENTION_UNET.name, tensors)


def doubling():
    """Make a kind of model in a few lines: each map is twice a ROI's row of the connectome."""

    def channels(weights):
        return weights.shape("rows", axes=1)[0] + 1, weights.shape("rows", axes=1)[0]

    def prepare(weights, mask, processor):
        rows = weights.read()["rows"].astype(int)
        return SimpleNamespace(predict=lambda connectome: 2 * connectome[rows])

    return SimpleNamespace(channels=channels, prepare=prepare)


def test_a_row_is_enough_to_load_predict_and_list_a_new_kind(tmp_path, monkeypatch, connectome):
    row = MapsKind(name="doubling", words=ATTENTION_UNET.words, module=doubling, needs_torch=False)
    with pytest.raises(BundleError, match="is a model of kind doubling"):
        write_tiny_kind(tmp_path / "models" / "twice", row.name, {"rows": np.arange(CONTRASTS)})
    monkeypatch.setitem(KINDS, row.name, row)
    write_tiny_kind(tmp_path / "models" / "twice", row.name, {"rows": np.arange(CONTRASTS)})
    bundle = load_bundle(tmp_path / "models" / "twice")
    found = Model(bundle, "cpu", 1).predict(connectome)
    np.testing.assert_array_equal(found, 2 * connectome[:CONTRASTS])
    monkeypatch.setenv("DTG_MODEL_DIR", str(tmp_path / "models"))
    assert any(line.startswith("twice") and " doubling " in line for line in model_lines())
