"""Bundles of models fitted to people's regions: what all such kinds have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from maps_bundle import forge
from network_bundle import TINY_FACTS, TINY_REGIONS, tiny_fitted, write_tiny_network
from twin_bundle import tiny_fitted_twin, write_tiny_twin

from bids_dtg.bundles.fitted import FITTED_FILE, FittedBundle
from bids_dtg.bundles.training_hashes import PEOPLE_FILE, TrainingHashes, hash_person
from bids_dtg.cli.models import main
from bids_dtg.dynamics.bundle.network import (
    NetworkBundle,
    write_network_bundle,
)
from bids_dtg.errors import BundleError
from bids_dtg.inputs.rest_sketch import sketch

WEIGHTS = "weights.safetensors"
Write = Callable[..., FittedBundle]
OF_ALL = pytest.mark.parametrize("write", [write_tiny_network, write_tiny_twin])


@pytest.fixture
def bundle(tmp_path: Path) -> NetworkBundle:
    """Write a bundle of the kind that adds least to what all have."""
    return write_tiny_network(tmp_path / "tiny")


@pytest.mark.slow
@OF_ALL
def test_the_same_fit_gives_the_same_bytes(tmp_path: Path, write: Write) -> None:
    first, again = (write(tmp_path / name) for name in "ab")
    assert {path.name for path in first.path.iterdir()} == {
        WEIGHTS,
        FITTED_FILE,
        "model.json",
    }
    for path in first.path.iterdir():
        assert path.read_bytes() == (again.path / path.name).read_bytes()
    assert write(first.path).identity == first.identity
    with pytest.raises(BundleError, match="not this bundle"):
        write(first.path, cleaning="another")


@OF_ALL
def test_nobody_is_named_and_everybody_is_found_again(
    tmp_path: Path, write: Write
) -> None:
    bundle = write(tmp_path / "tiny")
    content = b"".join(path.read_bytes() for path in bundle.path.iterdir())
    assert not any(
        label in content for label in (b'"ann"', b'"bob"', b"ann\n", b"bob\n")
    )
    assert bundle.in_training_set(["cy", "dot", "ann"]) == ("cy", "ann")
    assert bundle.in_training_set(["cy"], data_set="Another study") == ()
    assert bundle.hashes(["cy"]) == [hash_person("tiny-study", "cy")]
    assert bundle.people is None


@pytest.mark.slow
@OF_ALL
def test_people_by_name_and_rest_come_back(tmp_path: Path, write: Write) -> None:
    seen = TrainingHashes({"training": ((hash_person("Tiny study", "ann"),),)})
    bundle = write(tmp_path / "tiny", people=seen)
    assert bundle.people == type(bundle).load(bundle.path).people == seen


@pytest.mark.slow
@OF_ALL
def test_people_are_found_by_their_data_after_their_labels(
    tmp_path: Path, write: Write
) -> None:
    data = {label: sketch(rest) for label, rest in zip("abc", rest_of(3), strict=True)}
    labels = {"ann": "a", "bob": "b", "cy": "c"}
    seen = TrainingHashes.of_training(
        "Tiny study", {own: [data[k]] for own, k in labels.items()}
    )
    bundle = write(tmp_path / "tiny", people=seen)
    assert (bundle.by_content, bundle.how_known) == (True, "as hashes")
    newcomers = {"new": [data["b"]], "ann": [], "bob": ["", sketch(rest_of(4)[3])]}
    assert bundle.in_training_set(list(newcomers), "Elsewhere", newcomers) == ("new",)
    assert bundle.hashes(["new"], "Elsewhere", newcomers) == [
        hash_person("Tiny study", "bob")
    ]
    # Whoever is called the same in the same data set is the same person, with other data, too.
    assert bundle.in_training_set(["ann", "bob"], None, newcomers) == ("ann", "bob")
    assert bundle.note_on("x", "Elsewhere", [data["c"]]).startswith(
        "tiny was fitted to this part"
    )
    assert bundle.note_on("x", "Elsewhere", [""]) == ""
    some = TrainingHashes.of_training(
        "Tiny study", {"ann": [data["a"]], "bob": [""], "cy": []}
    )
    assert not write(tmp_path / "some", people=some).by_content
    assert not write(tmp_path / "none").by_content


def test_a_row_of_a_table_is_of_one_label(tmp_path: Path) -> None:
    sketches = [sketch(rest) for rest in rest_of(3)]
    labels = ("ann", "bob", "cy")
    seen = TrainingHashes.of_training(
        "Tiny study", dict(zip(labels, [[o] for o in sketches], strict=True))
    )
    bundle = write_tiny_network(tmp_path / "tiny", people=seen)
    twice = {"copy": [sketches[0]], "ann": [sketches[0]], "new": [sketches[2]]}
    assert bundle.row_labels(list(twice), None, twice)[::2] == ("ann", "new")


def rest_of(people: int) -> np.ndarray:
    """Return rest (people, regions, frames)."""
    return np.random.default_rng(5).standard_normal((people, 4, 80))


@OF_ALL
def test_data_of_other_regions_are_refused(tmp_path: Path, write: Write) -> None:
    bundle = write(tmp_path / "tiny", atlas="Mine", atlas_digest="a", cleaning="simple")
    assert (bundle.part.atlas, bundle.part.atlas_digest) == ("Mine", "a")
    assert bundle.card.training.cleaning == "simple"
    bundle.require_regions(TINY_REGIONS, atlas="Mine", atlas_digest="a")
    bundle.require_regions(TINY_REGIONS)  # the atlas is not known
    for atlas, remedy in (("Mine", r"with --atlases\.$"), ("", "the key places")):
        order = f"the same regions in the same order.*{remedy}"
        with pytest.raises(BundleError, match=order):
            bundle.require_regions(TINY_REGIONS[::-1], atlas=atlas)
    fact = "the parcels of Mine have the same names as those of"
    with pytest.raises(BundleError, match=fact):
        bundle.require_regions(TINY_REGIONS, atlas="Mine", atlas_digest="b")


def forged(bundle: FittedBundle, name: str, **changes: np.ndarray | None) -> Path:
    """Change tensors of a file as somebody who knows the hashes would; None: left out."""
    tensors = safetensors.numpy.load((bundle.path / name).read_bytes())
    tensors |= {key.replace("__", "."): tensor for key, tensor in changes.items()}
    whole = {
        key: np.asarray(tensor, order="C")
        for key, tensor in tensors.items()
        if tensor is not None
    }
    return forge(bundle, name, safetensors.numpy.save(whole))


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"observation__bias": None}, "observation.bias is missing"),
        ({"extra": np.zeros(1, np.float32)}, "extra is .*Expected: no such tensor"),
        (
            {"observation__weight": np.zeros((1, 3), np.float32)},
            r"weight is .*\(1, 3\)",
        ),
        (
            {"person_table": np.zeros((4, 1, 2), np.float32)},
            r"person_table is .*\(4, 1, 2\)",
        ),
    ],
)
def test_weights_of_other_shapes_are_refused_before_a_model_is_made(
    bundle: NetworkBundle, changes: dict[str, np.ndarray | None], fact: str
) -> None:
    folder = forged(bundle, WEIGHTS, **changes)
    with pytest.raises(BundleError, match=rf"weights\.safetensors.*{fact}"):
        NetworkBundle.load(folder).model()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("value", "fact"),
    [
        (np.full(1, np.nan, np.float32), "not finite in observation.bias"),
        (np.full(1, np.inf, np.float32), "not finite in observation.bias"),
        (np.zeros(1, np.float64), "float64"),
    ],
)
def test_weights_of_odd_values_are_refused(
    bundle: NetworkBundle,
    value: np.ndarray,
    fact: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = forged(bundle, WEIGHTS, observation__bias=value)
    loaded = NetworkBundle.load(folder)
    for use in (loaded.check_weights, loaded.state, loaded.model):
        with pytest.raises(BundleError, match=rf"weights\.safetensors.*{fact}"):
            use()
    assert main(["verify", str(folder)]) == 2
    assert fact in capsys.readouterr().out


def test_what_cannot_be_kept_is_not_written(tmp_path: Path) -> None:
    fitted = tiny_fitted()
    with pytest.raises(
        BundleError, match=r"Expected: a notice, as for_science is false"
    ):
        write_tiny_network(tmp_path / "odd", notice=" ")
    with torch.no_grad():
        fitted.model.observation.bias.fill_(float("nan"))
    with pytest.raises(
        BundleError, match=r"not written: observation\.bias has values that are"
    ):
        write_network_bundle(tmp_path / "odd", fitted, **TINY_FACTS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("tensor", "names", "fact"),
    [
        ("regions", "a\nb\nc", r"3 regions\. Expected: 4, as model\.json states"),
        ("regions", None, r"0 regions\. Expected: 4"),
        ("bold_regions", "a\nb", r"2 bold_regions\. Expected: 3"),
        ("bold_regions", None, r"0 bold_regions\. Expected: 3"),
    ],
)
def test_names_of_another_number_than_the_card_states_are_refused(
    tmp_path: Path, tensor: str, names: str | None, fact: str
) -> None:
    path = tmp_path / "tiny"
    if tensor == "regions":
        bundle = write_tiny_network(path)
    else:
        bundle = write_tiny_twin(path, tiny_fitted_twin(bold=True))
    content = names and np.frombuffer(names.encode(), np.uint8)
    folder = forged(bundle, FITTED_FILE, **{tensor: content})
    with pytest.raises(BundleError, match=rf"fitted\.safetensors names {fact}"):
        type(bundle).load(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content"),
    [
        (FITTED_FILE, safetensors.numpy.save({"regions": np.zeros(3, np.uint8)})),
        (FITTED_FILE, safetensors.numpy.save({"people": np.zeros((1, 16), np.uint8)})),
        (
            PEOPLE_FILE,
            b'{"format_version":1,"by_content":true,"sets":{"test":[3]},"unlisted":[]}',
        ),
    ],
)
def test_files_with_other_content_are_refused_in_a_line(
    tmp_path, name, content
) -> None:
    seen = TrainingHashes({"training": ((hash_person("Tiny", "ann"),),)}, (), True)
    with pytest.raises(BundleError, match=f"{name} cannot be read"):
        NetworkBundle.load(
            forge(write_tiny_network(tmp_path / "t", people=seen), name, content)
        )
