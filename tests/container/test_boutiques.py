"""The Boutiques descriptor agrees with the parser, and Boutiques builds our commands from it."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bids_dtg.cli.parser import build_parser

ROOT = Path(__file__).parents[2]
BOSH = Path(sys.executable).parent / "bosh"
sys.path.insert(0, str(ROOT / "scripts"))
from boutiques_descriptor import DESCRIPTOR, text  # noqa: E402


def _bosh(*arguments: str | Path) -> str:
    done = subprocess.run(
        [BOSH, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_equals_parser():
    same = DESCRIPTOR.read_text(encoding="utf-8") == text()
    assert same, "run python scripts/boutiques_descriptor.py and commit what it writes"


def test_valid():
    assert "OK" in _bosh("validate", DESCRIPTOR)


@pytest.mark.parametrize(
    "options",
    [
        {"participant_label": ["01", "02"], "gsr": True, "low_pass": 0.1, "nprocs": 2},
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param(
            {
                "denoise_strategy": "scrubbing",
                "fd_threshold": 0.5,
                "model": "demo",
                "dry_run": True,
            },
            marks=pytest.mark.slow,
        ),
    ],
)
def test_invocation_is_our_command(tmp_path, options):
    required = {
        "bids_dir": str(tmp_path),
        "output_dir": "/out",
        "analysis_level": "participant",
    }
    invocation = tmp_path / "invocation.json"
    invocation.write_text(json.dumps(required | options))
    shown = _bosh("exec", "simulate", "-i", invocation, DESCRIPTOR)
    command = next(line for line in shown.splitlines() if line.startswith("bids_dtg "))
    parsed = vars(build_parser().parse_args(shlex.split(command)[1:]))
    assert {name: str(value) for name, value in parsed.items()} == {
        name: str(value) for name, value in (required | options).items()
    }
