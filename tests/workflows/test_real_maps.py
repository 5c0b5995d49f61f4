"""Task maps of real single people: found, read and compared; too few to say anything."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from bids_dtg.contrasts.judging.people_scores import PeopleScores
from bids_dtg.inputs.statmap_files import find_statmap_files
from bids_dtg.phantom.anatomy import load_anatomy
from bids_dtg.stats.metrics import correlation_matrix

ROOT = Path(__file__).parents[2]
MORE_PATTERNS = """
[[maps]]
path = "canlab_wager2008/con_{sub}.hdr"
statistic = "effect"
contrast = "reappraise"
"""


@pytest.fixture(scope="module")
def command():
    """Load the study that makes the figures of the docs."""
    path = ROOT / "studies/real_maps.py"
    spec = importlib.util.spec_from_file_location("real_maps", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["real_maps"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def maps(shared, command, tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    for name in ("kellan", "canlab_wager2008"):
        (folder / name).symlink_to(shared / "data" / "real" / "contrasts" / name)
    (folder / "maps.toml").write_text(command.PATTERNS + MORE_PATTERNS)
    places = load_anatomy(4).places
    found: dict[str, list[np.ndarray]] = {}
    for one in find_statmap_files(folder / "maps.toml").files:
        path = one.path
        found.setdefault(one.contrast, []).append(places.read(path))
    return {name: np.stack(values) for name, values in found.items()}


def test_everybody_is_found(maps):
    assert {name: len(values) for name, values in maps.items()} == {
        "faces": 6,
        "words": 3,
        "reappraise": 2,
    }


def test_maps_of_one_contrast_are_alike_and_each_is_most_like_itself(maps):
    faces, words = maps["faces"], maps["words"]
    known = np.isfinite(np.concatenate([faces, words])).all(axis=0)
    within = correlation_matrix(faces[:, known], faces[:, known])
    between = correlation_matrix(faces[:, known], words[:, known])
    others = within[~np.eye(len(faces), dtype=bool)]
    print(f"faces with faces {others.mean():.3f}, faces with words {between.mean():.3f}")
    assert np.isfinite(within).all()
    rng = np.random.default_rng(0)
    noisy = faces + 0.5 * np.nanstd(faces) * rng.normal(size=faces.shape).astype(np.float32)
    scores = PeopleScores.of(noisy[:, known], faces[:, known], faces[:, known].mean(axis=0))
    assert scores.identified.all()


@pytest.mark.slow
def test_the_docs_have_the_figures_of_their_command(shared, command):
    found = command.fingerprints(shared / "data/real/contrasts")
    text = (ROOT / "docs/evidence/group.md").read_text("utf-8").split("## Real maps")[1]
    text = " ".join(text.split("## ")[0].split())
    assert f"over the {found.voxels:,} voxels that all have" in text
    for pair in (("faces", "faces"), ("words", "words"), ("faces", "words")):
        assert f"{pair[0]} with {pair[1]} {found.mean(*pair):.2f}" in text
    assert f"for {found.recognised()} of {len(found.names)}" in text
