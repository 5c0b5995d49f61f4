"""Bundles of network models: what is written is loaded, and what is damaged is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from tiny_bundle import forge, write_tiny_bundle
from tiny_network import TINY_FACTS, TINY_RECIPE, TINY_REGIONS, tiny_fitted, write_tiny_network

from bids_dtg.bundles.people import PersonHashes, SeenPeople, hash_person
from bids_dtg.cli.models import main
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.dynamics.bundle.bundle import (
    NetworkBundle,
    load_network_bundle,
    write_network_bundle,
)
from bids_dtg.dynamics.inference import infer
from bids_dtg.dynamics.model import Items
from bids_dtg.dynamics.networks import Networks
from bids_dtg.dynamics.recipe import RECIPES, Recipe
from bids_dtg.errors import BundleError, RunError

FILES = ("weights.safetensors", "fitted.safetensors")


@pytest.fixture
def bundle(tmp_path: Path) -> NetworkBundle:
    return write_tiny_network(tmp_path / "tiny")


@pytest.mark.parametrize(
    "recipe",
    [TINY_RECIPE, replace(TINY_RECIPE, external_inputs=0, person_parameters=0), Recipe()],
    ids=["all", "least", "default"],
)
def test_what_is_written_is_loaded(tmp_path: Path, recipe: Recipe) -> None:
    written = write_tiny_network(tmp_path / "tiny", recipe)
    bundle, fitted = load_network_bundle(tmp_path / "tiny"), tiny_fitted(recipe)
    assert bundle.identity == written.identity
    assert bundle.part.recipe == recipe
    assert (bundle.part.people, bundle.part.regions, bundle.part.frames) == (3, 4, 20)
    assert bundle.regions == fitted.regions == TINY_REGIONS
    np.testing.assert_array_equal(bundle.trained, fitted.trained)
    model = bundle.model()
    assert not model.training
    for name, tensor in fitted.model.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], tensor, rtol=0, atol=0)
    items = Items(torch.ones(20, 2), torch.ones(20, 2), torch.tensor([0, 2]))
    with torch.no_grad():
        found, expected = (m.infer(items).region.mean for m in (model, fitted.model))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_the_same_fit_gives_the_same_bytes(tmp_path: Path) -> None:
    first, again = (write_tiny_network(tmp_path / name) for name in "ab")
    for name in (*FILES, "model.json"):
        assert (first.path / name).read_bytes() == (again.path / name).read_bytes()
    assert write_tiny_network(first.path).identity == first.identity
    with pytest.raises(BundleError, match="holds another bundle"):
        write_tiny_network(first.path, session="REST2")


def test_a_model_leaves_the_callers_random_numbers_alone(bundle: NetworkBundle) -> None:
    state = torch.random.get_rng_state()
    bundle.model()
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"regions": TINY_REGIONS[:3]}, r"there are 3 regions .* has 4 regions .*same order"),
        ({"regions": TINY_REGIONS[::-1]}, "the same regions in the same order.*--atlases"),
        ({"atlas_digest": "b"}, "the parcels of Mine are not those of Mine that the model tiny"),
        (
            {"tr_seconds": 0.76},
            r"0.76 s apart and those of the model tiny 0.72 s\. Expected: at mo",
        ),
        ({"tr_seconds": 0.68}, "at most 5% between them: a step of the model is a frame"),
        ({"frames": 59}, r"59 frames from the first to the last .*Expected: 60 or more"),
    ],
)
def test_series_that_a_model_cannot_describe_are_refused(tmp_path, changed, message) -> None:
    facts = replace(TINY_FACTS, atlas="Mine", atlas_digest="a")
    bundle = write_network_bundle(tmp_path / "tiny", tiny_fitted(), facts)
    assert (bundle.part.atlas, bundle.part.atlas_digest) == ("Mine", "a")
    fits = {"regions": TINY_REGIONS, "atlas": "Mine", "atlas_digest": "a"}
    fits |= {"tr_seconds": 0.75, "frames": 60}
    bundle.require_fits(**fits)
    bundle.require_fits(**{**fits, "atlas": "", "atlas_digest": ""})  # it is not known
    with pytest.raises((BundleError, RunError), match=message):
        bundle.require_fits(**{**fits, **changed})


def test_the_record_has_each_restart(bundle: NetworkBundle) -> None:
    record = bundle.card.record
    assert record is not None
    first, second = record["restarts"]
    assert (record["chosen"], first["seed"], second["seed"]) == (0, 0, 1)
    assert (first["elbo"], first["held_out_elbo"]) == (-20.0, -30.5)
    assert second["held_out_elbo"] is None
    assert (first["epochs"], first["hours"]) == (2, 1.0)
    assert first["history"][1] == {"epoch": 1.0, "loss": 8.0, "seconds": 1800.0}


def test_nobody_is_named(bundle: NetworkBundle) -> None:
    content = b"".join(path.read_bytes() for path in bundle.path.iterdir())
    assert not any(label in content for label in (b"ann", b"bob"))
    assert bundle.fitted_people[1] == hash_person("tiny-study", "bob")
    assert bundle.people is None


def test_people_at_hand_are_found_again(bundle: NetworkBundle) -> None:
    known = bundle.known(["cy", "dot", "ann"])
    assert known == ("ann", bundle.fitted_people[1], "cy")
    assert bundle.rows(["cy", "dot", "ann"]) == {"cy": 2, "ann": 0}
    assert bundle.rows(["cy"], data_set="Another study") == {}
    rng = np.random.default_rng(0)
    networks = Networks(
        ("cy", "ann"),
        TINY_REGIONS,
        rng.normal(size=(2, 4, 20)).astype(np.float32),
        np.ones((2, 4, 4), np.float32),
        0.72,
    )
    found = infer(bundle.model(), networks, known)
    expected = infer(tiny_fitted().model, networks, ("ann", "bob", "cy"))
    np.testing.assert_array_equal(found.region.mean, expected.region.mean)


def test_whom_it_has_seen_comes_back(tmp_path: Path) -> None:
    seen = SeenPeople({"training": (PersonHashes(hash_person("Tiny study", "ann")),)})
    bundle = write_tiny_network(tmp_path / "tiny", people=seen)
    assert bundle.people == load_network_bundle(bundle.path).people == seen


def test_loading_and_verifying_need_no_torch(bundle: NetworkBundle) -> None:
    code = (
        "import sys; from bids_dtg.dynamics.bundle.bundle import load_network_bundle; "
        "load_network_bundle(sys.argv[1]).check_weights(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, bundle.path], check=False).returncode == 0


def test_other_kinds_are_refused_with_their_workflow(bundle: NetworkBundle, tmp_path: Path) -> None:
    fact = r"is a model of kind network-model\. Expected: one that predicts contrast maps\."
    with pytest.raises(BundleError, match=rf"{fact} To do: use it with --workflow dynamics"):
        load_bundle(bundle.path)
    maps = write_tiny_bundle(tmp_path / "maps")
    fact = r"of kind attention-unet\. Expected: one that predicts the activity of networks"
    with pytest.raises(BundleError, match=rf"{fact}.* use it with --workflow contrasts"):
        load_network_bundle(maps.path)


def test_commands_on_models_take_one(
    bundle: NetworkBundle,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DTG_MODEL_DIR", str(tmp_path))
    assert main(["list"]) == 0
    listed = " ".join(capsys.readouterr().out.split())
    assert f"tiny 1 network-model 4 regions of 3 participants {bundle.path}" in listed
    assert main(["info", str(bundle.path)]) == 0
    shown = capsys.readouterr().out
    for fact in (
        "model       tiny, version 1 (network-model)",
        "notice      NOT FOR SCIENCE: random weights, for tests",
        "regions     4, L insula to R café",
        "series      20 frames, session REST1",
        "restart 1   ELBO -20.0, held out -30.5, 2 epochs, 1.0 h (chosen)",
        "restart 2   ELBO -19.0, held out n/a, 2 epochs, 1.0 h\n",
    ):
        assert fact in shown
    packed = str(tmp_path / "m.tar")
    assert main(["pack", str(bundle.path), packed]) == 0
    assert main(["unpack", packed, str(tmp_path / "again")]) == 0
    assert load_network_bundle(tmp_path / "again").identity == bundle.identity
    (tmp_path / "again" / "model.json").write_text("{")  # damaged, and goes all the same
    assert main(["remove", str(tmp_path / "again")]) == 0
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("name", FILES)
def test_missing_and_changed_files_are_refused(bundle: NetworkBundle, name: str) -> None:
    path = bundle.path / name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match=f"{name} has changed"):
        load_network_bundle(bundle.path)
    path.unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        load_network_bundle(bundle.path)


def test_weights_that_change_after_loading_are_refused(bundle: NetworkBundle) -> None:
    (bundle.path / "weights.safetensors").write_bytes(b"others")
    with pytest.raises(BundleError, match="has changed"):
        bundle.model()


def tensors(bundle: NetworkBundle, name: str) -> dict[str, np.ndarray]:
    return safetensors.numpy.load((bundle.path / name).read_bytes())


def forged(bundle: NetworkBundle, name: str, **changes: np.ndarray | None) -> Path:
    """Change tensors of a file as somebody who knows the hashes would; None: left out."""
    found = tensors(bundle, name) | {key.replace("__", "."): own for key, own in changes.items()}
    whole = {key: np.asarray(own, order="C") for key, own in found.items() if own is not None}
    return forge(bundle, name, safetensors.numpy.save(whole))


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"observation__bias": None}, "has no tensor observation.bias"),
        ({"extra": np.zeros(1, np.float32)}, "has the unknown tensor extra"),
        ({"observation__weight": np.zeros((1, 3), np.float32)}, r"has shape \(1, 3\)"),
        ({"person_table": np.zeros((4, 1, 2), np.float32)}, r"person_table has shape \(4, 1, 2\)"),
        ({"observation__bias": np.zeros((1, 1), np.float32)}, "Expected: one axis"),
    ],
)
def test_weights_of_other_shapes_are_refused_before_a_model_is_made(
    bundle: NetworkBundle, changes: dict[str, np.ndarray | None], fact: str
) -> None:
    folder = forged(bundle, "weights.safetensors", **changes)
    with pytest.raises(BundleError, match=rf"weights\.safetensors.*{fact}"):
        load_network_bundle(folder)


@pytest.mark.parametrize(
    ("value", "fact"),
    [
        (np.full(1, np.nan, np.float32), "not finite in observation.bias"),
        (np.full(1, np.inf, np.float32), "not finite in observation.bias"),
        (np.zeros(1, np.float64), "float64"),
    ],
)
def test_weights_of_odd_values_are_refused(
    bundle: NetworkBundle, value: np.ndarray, fact: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = forged(bundle, "weights.safetensors", observation__bias=value)
    loaded = load_network_bundle(folder)
    for use in (loaded.check_weights, loaded.model):
        with pytest.raises(BundleError, match=rf"weights\.safetensors.*{fact}"):
            use()
    assert main(["verify", str(folder)]) == 2
    assert fact in capsys.readouterr().out


def names(*found: str) -> np.ndarray:
    return np.frombuffer("\n".join(found).encode(), np.uint8)


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"regions": names("a", "b", "c")}, "it has 3 names, not 4"),
        ({"regions": names("a", "b", "c", "a")}, "a region is called 'a'. Expected: names of vis"),
        ({"regions": names("a", "b", "c", "")}, "a region is called ''"),
        ({"regions": names("a", "b", "c", "\x1b[2J")}, r"a region is called '\\x1b\[2J'"),
        ({"regions": np.full(9, 255, np.uint8)}, "decode"),
        ({"regions": np.zeros(5000, np.uint8)}, "5000 bytes of names"),
        ({"regions": None}, "no tensor regions"),
        ({"people": np.zeros((2, 16), np.uint8)}, r"\(2, 16\).*Expected: .*\(3, 16\)"),
        ({"people": np.zeros((3, 16), np.uint8)}, "somebody twice"),
        ({"trained": np.zeros((3, 5), np.uint8)}, r"\(3, 5\).*Expected: .*\(3, 4\)"),
        ({"trained": np.full((3, 4), 2, np.uint8)}, "other values than 0 and 1"),
        ({"labels": np.zeros(3, np.uint8)}, "labels"),
    ],
)
def test_a_damaged_list_of_whom_it_was_fitted_to_is_refused(
    bundle: NetworkBundle, changes: dict[str, np.ndarray | None], fact: str
) -> None:
    folder = forged(bundle, "fitted.safetensors", **changes)
    with pytest.raises(BundleError, match=rf"fitted\.safetensors.*{fact}"):
        load_network_bundle(folder)


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"people": 4, "training": 4}, r"has shape \(12, 5\)|has shape \(20, 5\)|has shape"),
        ({"frames": 21}, r"external_table has shape \(3, 20, 2\)"),
        ({"regions": 5}, "it has 4 names, not 5|Expected"),
    ],
)
def test_a_card_of_others_is_refused(
    bundle: NetworkBundle, changes: dict[str, int], fact: str
) -> None:
    card = json.loads((bundle.path / "model.json").read_text())
    if "training" in changes:
        card["training"]["participants"] = changes.pop("training")
    (bundle.path / "model.json").write_text(json.dumps(card | changes))
    with pytest.raises(BundleError, match=fact):
        load_network_bundle(bundle.path)


def test_what_cannot_be_kept_is_not_written(tmp_path: Path) -> None:
    fitted = tiny_fitted()
    with pytest.raises(BundleError, match=r"a region is called 'a\\nb'"):
        write_network_bundle(
            tmp_path / "odd", replace(fitted, regions=("a\nb", "c", "d", "e")), TINY_FACTS
        )
    with pytest.raises(BundleError, match=r"Expected: a notice, as for_science is false"):
        write_tiny_network(tmp_path / "odd", notice=" ")
    with torch.no_grad():
        fitted.model.observation.bias.fill_(float("nan"))
    with pytest.raises(BundleError, match=r"not written: observation\.bias has values that are"):
        write_network_bundle(tmp_path / "odd", fitted, TINY_FACTS)
    assert not list(tmp_path.iterdir())


def test_a_row_of_each_published_recipe_is_kept(tmp_path: Path) -> None:
    for name, recipe in RECIPES.items():
        small = replace(recipe, encoder_units=2, hidden=2)
        bundle = write_tiny_network(tmp_path / name, small, recipe_name=name)
        assert (bundle.part.recipe, bundle.part.recipe_name) == (small, name)
        shutil.rmtree(bundle.path)
