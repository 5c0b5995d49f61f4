"""Bundles of digital twins: what is written is loaded, and what is damaged is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from tiny_bundle import forge, write_tiny_bundle
from tiny_network import write_tiny_network
from tiny_twin import (
    TINY_TWIN_FACTS,
    TINY_TWIN_REGIONS,
    tiny_fitted_twin,
    write_tiny_twin,
)
from twin_runs import a_run, a_task, answered_by

from bids_dtg.bundles.people import PersonHashes, SeenPeople, hash_person
from bids_dtg.cli.models import main
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.dynamics.bundle.bundle import load_network_bundle
from bids_dtg.errors import BundleError
from bids_dtg.twin.bundle.bundle import TwinBundle, load_twin_bundle, write_twin_bundle
from bids_dtg.twin.recipe import ARCHITECTURES, Recipe
from bids_dtg.twin.tasks import find_task
from bids_dtg.twin.traces import TaskSet, stack_people

FILES = ("weights.safetensors", "fitted.safetensors")


@pytest.fixture
def bundle(tmp_path: Path) -> TwinBundle:
    return write_tiny_twin(tmp_path / "tiny")


def seen_by(fitted, people=3):
    """Return segments of people who perform each task."""
    runs = [a_run(np.arange(2.0, 40.0, 3.0), task=task) for task in fitted.tasks.tasks]
    everybody = [[answered_by(run, seed) for run in runs] for seed in range(people)]
    return stack_people(everybody, tasks=fitted.tasks)


@pytest.mark.parametrize("tasks", [("stroop",), ("faces", "stroop")])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_is_written_is_loaded_and_performs_the_same(
    tmp_path: Path, architecture: str, tasks: tuple[str, ...]
) -> None:
    fitted = tiny_fitted_twin(architecture, tasks=tasks)
    written = write_tiny_twin(tmp_path / "tiny", fitted)
    bundle = load_twin_bundle(tmp_path / "tiny")
    assert bundle.identity == written.identity
    back = bundle.fitted()
    assert not back.twin.training
    assert (back.architecture, back.recipe, back.tasks) == (
        fitted.architecture,
        fitted.recipe,
        fitted.tasks,
    )
    for name, tensor in fitted.twin.state_dict().items():
        torch.testing.assert_close(back.twin.state_dict()[name], tensor, rtol=0, atol=0)
    connectomes, segments = np.random.default_rng(1).normal(size=(3, 6)), seen_by(fitted)
    found, expected = (f.perform(connectomes, segments) for f in (back, fitted))
    np.testing.assert_array_equal(found.buttons, expected.buttons)
    np.testing.assert_array_equal(found.bold, expected.bold)
    if fitted.explained is not None:
        np.testing.assert_array_equal(back.explained, fitted.explained)
        group, same = (f.perform_group(segments).buttons for f in (back, fitted))
        np.testing.assert_array_equal(group, same)
    assert all(tensor.requires_grad for tensor in back.twin.parameters())


def test_a_twin_of_other_sizes_is_kept(tmp_path: Path) -> None:
    recipe = Recipe(units=3, rank=8, codes=2)
    fitted = tiny_fitted_twin(recipe=recipe, edges=0, bold=0, seed=7)
    bundle = write_tiny_twin(
        tmp_path / "least", fitted, regions=(), bold_regions=(), bold_scale=None, held=False
    )
    part = bundle.part
    assert (part.edges, part.regions, part.bold, part.codes, part.seed) == (0, 0, 0, 2, 7)
    assert (bundle.regions, bundle.bold_regions, bundle.bold_scale) == ((), (), None)
    assert part.held is False
    performed = bundle.fitted().perform(np.zeros((3, 0)), seen_by(fitted))
    assert performed.bold is None


def test_what_the_fit_does_not_know_comes_back(bundle: TwinBundle) -> None:
    assert bundle.regions == TINY_TWIN_REGIONS
    assert bundle.bold_regions == ("L V1", "R V1")
    mean, sd = bundle.bold_scale
    assert (mean.tolist(), sd.tolist()) == ([1, 2], [3, 4])
    assert (bundle.part.regions, bundle.part.edges, bundle.part.connectome) == (
        4,
        6,
        "Pearson's r, Fisher z",
    )
    assert bundle.card.record == {
        "history": {
            "group": [{"epoch": 1.0, "validation_loss": 0.5}, {"epoch": 2.0, "x": None}],
        }
    }


def test_regions_are_counted_where_they_have_no_names(tmp_path: Path) -> None:
    assert write_tiny_twin(tmp_path / "pairs", regions=()).part.regions == 4
    other = write_tiny_twin(tmp_path / "other", tiny_fitted_twin(edges=7), regions=())
    assert other.part.regions == 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"regions": TINY_TWIN_REGIONS[:3]}, r"there are 3 regions .* of 6 edges \(L insula, R in"),
        ({"regions": TINY_TWIN_REGIONS[::-1]}, "the same regions in the same order.*--atlases"),
        ({"atlas_digest": "b"}, "the parcels of Mine are not those of Mine that the model tiny"),
    ],
)
def test_connectomes_of_other_regions_are_refused(
    tmp_path: Path, changed: dict[str, object], message: str
) -> None:
    bundle = write_tiny_twin(tmp_path / "tiny", atlas="Mine", atlas_digest="a", cleaning="simple")
    assert (bundle.part.atlas, bundle.part.atlas_digest) == ("Mine", "a")
    assert bundle.card.training.cleaning == "simple"
    fits = {"regions": TINY_TWIN_REGIONS, "atlas": "Mine", "atlas_digest": "a"}
    bundle.require_regions(**fits)
    bundle.require_regions(**{**fits, "atlas": "", "atlas_digest": ""})  # it is not known
    with pytest.raises(BundleError, match=message):
        bundle.require_regions(**{**fits, **changed})


def test_regions_without_names_are_compared_by_their_number(tmp_path: Path) -> None:
    bundle = write_tiny_twin(tmp_path / "tiny", regions=())
    bundle.require_regions(["a", "b", "c", "d"])
    with pytest.raises(BundleError, match=r"5 regions .*6 edges.*train a model on connectomes of"):
        bundle.require_regions(["a", "b", "c", "d", "e"])


def test_the_same_fit_gives_the_same_bytes(tmp_path: Path) -> None:
    first, again = (write_tiny_twin(tmp_path / name) for name in "ab")
    for name in (*FILES, "model.json"):
        assert (first.path / name).read_bytes() == (again.path / name).read_bytes()
    assert write_tiny_twin(first.path).identity == first.identity
    with pytest.raises(BundleError, match="holds another bundle"):
        write_tiny_twin(first.path, connectome="another")


def test_a_twin_leaves_the_callers_random_numbers_alone(bundle: TwinBundle) -> None:
    state = torch.random.get_rng_state()
    bundle.twin()
    assert torch.equal(torch.random.get_rng_state(), state)


def test_nobody_is_named_or_has_a_code(bundle: TwinBundle) -> None:
    content = b"".join(path.read_bytes() for path in bundle.path.iterdir())
    assert not any(label in content for label in (b'"ann"', b'"bob"', b"ann\n", b"bob\n"))
    fitted = tiny_fitted_twin()
    assert not any(row.astype("f4").tobytes() in content for row in fitted.own_codes)
    assert not any(row.tobytes() in content for row in fitted.own_codes)
    hashes = [hash_person("tiny-study", label) for label in fitted.people]
    assert bundle.fitted_people == tuple(sorted(hashes)) == bundle.fitted().people
    assert bundle.fitted().own_codes is None
    with pytest.raises(ValueError, match="no codes of people's own"):
        bundle.fitted().perform_own(seen_by(fitted))


def test_whom_it_was_fitted_to_is_found_again(bundle: TwinBundle) -> None:
    assert bundle.seen(["cy", "dot", "ann"]) == ("cy", "ann")
    assert bundle.seen(["cy"], data_set="Another study") == ()
    assert bundle.people is None


def test_whom_it_has_seen_comes_back(tmp_path: Path) -> None:
    seen = SeenPeople({"training": (PersonHashes(hash_person("Tiny study", "ann")),)})
    bundle = write_tiny_twin(tmp_path / "tiny", people=seen)
    assert bundle.people == load_twin_bundle(bundle.path).people == seen


def test_events_of_new_people_are_read_without_the_task_file(bundle: TwinBundle) -> None:
    assert bundle.part.task_set == TaskSet((find_task("faces"), find_task("stroop")))


def test_loading_and_verifying_need_no_torch(bundle: TwinBundle) -> None:
    code = (
        "import sys; from bids_dtg.twin.bundle.bundle import load_twin_bundle; "
        "load_twin_bundle(sys.argv[1]).check_weights(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, bundle.path], check=False).returncode == 0


def test_other_kinds_are_refused_with_their_workflow(bundle: TwinBundle, tmp_path: Path) -> None:
    fact = r"of kind digital-twin\. Expected: one that predicts {}\. .* use it with --workflow twin"
    with pytest.raises(BundleError, match=fact.format("contrast maps")):
        load_bundle(bundle.path)
    with pytest.raises(BundleError, match=fact.format("the activity of networks of regions")):
        load_network_bundle(bundle.path)
    fact = r"of kind {}\. Expected: one that predicts what people do in tasks\. .*--workflow {}"
    for kind, workflow, write in (
        ("attention-unet", "contrasts", write_tiny_bundle),
        ("network-model", "dynamics", write_tiny_network),
    ):
        other = write(tmp_path / kind)
        with pytest.raises(BundleError, match=fact.format(kind, workflow)):
            load_twin_bundle(other.path)


def test_commands_on_models_take_one(
    bundle: TwinBundle,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DTG_MODEL_DIR", str(tmp_path))
    assert main(["list"]) == 0
    listed = " ".join(capsys.readouterr().out.split())
    assert f"tiny 1 digital-twin 2 tasks, BOLD of 2 regions {bundle.path}" in listed
    assert main(["info", str(bundle.path)]) == 0
    shown = capsys.readouterr().out
    for fact in (
        "model       tiny, version 1 (digital-twin)",
        "notice      NOT FOR SCIENCE: random weights, for tests",
        "people      3 whom it was fitted to, as hashes",
        "task        stroop: red, green, blue within 2 s, congruent and incongruent trials of "
        "task-stroopAP, task-stroopPA",
        "connectome  6 edges, the pairs of 4 regions: Pearson's r, Fisher z",
        "BOLD        2 regions, L V1 to R V1",
        "twin        lowrank, 5 units, 8 codes of a person",
        "recipe      default, seed 0",
        "targets     presses held until the response window's end",
        "group       trained for 2 epochs",
    ):
        assert fact in shown
    packed = str(tmp_path / "m.tar")
    assert main(["pack", str(bundle.path), packed]) == 0
    assert main(["unpack", packed, str(tmp_path / "again")]) == 0
    assert load_twin_bundle(tmp_path / "again").identity == bundle.identity
    (tmp_path / "again" / "model.json").write_text("{")  # damaged, and goes all the same
    assert main(["remove", str(tmp_path / "again")]) == 0
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("name", FILES)
def test_missing_and_changed_files_are_refused(bundle: TwinBundle, name: str) -> None:
    path = bundle.path / name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match=f"{name} has changed"):
        load_twin_bundle(bundle.path)
    path.unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        load_twin_bundle(bundle.path)


def test_weights_that_change_after_loading_are_refused(bundle: TwinBundle) -> None:
    (bundle.path / "weights.safetensors").write_bytes(b"others")
    with pytest.raises(BundleError, match="has changed"):
        bundle.twin()


def forged(bundle: TwinBundle, name: str, **changes: np.ndarray | None) -> Path:
    """Change tensors of a file as somebody who knows the hashes would; None: left out."""
    found = safetensors.numpy.load((bundle.path / name).read_bytes())
    found |= {key.replace("__", "."): own for key, own in changes.items()}
    whole = {key: np.asarray(own, order="C") for key, own in found.items() if own is not None}
    return forge(bundle, name, safetensors.numpy.save(whole))


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"network__bias": None}, "has no tensor network.bias"),
        ({"own_codes": np.zeros((3, 8), np.float32)}, "has the unknown tensor own_codes"),
        ({"network__left": np.zeros((5, 4), np.float32)}, r"network.left has shape \(5, 4\)"),
        ({"edge_weights": np.zeros((7, 8), np.float32)}, r"edge_weights has shape \(7, 8\)"),
        ({"edge_mean": np.zeros((6, 1), np.float32)}, "Expected: one axis"),
    ],
)
def test_weights_of_other_shapes_are_refused_before_a_twin_is_made(
    bundle: TwinBundle, changes: dict[str, np.ndarray | None], fact: str
) -> None:
    folder = forged(bundle, "weights.safetensors", **changes)
    with pytest.raises(BundleError, match=rf"weights\.safetensors.*{fact}"):
        load_twin_bundle(folder)


@pytest.mark.parametrize(
    ("value", "fact"),
    [
        (np.full(6, np.nan, np.float32), "not finite in edge_mean"),
        (np.full(6, np.inf, np.float32), "not finite in edge_mean"),
        (np.zeros(6, np.float64), "float64"),
    ],
)
def test_weights_of_odd_values_are_refused(
    bundle: TwinBundle, value: np.ndarray, fact: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = forged(bundle, "weights.safetensors", edge_mean=value)
    loaded = load_twin_bundle(folder)
    for use in (loaded.check_weights, loaded.twin, loaded.fitted):
        with pytest.raises(BundleError, match=rf"weights\.safetensors.*{fact}"):
            use()
    assert main(["verify", str(folder)]) == 2
    assert fact in capsys.readouterr().out


def test_edges_that_do_not_differ_are_refused(tmp_path: Path) -> None:
    bundle = write_tiny_twin(tmp_path / "tiny", tiny_fitted_twin("published"))
    folder = forged(bundle, "weights.safetensors", network__edge_sd=np.zeros(6, np.float32))
    with pytest.raises(BundleError, match=r"values of 0 or less in network\.edge_sd"):
        load_twin_bundle(folder).check_weights()


def names(*found: str) -> np.ndarray:
    return np.frombuffer("\n".join(found).encode(), np.uint8)


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"regions": names("a", "b", "c")}, "it has 3 names, not 4"),
        ({"regions": names("a", "b", "c", "a")}, "a region is called 'a'. Expected: names of vis"),
        ({"regions": names("a", "b", "c", "\x1b[2J")}, r"a region is called '\\x1b\[2J'"),
        ({"regions": np.full(9, 255, np.uint8)}, "decode"),
        ({"regions": np.zeros(5000, np.uint8)}, "5000 bytes of names"),
        ({"bold_regions": names("a")}, "it has 1 names, not 2"),
        ({"people": np.zeros((2, 16), np.uint8)}, r"\(2, 16\).*Expected: .*\(3, 16\)"),
        ({"people": np.zeros((3, 16), np.uint8)}, "somebody twice"),
        ({"people": None}, "people"),
        ({"explained": np.zeros(3)}, r"\(3,\).*Expected: .*\(8,\)"),
        ({"explained": np.full(8, np.nan)}, "not finite in explained"),
        ({"bold_sd": None}, "bold_sd"),
        ({"bold_sd": np.zeros(2, np.float32)}, "values of 0 or less in bold_sd"),
        ({"labels": np.zeros(3, np.uint8)}, "labels"),
    ],
)
def test_a_damaged_list_of_whom_it_was_fitted_to_is_refused(
    bundle: TwinBundle, changes: dict[str, np.ndarray | None], fact: str
) -> None:
    folder = forged(bundle, "fitted.safetensors", **changes)
    with pytest.raises(BundleError, match=rf"fitted\.safetensors.*{fact}"):
        load_twin_bundle(folder)


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"codes": 9}, r"directions has shape \(32, 8\)"),
        ({"bold": 3}, r"network\.output has shape \(5, 5\)"),
        ({"architecture": "published"}, "weights.safetensors has"),
        ({"regions": 0, "edges": 7}, r"edge_mean has shape \(6,\)"),
    ],
)
def test_a_card_of_others_is_refused(
    bundle: TwinBundle, changes: dict[str, object], fact: str
) -> None:
    card = json.loads((bundle.path / "model.json").read_text())
    (bundle.path / "model.json").write_text(json.dumps(card | changes))
    with pytest.raises(BundleError, match=fact):
        load_twin_bundle(bundle.path)


def test_what_cannot_be_kept_is_not_written(tmp_path: Path) -> None:
    fitted, folder = tiny_fitted_twin(), tmp_path / "odd"
    for facts, fact in (
        ({"regions": ("a\nb", "c", "d", "e")}, r"a region is called 'a\\nb'"),
        ({"regions": ("a", "b")}, "2 regions are named, and .* 6 edges. Expected: 1 edge,"),
        ({"bold_regions": ("a", "b", "c")}, "it has 3 names, not 2"),
        ({"notice": " "}, r"Expected: a notice, as for_science is false"),
    ):
        with pytest.raises(BundleError, match=fact):
            write_tiny_twin(folder, fitted, **facts)
    ruleless = replace(fitted, tasks=TaskSet((a_task("faces"), a_task("stroop"))))
    with pytest.raises(BundleError, match="not written: no task file describes the task: faces"):
        write_twin_bundle(folder, ruleless, TINY_TWIN_FACTS)
    with pytest.raises(BundleError, match="somebody twice"):
        write_tiny_twin(folder, replace(fitted, people=("ann", "bob", "ann")))
    with torch.no_grad():
        fitted.twin.network.bias.fill_(float("nan"))
    with pytest.raises(BundleError, match=r"not written: network\.bias has values that are"):
        write_tiny_twin(folder, fitted)
    assert not list(tmp_path.iterdir())
