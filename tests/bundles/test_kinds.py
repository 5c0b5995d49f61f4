"""The table of kinds: each row is complete, and a new one is enough to load and predict."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import safetensors.numpy
from tiny_bundle import (
    TINY_AFFINE,
    TINY_SHAPE,
    forge,
    maps_card,
    move_program_folders,
    tiny_masks,
    tiny_network,
)
from tiny_network import write_tiny_network
from tiny_twin import write_tiny_twin

from bids_dtg.bundles.card import WEIGHTS_FILE, ModelCard
from bids_dtg.bundles.kinds import (
    ATTENTION_UNET,
    BLEND,
    DIGITAL_TWIN,
    KINDS,
    LINEAR,
    LINEAR_PARCEL,
    LOCAL_RIDGE,
    NETWORK_MODEL,
    Kind,
    KindChoice,
    MapsKind,
    choose_kind,
    find_kind,
    maps_kinds,
)
from bids_dtg.bundles.overview import bundle_lines, model_lines
from bids_dtg.bundles.packing import LOADERS, load_any_bundle
from bids_dtg.bundles.writer import BundleArrays, write_bundle
from bids_dtg.cli.models import main
from bids_dtg.cli.tables import legal_values
from bids_dtg.contrasts import blend, linear_kind, local_ridge_kind
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.kind import Processor
from bids_dtg.contrasts.linear import LinearModel, Parcels
from bids_dtg.contrasts.local_ridge import LocalRidgeSums
from bids_dtg.contrasts.network.parameters import Parameters
from bids_dtg.contrasts.network.prepared import prepare
from bids_dtg.contrasts.participant.model import Model
from bids_dtg.contrasts.plan import RECIPES, find_recipe
from bids_dtg.errors import BundleError, SettingsError
from bids_dtg.files.tensors import TensorFile
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.workflows import find_workflow

GROUP_PAGE = (Path(__file__).parents[2] / "docs" / "group.md").read_text(encoding="utf-8")
ROIS, CONTRASTS = 4, 3
BRAIN, PLACES = (VoxelPlaces.within(Grid(TINY_SHAPE, TINY_AFFINE), m) for m in tiny_masks())
WEIGHTS = np.array([[0.9, 1.0, 0.0], [0.4, 0.0, 0.5]], np.float32)


def solved(rois=ROIS, contrasts=CONTRASTS):
    rng = np.random.default_rng(3)
    sums = LocalRidgeSums(PLACES.lattice(3))
    for _ in range(6):
        x = rng.uniform(-1, 1, (rois, PLACES.number))
        sums.fit_person(x, rng.normal(size=(contrasts, rois)) @ x)
    return sums.solve(1.0)


def network_state(rois=ROIS):
    return {k: v.numpy() for k, v in tiny_network(rois, CONTRASTS).state_dict().items()}


def ridge_tensors():
    return local_ridge_kind.tensors_of(solved())


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


def written(folder, kind, tensors, **facts):
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


@pytest.fixture
def connectome():
    return np.random.default_rng(1).uniform(-1, 1, (ROIS, PLACES.number)).astype(np.float32)


@pytest.mark.parametrize("row", maps_kinds().values(), ids=maps_kinds())
def test_each_row_of_maps_is_complete(row, tmp_path, connectome):
    assert KINDS[row.name] is row is find_kind(row.name)
    assert row.words.model
    assert row.words.owner
    assert "default" in row.recipes
    assert set(row.recipes) <= set(RECIPES) == set(find_workflow("contrasts").recipes)
    assert row.name in legal_values()["architecture"]
    assert f"\n- `--architecture {row.name}`" in GROUP_PAGE, "say in docs/group.md what it is"
    assert row.name in TENSORS, "TENSORS needs those of a tiny model of it"
    for function in ("channels", "check", "prepare", "check_machine", "check_plan", "fit"):
        assert callable(getattr(row.module(), function))
    bundle = written(tmp_path / "tiny", row.name, TENSORS[row.name]())
    assert isinstance(bundle.card.part, row.part())
    assert ModelCard.from_json(bundle.card.to_json()).to_json() == bundle.card.to_json()
    assert main(["verify", str(bundle.path)]) == 0
    maps = Model(bundle, "cpu", 1).predict(connectome)
    assert maps.shape == (CONTRASTS, connectome.shape[1])
    assert np.isfinite(maps).all()
    assert f"model       tiny, version 0 ({row.name})" in bundle_lines(bundle)


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
    bundles = [written(tmp_path / name, name, make()) for name, make in TENSORS.items()]
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
    model = solved()
    bundle = written(tmp_path / "ridge", LOCAL_RIDGE.name, local_ridge_kind.tensors_of(model))
    found = Model(bundle, "cpu", 1).predict(connectome)
    expected = model.predict(connectome)
    np.testing.assert_allclose(found, expected, atol=5e-3 * np.abs(expected).max())
    with pytest.raises(BundleError, match=r"kind local-ridge\. Expected: attention-unet or blend"):
        bundle.network()


@pytest.mark.parametrize("parcels", [1, 2])
def test_a_linear_model_predicts_through_a_bundle_what_it_did_before(tmp_path, connectome, parcels):
    tensors = linear_tensors(parcels)
    bundle = written(tmp_path / "linear", LINEAR.name, tensors)
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
        folder = forged(tmp_path / name, LINEAR_PARCEL.name, **{"linear.parcels": change})
        with pytest.raises(BundleError, match=r"does not fit the mask: (parcels|coefficients) are"):
            load_bundle(folder).check_weights()


def test_a_blend_is_the_weighed_sum_of_both(tmp_path, connectome):
    bundle = written(tmp_path / "blend", BLEND.name, blend_tensors())
    network = prepare(Parameters.of(tiny_network(ROIS, CONTRASTS)), PLACES.mask)
    expected = blend.blended([solved().predict(connectome), network.predict(connectome)], WEIGHTS)
    found = Model(bundle, "cpu", 1).predict(connectome)
    np.testing.assert_allclose(found, expected, atol=5e-3 * np.abs(expected).max())


def test_a_blend_as_earlier_versions_wrote_it_predicts_the_same_to_the_bit(tmp_path, connectome):
    network = {f"network.{name}": tensor for name, tensor in network_state().items()}
    written_then = ridge_tensors() | network | {"blend.weights": WEIGHTS}
    bundle = written(tmp_path / "blend", BLEND.name, written_then)
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
    bundle = written(tmp_path / "blend", BLEND.name, tensors)
    for use in (bundle.check_weights, lambda: bundle.prepare(Processor())):
        with pytest.raises(
            BundleError, match=r"safetensors: blend\.weights is .*Expected: \(2, 3\)"
        ):
            use()


def with_value(tensor, value):
    changed = np.array(tensor, np.result_type(tensor, value))
    changed.reshape(-1)[0] = value
    return changed


def forged(folder, kind, **changes):
    """Write a bundle whose weights were changed by somebody who knows the hashes."""
    tensors = TENSORS[kind]()
    bundle = written(folder, kind, tensors)
    changed = {name: change(tensors[name]) for name, change in changes.items()}
    whole = {name: np.asarray(tensor, order="C") for name, tensor in (tensors | changed).items()}
    return forge(bundle, "weights.safetensors", safetensors.numpy.save(whole))


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
    folder = forged(tmp_path / "odd", kind, **{name: lambda tensor: with_value(tensor, value)})
    bundle = load_bundle(folder)
    fact = f"weights.safetensors has values that are not finite in {name}"
    for use in (bundle.check_weights, lambda: bundle.prepare(Processor())):
        with pytest.raises(BundleError, match=re.escape(fact)):
            use()
    assert main(["verify", str(folder)]) == 2
    assert fact in capsys.readouterr().out


@pytest.mark.parametrize("block", [[3, 3], [3], 3.0, 0, -3, 2**62])
def test_block_that_is_no_edge_is_refused(tmp_path, block):
    folder = forged(
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
    folder = forged(tmp_path / "odd", LOCAL_RIDGE.name, **{f"ridge.{name}": change})
    facts = r"does not fit the mask: coefficients are|mean_\w+ has shape|has coefficients of"
    with pytest.raises(BundleError, match=facts):
        load_bundle(folder).check_weights()


def written_of_any(folder, kind):
    """Write a tiny bundle of a kind; a new row of anything but maps needs a line."""
    if kind in TENSORS:
        return written(folder, kind, TENSORS[kind]())
    others = {NETWORK_MODEL.name: write_tiny_network, DIGITAL_TWIN.name: write_tiny_twin}
    return others[kind](folder)


@pytest.mark.parametrize("row", KINDS.values(), ids=KINDS)
def test_each_row_of_any_kind_is_loaded_and_refused_as_maps_where_it_has_none(row, tmp_path):
    assert KINDS[row.name] is row
    assert row.workflow in ("", *legal_values()["workflow"])
    assert row.predicts
    bundle = written_of_any(tmp_path / "tiny", row.name)
    assert isinstance(bundle.card.part, row.part())
    assert type(load_any_bundle(bundle.path)) is type(bundle)
    assert ModelCard.from_json(bundle.card.to_json()).to_json() == bundle.card.to_json()
    bundle.check_weights()
    own = {path.name for path in bundle.path.iterdir()} - {"model.json", WEIGHTS_FILE}
    assert own <= {*row.part().FILES}
    of_maps = isinstance(row, MapsKind)
    assert (row.name in legal_values()["architecture"]) is of_maps
    if not of_maps:
        with pytest.raises(BundleError, match=row.remedy):
            load_bundle(bundle.path)


def test_every_part_has_a_loader():
    assert {row.part() for row in KINDS.values()} == LOADERS.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_verify_and_info_know_every_kind(tmp_path, capsys, kind):
    bundle = written_of_any(tmp_path / "models" / "whole", kind)
    assert main(["info", str(bundle.path)]) == 0
    assert f"({kind})" in capsys.readouterr().out
    assert main(["verify", str(bundle.path)]) == 0
    assert (
        f"{bundle.path}: whole, tiny {bundle.card.version}, {bundle.identity}"
        in capsys.readouterr().out
    )


def test_verify_without_arguments_reports_each_model(tmp_path, capsys, monkeypatch):
    for kind in KINDS:
        written_of_any(tmp_path / "models" / kind, kind)
    move_program_folders(monkeypatch, tmp_path)
    monkeypatch.setenv("DTG_MODEL_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert main(["verify"]) == 0
    out = capsys.readouterr().out
    assert [line.partition(": ")[2][:5] for line in out.splitlines()] == ["whole"] * len(KINDS)
    forged(
        tmp_path / "models" / "a-forged",
        LOCAL_RIDGE.name,
        **{"ridge.mean_maps": lambda tensor: with_value(tensor, np.nan)},
    )
    assert main(["verify"]) == 2
    out, err = capsys.readouterr()
    assert out.count(": whole, ") == len(KINDS)
    assert "a-forged: " in out.splitlines()[0]
    assert "1 cannot be used: " in err


def test_large_values_are_kept_in_32_bits(tmp_path, connectome):
    model = solved()
    for values in (model.mean_maps, model.coefficients):
        values *= np.float32(1e6)
    tensors = local_ridge_kind.tensors_of(model)
    assert tensors["ridge.mean_maps"].dtype == np.float32
    bundle = written(tmp_path / "large", LOCAL_RIDGE.name, tensors)
    found = Model(bundle, "cpu", 1).predict(connectome)
    expected = model.predict(connectome)
    np.testing.assert_allclose(found, expected, atol=5e-3 * np.abs(expected).max())


@pytest.mark.parametrize("kind", maps_kinds())
def test_model_that_is_not_finite_is_not_written(tmp_path, kind):
    tensors = TENSORS[kind]()
    name = next(iter(tensors))
    tensors[name] = with_value(tensors[name], np.nan)
    with pytest.raises(BundleError, match=rf"the model was not written: {name} has values that"):
        written(tmp_path / "odd", kind, tensors)
    assert not list(tmp_path.iterdir())


def test_a_missing_or_wrong_tensor_is_named(tmp_path):
    tensors = ridge_tensors()
    without = {k: v for k, v in tensors.items() if k != "ridge.mean_maps"}
    with pytest.raises(BundleError, match=r"no tensor ridge\.mean_maps"):
        written(tmp_path / "a", LOCAL_RIDGE.name, without).check_weights()
    other_cells = tensors | {"ridge.block": np.array(2)}
    with pytest.raises(BundleError, match="does not fit the mask: coefficients are"):
        written(tmp_path / "b", LOCAL_RIDGE.name, other_cells).check_weights()
    with pytest.raises(BundleError, match=r"no tensor in_block\.conv\.0\.weight"):
        written(tmp_path / "c", ATTENTION_UNET.name, tensors)


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
        written(tmp_path / "models" / "twice", row.name, {"rows": np.arange(CONTRASTS)})
    monkeypatch.setitem(KINDS, row.name, row)
    written(tmp_path / "models" / "twice", row.name, {"rows": np.arange(CONTRASTS)})
    bundle = load_bundle(tmp_path / "models" / "twice")
    found = Model(bundle, "cpu", 1).predict(connectome)
    np.testing.assert_array_equal(found, 2 * connectome[:CONTRASTS])
    assert "doubling" in legal_values()["architecture"]
    monkeypatch.setenv("DTG_MODEL_DIR", str(tmp_path / "models"))
    assert any(line.startswith("twice") and " doubling " in line for line in model_lines())


@dataclass(frozen=True)
class RegionsPart:
    """The card's part of a kind that predicts no maps."""

    ORDER: ClassVar[tuple[str, ...]] = ()
    FILES: ClassVar[tuple[str, ...]] = ("regions.txt",)
    regions: int

    @property
    def outputs(self) -> str:
        return f"{self.regions} regions"

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def required_files(cls, fields) -> tuple[str, ...]:
        return cls.FILES

    @classmethod
    def read(cls, fields, files: Mapping[str, str]) -> RegionsPart:
        return cls(fields.whole("regions"))


def test_a_kind_may_have_a_part_of_its_own_but_no_maps(tmp_path, monkeypatch):
    row = Kind(
        name="regions", part=lambda: RegionsPart, workflow="atlas", predicts="names of regions"
    )
    monkeypatch.setitem(KINDS, row.name, row)
    card = ModelCard(
        "brain",
        "1",
        row.name,
        RegionsPart(7),
        files=dict.fromkeys((WEIGHTS_FILE, "regions.txt"), "0" * 64),
    )
    back = ModelCard.from_json(card.to_json())
    assert (back.part, back.to_json()) == (RegionsPart(7), card.to_json())
    with pytest.raises(BundleError, match="unknown field contrasts"):
        ModelCard.from_json(card.to_json().replace('"regions": 7', '"regions": 7, "contrasts": []'))
    with pytest.raises(BundleError, match=r"lists no regions\.txt under files"):
        ModelCard.from_json(card.to_json().replace("regions.txt", "others.txt"))
    (tmp_path / "model.json").write_text(card.to_json(), encoding="utf-8")
    with pytest.raises(
        BundleError,
        match=r"kind regions\. Expected: one that predicts contrast maps\. To do: use it with "
        "--workflow atlas",
    ):
        load_bundle(tmp_path)
    assert row.name not in legal_values()["architecture"]
    with pytest.raises(SettingsError, match=r"--architecture is 'regions'"):
        find_kind(row.name)
