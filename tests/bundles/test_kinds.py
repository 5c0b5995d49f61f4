"""The look-up of kinds: rows of all workflows, each of which loads, describes and refuses."""

from __future__ import annotations

import numpy as np
import pytest
from linear_core_bundle import write_tiny_linear
from maps_bundle import move_program_folders
from maps_kinds import TENSORS, forge_tiny_kind, with_value, write_tiny_kind
from network_bundle import write_tiny_network
from twin_bundle import write_tiny_twin

from bids_dtg.bundles.bundle import load_any_bundle
from bids_dtg.bundles.card import ModelCard
from bids_dtg.bundles.kinds import all_kinds
from bids_dtg.cli.models import main
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.bundle.kinds import MapsKind
from bids_dtg.errors import BundleError
from bids_dtg.workflows import find_workflow


def written_of_any(folder, kind):
    """Write a tiny bundle of a kind; a new row of anything but maps needs a line."""
    if kind in TENSORS:
        return write_tiny_kind(folder, kind, TENSORS[kind]())
    writers = {
        "network-model": write_tiny_network,
        "linear-dynamics": write_tiny_linear,
        "digital-twin": write_tiny_twin,
    }
    return writers[kind](folder)


@pytest.mark.slow
@pytest.mark.parametrize("row", all_kinds().values(), ids=all_kinds())
def test_each_row_of_any_kind_is_loaded_and_refused_as_maps_where_it_has_none(
    row, tmp_path
):
    assert all_kinds()[row.name] is row
    assert row in [*find_workflow(row.workflow).kinds()]
    assert row.predicts
    bundle = written_of_any(tmp_path / "tiny", row.name)
    assert isinstance(bundle.card.part, row.bundle().PART)
    assert type(load_any_bundle(bundle.path)) is type(bundle)
    assert ModelCard.from_json(bundle.card.to_json()).to_json() == bundle.card.to_json()
    bundle.check_weights()
    of_maps = isinstance(row, MapsKind)
    assert (row.name in find_workflow("contrasts").architectures) is of_maps
    if not of_maps:
        line = rf"kind {row.name}\. Expected: one that predicts contrast maps.*{row.remedy}"
        with pytest.raises(BundleError, match=line):
            load_bundle(bundle.path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", all_kinds())
def test_verify_and_info_know_every_kind(tmp_path, capsys, kind):
    bundle = written_of_any(tmp_path / "models" / "whole", kind)
    assert main(["info", str(bundle.path)]) == 0
    assert f"({kind})" in capsys.readouterr().out
    code = main(["verify", str(bundle.path)])
    out, err = capsys.readouterr()
    whole = f"{bundle.path}: intact, tiny {bundle.card.version}, {bundle.identity}"
    assert whole in out
    last = out.splitlines()[-1]
    if all_kinds()[kind].workflow != "contrasts":
        assert (code, err) == (0, "")
        assert f"no self-check for {kind}; dtg-models verify compares" in last
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
    assert out.count(": intact, ") == len(all_kinds())
    forge_tiny_kind(
        tmp_path / "models" / "a-forged",
        "linear",
        **{"linear.means": lambda tensor: with_value(tensor, np.nan)},
    )
    assert main(["verify"]) == 2
    out, err = capsys.readouterr()
    assert out.count(": intact, ") == len(all_kinds())
    assert "a-forged: " in out.splitlines()[0]
    assert "1 cannot be used: " in err
