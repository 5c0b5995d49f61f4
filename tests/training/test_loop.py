"""A training that is stopped ends as the signal asks, and the same call goes on."""

from __future__ import annotations

import resource
import tempfile
from functools import partial

import pytest

pytest.importorskip("lightning", reason="needs the extra [train]")

import torch

from bids_dtg.errors import OutputError, RunError
from bids_dtg.training.loop import Schedule, Task, Workplace, run_epochs


class Lowering(Task):
    """Lowers a square by one step an epoch; what is to be raised ends it in an epoch."""

    def __init__(self, end: tuple[int, BaseException] | None, report) -> None:
        super().__init__()
        self.weight, self._end = torch.nn.Parameter(torch.ones(1)), end

    def train_dataloader(self):
        return torch.utils.data.DataLoader(torch.ones(1), batch_size=1)

    def training_step(self, batch, _):
        if self._end and self.current_epoch == self._end[0]:
            raise self._end[1]
        return (self.weight * batch).square().sum()

    def on_train_epoch_end(self):
        loss = self.weight.detach().square().sum()
        self.log("loss", loss)
        self.history.append({"epoch": self.current_epoch + 1, "loss": float(loss)})

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(folder, lines, end=None):
    return run_epochs(
        partial(Lowering, end), Schedule(4, "loss", "min"), Workplace(folder), lines.append
    )


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (SystemExit(143), SystemExit),  # what the program makes of SIGTERM
        (SystemExit(129), SystemExit),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_the_signal_decides_how_the_program_ends(tmp_path, raised, seen):
    lines = []
    with pytest.raises(seen) as ended:
        fit(tmp_path, lines, (2, raised))
    if isinstance(raised, SystemExit):
        assert ended.value.code == raised.code
    assert lines == ["the same command goes on from epoch 3"]
    found = fit(tmp_path, lines)
    assert [row["epoch"] for row in found.history] == [1, 2, 3, 4]
    whole = fit(tmp_path / "whole", [])
    assert found.history == whole.history


def test_checkpoints_are_written_where_they_stay(tmp_path, monkeypatch):
    """From another file system they would be copied, and half of one could be under its name."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    assert len(fit(tmp_path / "fit", []).history) == 4
    assert sorted(path.name for path in (tmp_path / "fit").iterdir()) == ["best.ckpt", "last.ckpt"]


@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt"])
@pytest.mark.parametrize("size", [0, 100])
def test_a_broken_checkpoint_is_one_line(tmp_path, name, size):
    fit(tmp_path, [])
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(RunError, match=f"{name} cannot be read.* remove {tmp_path} to begin anew"):
        fit(tmp_path, [])


def test_a_checkpoint_removes_no_file_that_it_names(tmp_path):
    """It may have come with somebody else's folder."""
    folder, lines = tmp_path / "fit", []
    with pytest.raises(KeyboardInterrupt):
        fit(folder, lines, (2, KeyboardInterrupt()))
    (tmp_path / "participants.tsv").write_text("own")
    last = torch.load(folder / "last.ckpt", weights_only=True)
    for state in last["callbacks"].values():
        name = f"{state['dirpath']}/../participants.tsv"
        scores = {name: torch.tensor(9.0)} if state["best_k_models"] else {}
        state |= {"best_model_path": name, "kth_best_model_path": name, "best_k_models": scores}
    torch.save(last, folder / "last.ckpt")
    fit(folder, lines)
    assert (tmp_path / "participants.tsv").read_text() == "own"
    assert sorted(path.name for path in folder.iterdir()) == ["best.ckpt", "last.ckpt"]


@pytest.mark.slow
def test_a_checkpoint_that_the_disk_has_no_room_for_is_one_line(tmp_path):
    fit(tmp_path, [], end=None)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
        with pytest.raises(OutputError, match=r"ckpt cannot be written: File too large"):
            run_epochs(
                partial(Lowering, None), Schedule(5, "loss", "min"), Workplace(tmp_path), print
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
