"""The command line judges everybody by folds."""

from __future__ import annotations

import contextlib
import io
import sys
from collections import Counter
from pathlib import Path

import pytest
from tiny_twins import LABELS, arguments

from bids_dtg.cli.run import main
from bids_dtg.files.text import read_rows

FEW = ("--folds", "2", "--epochs", "2")


@pytest.fixture(scope="module")
def covariates(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Return options that name columns of a table of participants."""
    path = tmp_path_factory.mktemp("table") / "people.tsv"
    rows = "".join(f"sub-{label}\t{20 + n * n}\n" for n, label in enumerate(LABELS))
    path.write_text(f"participant_id\tage\n{rows}")
    return ("--participants-file", str(path), "--covariates", "age")


@pytest.fixture(scope="module")
def judged(
    people: Path, covariates: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the results of an evaluation by folds; nobody changes them."""
    out = tmp_path_factory.mktemp("folds")
    assert main(arguments(people, out, "evaluate", *FEW, *covariates)) == 0
    return out / "group" / "folds-own"


@pytest.mark.slow
def test_everybody_is_judged_once(judged: Path) -> None:
    rows = read_rows(judged / "desc-people_predicted.tsv")
    assert sorted(row["participant_id"] for row in rows) == [f"sub-{label}" for label in LABELS]
    assert Counter(row["fold"] for row in rows) == {"1": 3, "2": 3}
    fits = read_rows(judged / "desc-folds_models.tsv")
    assert [(row["judged"], row["trained_on"], row["epochs"]) for row in fits] == [
        ("3", "3", "2"),
        ("3", "3", "2"),
    ]
    assert not (judged / "checkpoints").exists()
    assert not (judged / "bundle").exists()


@pytest.mark.slow
def test_rivals_and_ceilings_are_beside_the_twin(judged: Path) -> None:
    rows = read_rows(judged / "desc-scores_models.tsv")
    crps = {row["model"] for row in rows if row["figure"] == "crps"}
    assert {"twin", "ridge_distribution"} <= crps
    of_people = [row for row in rows if row["figure"] in ("rt", "effect")]
    assert {row["people"] for row in of_people} == {"6"}
    assert {"connectome_ridge", "covariates"} <= {row["model"] for row in of_people}
    ceilings = {(row["task"], row["figure"]): row["ceiling"] for row in of_people}
    assert len(ceilings) == 4
    assert all(0 <= float(ceiling) <= 1 for ceiling in ceilings.values())
    assert {row["ceiling"] for row in rows if row["figure"] == "crps"} == {"n/a"}


@pytest.mark.slow
def test_the_page_leads_with_who_is_best(judged: Path) -> None:
    page = " ".join((judged / "twin_report.html").read_text().split())
    assert "<h1>Evaluation by folds of own</h1>" in page
    assert "by 2 folds of 6 participants of tiny" in page
    first = page.index("Which prediction is best")
    assert (
        first
        < page.index("Distributions of response times (CRPS)")
        < page.index(
            "A person&#39;s mean response time"
            if "A person&#39;s mean response time" in page
            else "mean response time; for a twin"
        )
    )
    assert "Noise ceiling of r, the square root of the reliability by odd and even" in page
    assert "noise ceiling (halves of trials)" in page
    assert "all twins there are the group" in page


def test_a_cut_call_goes_on(
    people: Path,
    judged: Path,
    covariates: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Epochs of the fold that was fitted are not run again, and results are the same."""

    class Cut(io.StringIO):
        """Stops the call, as Ctrl-C does, when the epochs of the second fold are done."""

        def write(self, text: str) -> int:
            if "latent factors of people" in text and "fold 2 of" in self.getvalue():
                raise KeyboardInterrupt
            return super().write(text)

    monkeypatch.setattr(sys, "stderr", Cut())
    call = arguments(people, tmp_path, "evaluate", *FEW, *covariates)
    with contextlib.suppress(KeyboardInterrupt):
        main(call)
    folder = tmp_path / "group" / "folds-own"
    assert (folder / "checkpoints").exists()
    monkeypatch.undo()
    capsys.readouterr()
    assert main(call) == 0
    said = capsys.readouterr().err
    assert "epoch 1 of" not in said
    for name in ("desc-people_predicted.tsv", "desc-scores_models.tsv"):
        assert (folder / name).read_bytes() == (judged / name).read_bytes()


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (("--folds", "2", "--model", "MODEL"), "--folds and --model were given"),
        (("--folds", "1"), "--folds is 1. Expected: 2 or more"),
        (("--folds", "2", "--participant-label", *LABELS[:4]), "2 participants would be trained"),
        (("--folds", "2", "--participant-label", LABELS[0]), "--folds 2: 1 families cannot be"),
        (("--model", "MODEL", "--epochs", "3"), "--epochs was given with --model"),
        ((), "--analysis evaluate was given without --model"),
    ],
)
def test_what_does_not_go_together_is_refused(
    words: tuple[str, ...],
    refused: str,
    bundle: Path,
    people: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [str(bundle) if word == "MODEL" else word for word in words]
    assert main(arguments(people, tmp_path, "evaluate", *given)) == 2
    assert refused in capsys.readouterr().err
    assert not list(tmp_path.rglob("desc-*"))


def test_a_dry_run_says_what_would_be_judged(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(people, tmp_path, "evaluate", "--folds", "3", "--dry-run")) == 0
    said = "".join(capsys.readouterr())
    assert "would write scores of 3 folds of 6 participants, tables and a page" in said
    assert not list(tmp_path.rglob("desc-*"))
