"""Task maps of real single people: found, read and compared; too few to say anything."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.contrasts.judging.people_scores import score_people
from bids_dtg.inputs.statmaps import find_statmaps
from bids_dtg.phantom.anatomy import load_anatomy
from bids_dtg.stats.metrics import correlation_matrix

PATTERNS = """
[[maps]]
path = "kellan/faces_sub-{sub}_con_0006.nii.gz"
statistic = "effect"
contrast = "faces"

[[maps]]
path = "kellan/Words_{sub}.nii.gz"
statistic = "effect"
contrast = "words"

[[maps]]
path = "canlab_wager2008/con_{sub}.hdr"
statistic = "effect"
contrast = "reappraise"
"""


@pytest.fixture(scope="module")
def maps(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    for name in ("kellan", "canlab_wager2008"):
        (folder / name).symlink_to(shared / "data" / "real" / "contrasts" / name)
    (folder / "maps.toml").write_text(PATTERNS)
    places = load_anatomy(4).places
    values_of_contrast: dict[str, list[np.ndarray]] = {}
    for statmap in find_statmaps(folder / "maps.toml")[0]:
        (path,) = statmap.files.values()
        values_of_contrast.setdefault(statmap.contrast, []).append(places.read(path))
    return {name: np.stack(values) for name, values in values_of_contrast.items()}


def test_everybody_is_found(maps):
    assert {name: len(values) for name, values in maps.items()} == {
        "faces": 6,
        "words": 3,
        "reappraise": 2,
    }


def test_maps_of_one_contrast_are_alike_and_each_is_most_like_itself(maps):
    faces, words = maps["faces"], maps["words"]
    finite = np.isfinite(np.concatenate([faces, words])).all(axis=0)
    within = correlation_matrix(faces[:, finite], faces[:, finite])
    faces_with_words = correlation_matrix(faces[:, finite], words[:, finite])
    among_faces = within[~np.eye(len(faces), dtype=bool)]
    assert among_faces.mean() == pytest.approx(0.185, abs=0.005)
    assert faces_with_words.mean() == pytest.approx(-0.010, abs=0.005)
    assert np.isfinite(within).all()
    rng = np.random.default_rng(0)
    noisy = faces + 0.5 * np.nanstd(faces) * rng.normal(size=faces.shape).astype(
        np.float32
    )
    _, scores = score_people(
        noisy[:, finite], faces[:, finite], faces[:, finite].mean(axis=0)
    )
    assert scores["own_identification"].all()
