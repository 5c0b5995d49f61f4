"""Rules of BIDS' drafts, and the command that adds them to its schema."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from bids_drafts import extended_schema

from bids_dtg.files.names import ENTITY_ORDER

SCRIPT = Path(__file__).parents[2] / "scripts" / "bids_drafts.py"
OFFICIAL = Path(str(files("bidsschematools"))) / "data" / "schema.json"


def test_entities_of_names_stand_in_the_order_of_the_extended_schema():
    schema = extended_schema(json.loads(OFFICIAL.read_text()))
    entities = schema["objects"]["entities"]
    order = [entities[key]["name"] for key in schema["rules"]["entities"]]
    assert order == sorted(order, key=[*ENTITY_ORDER].index)
    assert {"contrast", "stat"} <= set(order)


def test_what_bids_says_itself_stays():
    official = json.loads(OFFICIAL.read_text())
    extended = extended_schema(official)

    def require(whole, part):
        for key, value in part.items():
            if isinstance(value, dict):
                require(whole[key], value)
            elif key != "entities":  # the order, which has more
                assert whole[key] == value

    require(extended, official)


def test_each_entity_and_key_of_a_rule_is_explained():
    schema = extended_schema(json.loads(OFFICIAL.read_text()))
    rules = [
        rule
        for draft in ("bep012", "bep017", "bep041", "bids_dtg")
        for rule in schema["rules"]["files"]["deriv"][draft].values()
    ]
    assert {name for rule in rules for name in rule.get("entities", ())} <= {
        *schema["rules"]["entities"]
    }
    sidecars = schema["rules"]["sidecars"]["derivatives"]
    fields = {
        key
        for of in ("statmaps", "relmats")
        for rule in sidecars[of].values()
        for key in rule["fields"]
    }
    assert fields <= schema["objects"]["metadata"].keys()


def call(*words: object) -> subprocess.CompletedProcess[str]:
    typed = [sys.executable, SCRIPT, *map(str, words)]
    return subprocess.run(typed, capture_output=True, text=True, check=False)


def test_the_command_prints_the_extended_schema():
    done = call(OFFICIAL)
    assert json.loads(done.stdout) == extended_schema(json.loads(OFFICIAL.read_text()))


@pytest.mark.parametrize("content", ["[]", "{}", '{"rules": {"entities": {}}}', "{"])
def test_what_is_no_schema_is_one_line(tmp_path, content):
    path = tmp_path / "schema.json"
    path.write_text(content)
    done = call(path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"{path} is no schema of BIDS" in done.stderr
