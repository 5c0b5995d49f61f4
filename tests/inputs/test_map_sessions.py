from __future__ import annotations

from pathlib import Path

import pytest

from bids_dtg.inputs.statmaps import StatMap, choose_sessions, describe_sessions, session_order


def a_map(session: str | None, contrast: str = "faces") -> StatMap:
    return StatMap("01", session, contrast, "z", None, (Path(f"{session}_{contrast}"),))


@pytest.mark.parametrize(
    "ordered",
    [
        ("test", "retest"),
        ("01", "02", "10"),
        ("2", "10"),
        ("baseline", "followup"),
        ("pre", "post"),
        ("scan", "rescan"),
        ("wave1", "wave1repeat"),
    ],
)
def test_sessions_are_in_the_order_in_which_they_happen(ordered):
    assert tuple(sorted(ordered, key=session_order)) == ordered
    found = choose_sessions(a_map(session) for session in reversed(ordered))
    assert (found.target["faces"].session, found.retest["faces"].session) == ordered[:2]


def test_a_session_that_is_asked_for_comes_first():
    maps = [a_map("test"), a_map("retest"), a_map("pilot")]
    found = choose_sessions(maps, ("retest", "test"))
    assert (found.target["faces"].session, found.retest["faces"].session) == ("retest", "test")
    # Who lacks it has the others.
    assert choose_sessions(maps, ("more",)).target["faces"].session == "pilot"


def test_contrasts_of_other_sessions_are_targets_too():
    maps = [a_map("1"), a_map("2", "words"), a_map("3", "Words")]
    found = choose_sessions(maps)
    assert {key: one.session for key, one in found.target.items()} == {"faces": "1", "words": "2"}
    assert {key: one.session for key, one in found.retest.items()} == {"words": "3"}
    assert not found.retested


def test_what_is_of_no_session_is_of_all_and_has_no_retest():
    found = choose_sessions([a_map("1"), a_map(None), a_map("2")])
    assert found.target["faces"].session is None
    assert not found.retest


def test_it_is_said_which_session_is_which():
    both = choose_sessions([a_map("retest"), a_map("test")])
    one = choose_sessions([a_map("test")])
    assert describe_sessions([both, one]) == (
        "Maps to predict are of ses-test (2 participants); "
        "retests are of ses-retest (1 participant)."
    )
    assert describe_sessions([one]).endswith("there are no retests.")
    assert describe_sessions([choose_sessions([a_map(None)])]) == ""
