"""Two calls at once in one output: one has a folder of results, and the other is refused in a line.

Calls that write to folders of their own are both right.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import image_people
import pytest
import tiny_networks
import tiny_twins
from forked_jobs import ForkingProcess, all_modules
from given import sets
from tiny_job import tree

from bids_dtg.files.derivatives import DerivativeDataset

pytestmark = pytest.mark.slow


def contents(folder: Path) -> dict[str, str]:
    """Return the hashes of results; of pages without the time at which they were made."""
    found = tree(folder / "group")
    for name in found:
        if name.endswith(".html"):
            text = (folder / "group" / name).read_text()
            found[name] = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "", text)
    return {name: content for name, content in found.items() if not name.endswith(".ckpt")}


class Calls:
    """Calls on trained models, in one output folder; each is known by its name."""

    def __init__(self, folder: Path, forks: ForkingProcess, trained: dict) -> None:
        self.out, self.forks, self.errors = folder / "out", forks, folder / "errors.txt"
        network, twin, maps = trained["network"], trained["twin"], trained["maps"]
        self._whole: dict[str, dict[str, str]] = {}  # by name

        def of_networks(analysis: str, *more: str) -> list[str]:
            given = tiny_networks.arguments(network.inputs, self.out, analysis)
            return [*given, "--model", str(network.bundle), *more]

        def of_twins(analysis: str, *more: str) -> list[str]:
            return [*tiny_twins.arguments(twin.inputs, self.out, analysis), *more]

        def of_maps(analysis: str, *more: object) -> list[str]:
            return image_people.arguments(maps.inputs, self.out, analysis, *more)

        small = (*sets(image_people.LABELS, 0, 0.34), "--architecture")
        self.arguments = {
            "linear": of_maps("train", *small, "linear"),
            "other linear": of_maps("train", *small, "linear", "--seed", 1),
            "simulations": of_networks("simulate", "--simulations", "2"),
            "networks' evaluation": of_networks("evaluate", "--simulations", "1"),
            "twins' evaluation": of_twins("evaluate", "--model", str(twin.bundle)),
        }

    def run(self, *names: str) -> list[int]:
        self.errors.write_text("")
        calls = [self.arguments[name] for name in names]
        return self.forks.run(*calls, stderr=self.errors)

    def begin(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)

    def whole(self, name: str) -> dict[str, str]:
        """Return what a call makes alone, and leave no output."""
        self.begin()
        if name not in self._whole:
            assert self.run(name) == [0], self.errors.read_text()
            self._whole[name] = contents(self.out)
            self.begin()
        return self._whole[name]

    def left(self) -> list[Path]:
        return [*self.out.rglob(".dtg-*"), *self.out.rglob("*.lock")]


@pytest.fixture(scope="module")
def calls(tmp_path_factory, trained_maps, trained_network, trained_twin):
    trained = {"maps": trained_maps, "network": trained_network, "twin": trained_twin}
    with ForkingProcess(*all_modules()) as forks:
        yield Calls(tmp_path_factory.mktemp("calls"), forks, trained)


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        ("linear", "other linear", "is in use by |holds a model already"),
        ("networks' evaluation", "twins' evaluation", "is in use by |holds results of "),
    ],
)
def test_of_two_that_do_not_go_together_one_is_refused(calls, one, other, why):
    whole = [calls.whole(name) for name in (one, other)]
    codes = calls.run(one, other)
    said = calls.errors.read_text()
    assert sorted(codes) == [0, 2], said
    assert "Traceback" not in said
    assert "internal error" not in said
    assert re.search(why, said)
    assert contents(calls.out) == whole[codes.index(0)]
    assert calls.left() == []


@pytest.mark.parametrize("name", ["simulations", "linear"])
def test_a_folder_in_use_is_left_as_it_is(calls, name):
    calls.begin()
    assert calls.run(name) == [0], calls.errors.read_text()
    (folder,) = (path.name for path in (calls.out / "group").glob("*-own"))
    before = tree(calls.out, but=())
    with DerivativeDataset(calls.out).locks() as locks:
        assert locks.take(folder) is None
        during = tree(calls.out, but=())
        assert calls.run(name) == [2]
        assert tree(calls.out, but=()) == during
    said = calls.errors.read_text()
    assert f"group/{folder} is in use by " in said
    assert "Traceback" not in said
    assert tree(calls.out, but=()) == before
