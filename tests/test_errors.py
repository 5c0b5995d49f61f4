"""An error for users is one line and can be sent between processes."""

from __future__ import annotations

import pickle

from bids_dtg.errors import RunError


def test_message_is_one_line_with_all_parts():
    error = RunError(
        "a.nii has\n1 frame.", expected="2 or more", remedy="check the\tscan"
    )
    assert (
        str(error) == "a.nii has 1 frame. Expected: 2 or more. To do: check the scan."
    )


def test_a_question_and_what_goes_on_keep_their_ends():
    error = RunError(
        "no column agee", expected="of age, ...", remedy="did you mean age?"
    )
    assert (
        str(error) == "no column agee. Expected: of age, ... To do: did you mean age?"
    )


def test_pickle_keeps_kind_and_parts():
    again = pickle.loads(pickle.dumps(RunError("found", expected="e", remedy="r")))
    assert type(again) is RunError
    assert (again.found, again.expected, again.remedy) == ("found", "e", "r")
