"""What all analyses of network models have in common: people, plans, folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Call = Callable[..., int]


def test_people_whom_the_model_does_not_know_are_left_out(
    bundle: Path, call: Call, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ("--participant-label", "01", "02", "--model-name", "few", "--epochs", "1")
    assert call("train", *few, "--restarts", "1") == 0
    model = str(out / "group" / "model-few" / "bundle")
    assert call("simulate", "--model", model, "--dry-run") == 0
    captured = capsys.readouterr()
    assert "left out: 2 participants whom few was not fitted to" in captured.err
    assert "2 participants (01, 02)" in captured.out
    strangers = ("--participant-label", "03", "04")
    assert call("evaluate", "--model", model, *strangers) == 2
    assert "was fitted to nobody of tiny" in capsys.readouterr().err


def test_a_dry_run_writes_nothing(
    call: Call, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("train", "--dry-run", "--model-name", "dry") == 0
    assert not (out / "group" / "model-dry").exists()
    assert "4 participants" in capsys.readouterr().out


def test_nothing_names_a_folder_of_this_machine(bundle: Path, arrays: Path, out: Path) -> None:
    texts = [path for path in out.rglob("*") if path.suffix in (".json", ".toml", ".html", ".tsv")]
    assert len(texts) > 10
    for path in texts:
        if "logs" not in path.parts:
            assert str(arrays) not in path.read_text(), path
