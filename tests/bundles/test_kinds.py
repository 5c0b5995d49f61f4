"""The look-up of kinds: rows of all workflows, each of which loads, describes and refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest
from tiny_bundle import move_program_folders
from tiny_kinds import TENSORS, forge_tiny_kind, with_value, write_tiny_kind
from tiny_linear import write_tiny_linear
from tiny_network import write_tiny_network
from tiny_twin import write_tiny_twin

from bids_dtg.bundles.bundle import Bundle, load_any_bundle, read_verified_card, write_files
from bids_dtg.bundles.card import WEIGHTS_FILE, CardPart, ModelCard
from bids_dtg.bundles.kinds import Kind, all_kinds
from bids_dtg.bundles.overview import bundle_lines
from bids_dtg.cli.models import main
from bids_dtg.cli.parser import legal_values
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.bundle.kinds import MapsKind, find_kind
from bids_dtg.errors import BundleError, SettingsError
from bids_dtg.workflows import all_workflows, find_workflow


def written_of_any(folder, kind):
    """Write a tiny bundle of a kind; a new row of anything but maps needs a line."""
    if kind in TENSORS:
        return write_tiny_kind(folder, kind, TENSORS[kind]())
    others = {
        "network-model": write_tiny_network,
        "linear-dynamics": write_tiny_linear,
        "digital-twin": write_tiny_twin,
    }
    return others[kind](folder)


@pytest.mark.parametrize("row", all_kinds().values(), ids=all_kinds())
def test_each_row_of_any_kind_is_loaded_and_refused_as_maps_where_it_has_none(row, tmp_path):
    assert all_kinds()[row.name] is row
    assert row in [*find_workflow(row.workflow).kinds()]
    assert row.predicts
    bundle = written_of_any(tmp_path / "tiny", row.name)
    assert isinstance(bundle.card.part, row.part())
    assert type(load_any_bundle(bundle.path)) is type(bundle)
    assert ModelCard.from_json(bundle.card.to_json()).to_json() == bundle.card.to_json()
    bundle.check_weights()
    of_maps = isinstance(row, MapsKind)
    assert (row.name in find_workflow("contrasts").architectures) is of_maps
    if not of_maps:
        with pytest.raises(BundleError, match=row.remedy):
            load_bundle(bundle.path)


@pytest.mark.parametrize("kind", all_kinds())
def test_verify_and_info_know_every_kind(tmp_path, capsys, kind):
    bundle = written_of_any(tmp_path / "models" / "whole", kind)
    assert main(["info", str(bundle.path)]) == 0
    assert f"({kind})" in capsys.readouterr().out
    code = main(["verify", str(bundle.path)])
    out, err = capsys.readouterr()
    whole = f"{bundle.path}: whole, tiny {bundle.card.version}, {bundle.identity}"
    assert whole in out
    last = out.splitlines()[-1]
    if all_kinds()[kind].workflow != "contrasts":
        assert (code, err) == (0, "")
        assert f"a {kind} has no self-check; dtg-models verify compares" in last
        return
    # Random weights differ from trained ones by the signs of differences alone.
    failed = [line for line in out.splitlines() if line.startswith("  FAIL")]
    assert all("differences have their sign" in line for line in failed)
    assert code in (0, 2)
    assert (code == 0) == (not failed) == (err == "") == ("self-check passed" in last)


@pytest.mark.slow
def test_verify_without_arguments_reports_each_model(tmp_path, capsys, monkeypatch):
    for kind in all_kinds():
        written_of_any(tmp_path / "models" / kind, kind)
    move_program_folders(monkeypatch, tmp_path)
    monkeypatch.setenv("DTG_MODEL_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert main(["verify"]) == 0
    out = capsys.readouterr().out
    assert out.count(": whole, ") == len(all_kinds())
    forge_tiny_kind(
        tmp_path / "models" / "a-forged",
        "linear",
        **{"linear.means": lambda tensor: with_value(tensor, np.nan)},
    )
    assert main(["verify"]) == 2
    out, err = capsys.readouterr()
    assert out.count(": whole, ") == len(all_kinds())
    assert "a-forged: " in out.splitlines()[0]
    assert "1 cannot be used: " in err


@dataclass(frozen=True)
class RegionsPart(CardPart):
    """The card's part of a kind that predicts no maps."""

    regions: int

    @property
    def outputs(self) -> str:
        return f"{self.regions} regions"

    @classmethod
    def required_files(cls, fields) -> tuple[str, ...]:
        return ("regions.txt",)

    @classmethod
    def read(cls, fields, files: Mapping[str, str]) -> RegionsPart:
        return cls(fields.whole("regions"))


@pytest.fixture
def row(monkeypatch):
    """Give the program a fourth workflow, whose models have regions and no maps."""
    row = Kind(
        name="regions",
        workflow="atlas",
        predicts="names of regions",
        part=lambda: RegionsPart,
        load=lambda folder: Bundle(folder, *read_verified_card(folder, RegionsPart)),
        facts=lambda bundle: [("regions", str(bundle.card.part.regions))],
        tables=lambda bundle: ["left and right"],
    )
    workflow = replace(find_workflow("twin"), name="atlas", kinds=lambda: [row])
    monkeypatch.setattr(
        "bids_dtg.bundles.kinds.all_workflows", lambda: [*all_workflows(), workflow]
    )
    return row


def test_a_kind_may_have_a_part_of_its_own_but_no_maps(tmp_path, row):
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


def test_a_row_is_enough_to_write_load_and_show_a_kind_of_anything_else(tmp_path, row):
    card = ModelCard("brain", "1", row.name, RegionsPart(7))
    files = {WEIGHTS_FILE: b"weights", "regions.txt": b"names"}
    written = write_files(tmp_path / "brain", card, files, row.load)
    found = load_any_bundle(tmp_path / "brain")
    assert (found.identity, found.card.part) == (written.identity, RegionsPart(7))
    lines = bundle_lines(found)
    assert "model       brain, version 1 (regions)" in lines
    assert lines[-1] == "regions     7"
