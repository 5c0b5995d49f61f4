"""The core needs no PyTorch; without its package, a feature names the extra to install."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from hidden_packages import EXTRAS, without
from maps_cohort import LABELS, TinyCohort
from split_options import sets

from bids_dtg.extras import install_line

RUN = [sys.executable, "-m", "bids_dtg.cli"]
# Each call, the package that it lacks, and the extra that brings it.
REFUSED = [
    ("dtg-demo OUT --workflow dynamics --published", "torch", "train"),
    ("dtg-demo OUT --workflow twin", "torch", "train"),
    ("bids_dtg IN OUT participant --device cuda", "torch", "torch"),
    ("bids_dtg IN OUT participant --bids-filter-file f.json", "bids", "bids"),
    (
        "bids_dtg IN OUT participant --model demo --scheduler n:1",
        "distributed",
        "cluster",
    ),
    ("bids_dtg IN OUT participant --workflow twin --model m", "torch", "train"),
    *(
        (f"bids_dtg IN OUT group --analysis {analysis}", "torch", "train")
        for analysis in (
            "finetune --model demo -d MAPS",
            "train --architecture attention-unet",
            "train --workflow dynamics --architecture network",
            "evaluate --workflow dynamics --model m",
            "simulate --workflow dynamics --model m",
            "fixed-points --workflow dynamics --model m",
            "train --workflow twin",
            "evaluate --workflow twin --model m",
            "intervene --workflow twin --model m",
        )
    ),
]
# One process makes all calls: to start one takes longer than a call.
MAKE_CALLS = """
import contextlib, io, json, sys
from bids_dtg.cli import demo, exits, models, run
programs = {"dtg-demo": demo.main, "dtg-models": models.main, "bids_dtg": run.main}
ends = []
for program, *words in json.load(sys.stdin):
    with contextlib.redirect_stderr(io.StringIO()) as said:
        code = programs[program](words)
    ends.append((code, said.getvalue()))
with contextlib.redirect_stderr(io.StringIO()) as said:
    code = exits.call("any", lambda: __import__("torch.nn"), debug=False, interrupted="")
ends.append((code, said.getvalue()))
print(json.dumps(ends))
"""


@pytest.mark.parametrize(
    ("note", "words"),
    [(None, "'bids-dtg[train]'"), ("{}", "'.[train]' in the copy of the repository")],
)
def test_an_extra_is_installed_from_where_the_program_came(monkeypatch, note, words):
    package = SimpleNamespace(read_text={"direct_url.json": note}.get)
    monkeypatch.setattr("importlib.metadata.distribution", lambda name: package)
    assert install_line("train") == f"pip install {words}"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return TinyCohort(tmp_path_factory.mktemp("cohort"))


@pytest.mark.slow
def test_what_needs_an_extra_names_it_in_one_line(cohort, tmp_path):
    out = tmp_path / "out"
    places = {"IN": str(cohort.bids), "OUT": str(out)}
    places["MAPS"] = f"statmaps={cohort.statmaps}"
    calls = [[places.get(word, word) for word in call.split()] for call, *_ in REFUSED]
    done = subprocess.run(
        [sys.executable, "-c", MAKE_CALLS],
        input=json.dumps(calls),
        env=without(tmp_path / "hidden", *EXTRAS) | {"DTG_OFFLINE": ""},
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    ends = json.loads(done.stdout.splitlines()[-1])
    requests = [*REFUSED, ("any", "torch", "torch")]
    for (call, package, extra), (code, line) in zip(requests, ends, strict=True):
        assert code == 2, (call, line)
        assert line.count("\n") == 1, line
        assert f"needs the package {package}, which is not installed" in line
        assert f"pip install '.[{extra}]'" in line
        networks = {"network", "attention-unet", "finetune"}
        told = "--architecture linear, which needs none" in line
        assert told == bool(networks & {*call.split()})
    assert not out.exists()


@pytest.mark.slow
def test_maps_reports_training_and_statistics_need_no_torch(cohort, tmp_path):
    environment = without(tmp_path / "hidden", *EXTRAS)
    inputs = ("-d", f"fmriprep={cohort.bids}", "-d", f"statmaps={cohort.statmaps}")
    linear = ("--architecture", "linear", *sets(LABELS, 0.25, 0))
    try:
        for level, words in (
            ("participant", ()),
            ("participant", ("--participant-label", "01", "--reports-only")),
            ("group", (*inputs, "--analysis", "train", *linear)),
            ("group", ("--analysis", "stats")),
        ):
            cohort.level, cohort.reports = level, "--reports-only" in words
            done = subprocess.run(
                [*RUN, *cohort.arguments(*words)],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
    finally:
        cohort.level, cohort.reports = "participant", False
    assert (cohort.out / "sub-01.html").exists()
    assert (cohort.out / "group/model-own/bundle/model.json").exists()
    assert list((cohort.out / "group").rglob("*report.html"))


def test_a_package_of_the_host_is_named_with_its_variable(tmp_path):
    (tmp_path / "numpy").mkdir()
    broken = tmp_path / "numpy" / "__init__.py"
    broken.write_text("raise ImportError('built for another Python')")
    done = subprocess.run(
        [*RUN, str(tmp_path / "in"), str(tmp_path / "out"), "participant"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert f"{broken} cannot be imported: built for another Python" in done.stderr
    assert f"unset PYTHONPATH (it is {tmp_path})" in done.stderr
