"""An error for users is one line and can be sent between processes."""

from __future__ import annotations

import errno
import os
import pickle
import resource

import pytest

from bids_dtg.errors import LimitError, RunError, in_one_line, limit_error


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


@pytest.mark.parametrize(
    ("err", "fact", "limit"),
    [
        (
            RuntimeError("can't start new thread"),
            "ulimit -u",
            "at most 40 of this user",
        ),
        (OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)), "12 for each", "40 of this"),
        (MemoryError("Unable to allocate 9 GiB"), "allocate 9 GiB", "at most 1.5 GB"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "ulimit -v", "1.5 GB a pro"),
        (ImportError("x.so: failed to map segment"), "not enough memory", "1.5 GB"),
    ],
)
def test_a_limit_of_the_host_is_named_and_no_bug(monkeypatch, err, fact, limit):
    limits = {resource.RLIMIT_NPROC: 40, resource.RLIMIT_AS: 1_500_000_000}
    monkeypatch.setattr("resource.getrlimit", lambda which: (limits[which], -1))
    line = in_one_line(err)
    assert fact in line
    assert limit in line
    assert "bug" not in line
    assert isinstance(limit_error(err), LimitError)


def test_an_error_of_a_file_is_none_of_the_host():
    busy = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), "a.nii")
    assert limit_error(busy) is None
    assert limit_error(ImportError("no module x")) is None
