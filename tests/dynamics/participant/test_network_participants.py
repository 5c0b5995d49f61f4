"""People of the network model: what is read of files of arrays, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_people import write

from bids_dtg.dynamics.networks import LEAST_FRAMES
from bids_dtg.dynamics.participant.network_participants import NetworkParticipants
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.settings import Settings

REGIONS = ("lh-a", "lh-b", "rh-a", "rh-b")
LABELS = ("01", "02", "03")


def series(session: int = 0, people: int = 3, frames: int = 80) -> np.ndarray:
    return np.random.default_rng(session).normal(
        3.0, 2.0, (people, len(REGIONS), frames)
    )


def weights(people: int = 3) -> np.ndarray:
    counts = np.random.default_rng(9).integers(
        1, 900, (people, len(REGIONS), len(REGIONS))
    )
    return (counts + counts.transpose(0, 2, 1)).astype(np.uint16)


def write_people(folder: Path, **changed: Any) -> tuple[str, ...]:
    """Write two sessions and structural connectomes; None leaves an array out."""
    common = {"people": np.array(LABELS), "places": np.array(REGIONS)}
    files = {
        "one.npz": {
            **common,
            "rest": series(0),
            "tr_seconds": 0.8,
            "session": "REST1-LR",
        },
        "two.h5": {
            **common,
            "rest": series(1),
            "tr_seconds": 0.8,
            "session": "REST2-LR",
        },
        "links.npz": {**common, "structural": weights()},
    }
    for name, arrays in files.items():
        given = {**arrays, **changed.get(name.partition(".")[0], {})}
        write(
            folder / name,
            **{key: value for key, value in given.items() if value is not None},
        )
    return tuple(str(folder / name) for name in files)


def prepare(files: tuple[str, ...], **options: Any) -> NetworkParticipants:
    return NetworkParticipants.prepare(
        Settings.of(
            bids_dir="in",
            output_dir="out",
            analysis_level="group",
            workflow="dynamics",
            analysis="train",
            input_arrays=files,
            **options,
        )
    )


@pytest.fixture
def files(tmp_path) -> tuple[str, ...]:
    return write_people(tmp_path)


@pytest.mark.parametrize("session", ["REST1-LR", "REST2-LR"])
def test_each_session_is_standardised_and_has_the_persons_own_connections(
    files, session
):
    people = prepare(files)
    assert people.sessions == ("REST1-LR", "REST2-LR")
    assert (people.labels, people.regions, people.tr_seconds) == (LABELS, REGIONS, 0.8)
    networks = people.networks(session)
    raw = series(people.sessions.index(session))
    expected = (raw - raw.mean(-1, keepdims=True)) / raw.std(-1, keepdims=True)
    assert np.allclose(networks.series, expected, atol=1e-6)
    between = weights() * (1 - np.eye(len(REGIONS)))
    assert np.allclose(networks.weights, between / between.max((1, 2), keepdims=True))
    assert (networks.people, networks.regions, networks.tr_seconds) == (
        LABELS,
        REGIONS,
        0.8,
    )


def test_a_session_and_people_are_chosen(files):
    people = prepare(
        files, session_label=("rest2LR",), participant_label=("sub-03", "01")
    )
    assert (people.sessions, people.labels) == (("REST2-LR",), ("03", "01"))
    assert people.split.training == ("03", "01")
    words = r"session 'B' \(--session-label\).*one of REST1-LR, REST2-LR"
    with pytest.raises(SettingsError, match=words):
        prepare(files, session_label=("B",))
    with pytest.raises(
        DatasetError,
        match=r"there are no files of 07\. Expected: labels such as 01, 02, 03",
    ):
        prepare(files, participant_label=("07",))


def test_a_family_on_two_sides_of_a_split_is_refused(tmp_path):
    files = write_people(tmp_path, links={"families": np.array(["A", "B", "A"])})
    assert prepare(files).families.by_label == {"01": "A", "02": "B", "03": "A"}
    table = tmp_path / "split.tsv"
    table.write_text("participant_id\tset\nsub-01\ttest\nsub-03\ttraining\n")
    with pytest.raises(SettingsError, match="two sets of the split: A"):
        prepare(files, split_file=table)


def test_who_lacks_something_is_left_out_with_a_line(tmp_path):
    two = {"people": np.array(["02", "04"]), "rest": series(people=2)}
    links = {"people": np.array(["02", "01", "03"])}
    people = prepare(write_people(tmp_path, two=two, links=links))
    assert people.labels == LABELS
    assert "left out: 1 participant with no structural connectome (04)" in people.notes
    assert people.labels_in("REST2-LR") == ("02",)
    assert people.networks("REST2-LR", ["01", "02"]).people == ("02",)
    again = prepare(write_people(tmp_path)).networks("REST1-LR").weights
    assert np.array_equal(people.networks("REST1-LR").weights, again[[1, 0, 2]])
    with pytest.raises(DatasetError, match="no data in session REST2-LR for 01"):
        people.networks("REST2-LR", ["01"])


def with_value(array: np.ndarray, where: object, value: float) -> np.ndarray:
    changed = array.astype(float)
    changed[where] = value
    return changed


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"links": {"structural": None}},
            r"no file has structural connectomes\. Expected: structural",
        ),
        (
            {"links": {"structural": weights()[0]}},
            r"of shape \(4, 4\).*\(people, places, places\)",
        ),
        ({"links": {"structural": weights()[:, :3]}}, "has 3 places, and .* has 4"),
        (
            {"two": {"tr_seconds": 1.0}},
            "has 1 seconds between frames, and .* has 0.8.*a step of the",
        ),
        (
            {"two": {"rest": series(frames=LEAST_FRAMES - 1)}},
            "has 59 frames. Expected: 60 or more",
        ),
        ({"two": {"session": "REST1-LR"}}, "or the key session in each"),
        (
            {"links": {"people": np.array(["7", "8", "9"])}},
            "nobody has both series and a struc",
        ),
    ],
)
def test_what_is_no_network_is_refused_before_values_are_read(
    tmp_path, changed, message
):
    files = write_people(tmp_path, **changed)
    with pytest.raises(DatasetError, match=message):
        prepare(files)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"one": {"rest": with_value(series(), (1, 2), 5.0)}},
            r"for 1 participant: sub-02: rh-a is constant in half .*\. Expected: series that vary",
        ),
        (
            {
                "one": {
                    "rest": with_value(
                        with_value(series(), (0, 1, 7), np.nan), (2, 0), 0.0
                    )
                }
            },
            r"for 2 participants: sub-01: lh-b has NaN or infinite values, sub-03: lh-a is c",
        ),
        (
            {"links": {"structural": with_value(weights(), (0, 1, 3), np.inf)}},
            "sub-01: NaN or infinite weights. Expected: symmetric weights of 0 or more",
        ),
        (
            {"links": {"structural": with_value(weights(), (2, 1, 3), -4.0)}},
            "sub-03: weights below 0, at lh-b and rh-b",
        ),
        (
            {"links": {"structural": with_value(weights(), (1, 0, 3), 4000.0)}},
            "sub-02: asymmetric weights, at lh-a and rh-b",
        ),
        (
            {"links": {"structural": weights() * np.eye(4)}},
            r"for 3 participants: sub-01: no connection between two regions, sub-02: no connection",
        ),
    ],
)
def test_values_that_cannot_be_used_name_people_and_regions(tmp_path, changed, message):
    people = prepare(write_people(tmp_path, **changed))
    with pytest.raises(DatasetError, match=message) as err:
        people.networks("REST1-LR")
    assert "--participant-label" in str(err.value)


def test_connectomes_that_are_hardly_structural_are_noted_once(tmp_path, capsys):
    counts = weights()
    counts[1] = 1000 * (
        1 + np.corrcoef(series()[1])
    )  # functional connectivity, in another unit
    counts[2, 3], counts[2, :, 3] = 0, 0
    people = prepare(write_people(tmp_path, links={"structural": counts}))
    people.networks("REST1-LR")
    lines = capsys.readouterr().err
    assert (
        "connectomes of 1 participant (02): weights follow functional connectivity"
        in lines
    )
    assert (
        "connectomes of 1 participant (03): 1 region without connections (rh-b)"
        in lines
    )
    people.networks("REST1-LR")
    assert "connectomes of" not in capsys.readouterr().err


def test_real_people_are_read_unchanged(shared):
    folder = shared / "sip/data"
    if not (folder / "sc_50.npz").is_file():
        pytest.skip(f"no people of the network model in {folder}")
    names = ("bold_REST1_LR_50.npz", "bold_REST2_LR_50.npz", "sc_50.npz")
    keys = (
        "rest=bold",
        "people=subject",
        "places=region",
        "structural=weights",
        "tr_seconds=tr",
    )
    people = prepare(tuple(str(folder / name) for name in names), array_key=keys)
    assert (people.sessions, people.tr_seconds) == (("REST1-LR", "REST2-LR"), 0.72)
    assert (len(people.labels), len(people.regions), people.notes) == (50, 68, ())
    networks = people.networks("REST2-LR", people.labels[:8])
    assert networks.series.shape == (8, 68, 1200)
    assert np.allclose(networks.series.std(axis=-1), 1, atol=1e-5)
    assert np.array_equal(networks.weights.max(axis=(1, 2)), np.ones(8))
