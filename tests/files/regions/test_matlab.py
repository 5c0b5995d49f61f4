"""The parts of .mat files: what SciPy writes passes, what would end its process does not."""

from __future__ import annotations

import io
import os
import signal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.io import savemat
from scipy.sparse import coo_array

from bids_dtg.errors import ForeignFileError
from bids_dtg.files.regions.matlab import require_known_types
from bids_dtg.files.regions.matrix import read_matrix

SC = np.arange(64.0).reshape(8, 8)


def packed(**options):
    file = io.BytesIO()
    labels = np.array([f"region {n}" for n in range(8)])
    savemat(file, {"sc": SC, "sc_region_labels": labels}, **options)
    return file.getvalue()


@pytest.mark.parametrize("packing", [False, True])
def test_what_scipy_writes_passes(packing):
    file = io.BytesIO()
    held = {"net": {"sc": SC}, "cells": np.array([SC, "x"], object), "few": coo_array(SC)}
    savemat(file, {"sc": SC, "names": ["a", "bc"], **held}, do_compression=packing)
    require_known_types(file.getvalue(), 10_000)


def test_what_unpacks_to_too_much_is_refused():
    with pytest.raises(ValueError, match="more than 100 bytes"):
        require_known_types(packed(do_compression=True), 100)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@example(place=140, value=0)  # an array of no class
@example(place=145, value=8)  # a complex one without an imaginary part
@example(place=144, value=5)  # a sparse one without places
@given(place=st.integers(128, len(packed()) - 1), value=st.integers(0, 255))
def test_no_changed_byte_ends_the_process(tmp_path_factory, place, value):
    path = tmp_path_factory.mktemp("mat") / "changed.mat"
    content = bytearray(packed())
    content[place] = value
    path.write_bytes(content)
    child = os.fork()
    if not child:
        os.close(2)
        try:
            read_matrix(path, "sc")
        except ForeignFileError:
            os._exit(1)
        except BaseException:
            os._exit(2)
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended in (0, 1), signal.Signals(-ended).name if ended < 0 else ended


@pytest.mark.parametrize("values", [SC, coo_array(SC)], ids=["full", "sparse"])
def test_complex_values_pass_with_an_imaginary_part_alone(values):
    file = io.BytesIO()
    savemat(file, {"sc": values * 1j})
    require_known_types(file.getvalue(), 10_000)
    file = io.BytesIO()
    savemat(file, {"sc": values})
    content = bytearray(file.getvalue())
    content[145] |= 8
    with pytest.raises(ValueError, match=r"parts. Expected: [57] of its class"):
        require_known_types(bytes(content), 10_000)


def test_an_unknown_type_of_values_is_one_line(tmp_path):
    content = packed()
    place = content.index(np.float64(8).tobytes()) - 16
    path = tmp_path / "odd.mat"
    path.write_bytes(content[:place] + b"\xff" + content[place + 1 :])
    with pytest.raises(ForeignFileError, match="stored as type 255"):
        read_matrix(path, "sc")
