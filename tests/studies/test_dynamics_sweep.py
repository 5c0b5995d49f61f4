"""The sweep of network models: which models, resuming after a kill, its tables."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_networks import arguments, write_networks

from bids_dtg.files.text import read_rows

sys.path.insert(0, str(Path(__file__).parents[2] / "studies"))

import dynamics_sweep
from dynamics_sweep import Variant, main, variants_of

_WAIT_SECONDS = 600.0  # for a training, on a machine that is busy


def test_each_model_of_the_published_sweep_is_trained_once() -> None:
    variants = variants_of([1, 2, 3, 4, 5], ["linear", "log", "homotopic", "log-homotopic"], 3)
    assert len(variants) == len({variant.name for variant in variants}) == 12
    assert variants[:5] == [Variant(number) for number in (1, 2, 3, 4, 5)]
    assert sum(not variant.external for variant in variants) == 4


def _words(folder: Path) -> list[str]:
    """Return the words of a sweep of one small model."""
    arrays = write_networks(folder / "arrays")
    bids, _, _, _, _, _, _, *files = arguments(arrays, folder, "train")
    return [
        *(str(folder / "work"), "--words", shlex.join([bids, *files])),
        *("--parameters", "2", "--connectomes"),
        *("--training", "--recipe amortised --epochs 2 --states 2"),
        *("--evaluation", "--simulations 2"),
    ]


@pytest.mark.slow
def test_a_killed_sweep_goes_on_where_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, work = _words(tmp_path), tmp_path / "work"
    process = subprocess.Popen(
        [sys.executable, dynamics_sweep.__file__, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end, record = time.monotonic() + _WAIT_SECONDS, work / "sweep.json"
    try:
        while not (record.exists() and "p2-linear train" in record.read_text()):
            assert process.poll() is None, "the sweep has ended"
            assert time.monotonic() < end, "the first training has not ended"
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    card = work / "output" / "group" / "model-p2-linear" / "bundle"
    written = {path: path.stat().st_mtime_ns for path in card.iterdir()}
    main(words)
    printed = capsys.readouterr().out
    assert "p2-linear train: done before" in printed
    assert written == {path: path.stat().st_mtime_ns for path in card.iterdir()}
    rows = read_rows(work / "models.tsv")
    models = {row["model"] for row in rows}
    assert {"p2-linear", "ar_1", "own_session"} <= models
    use = read_rows(work / "parameters.tsv")
    assert [row["region_parameters"] for row in use] == ["2", "2"]
    assert (work / "sweep.png").stat().st_size > 10_000
    assert "| p2-linear | all inputs | 4 |" in printed
    main(words)
    assert capsys.readouterr().out.count("done before") == 2
    with pytest.raises(SystemExit, match="has a sweep with other options \\(evaluation\\)"):
        main([*words[:-1], "--simulations 3"])
