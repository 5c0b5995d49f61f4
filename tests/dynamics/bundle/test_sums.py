"""Sums of a linear core's people: they hold nothing of a person, and foreign ones are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_dtg.dynamics.bundle.sums import SUMS, SumsSpace, other_sums, read_sums, write_sums
from bids_dtg.dynamics.linear import SiteSums, TrainingPerson
from bids_dtg.errors import BundleError
from bids_dtg.files.tensors import read_arrays, write_arrays

SPACE = SumsSpace(("lh_insula", "rh_insula", "lh_cuneus"), 0.72)
PEOPLE = tuple(f"sub-{number}" for number in range(6))


def made(seed: int = 0) -> SiteSums:
    series = np.random.default_rng(seed).standard_normal((len(PEOPLE), 3, 80))
    return SiteSums.over([TrainingPerson.of(own) for own in series], 0.72)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_sums(tmp_path / SUMS, made(), SPACE, PEOPLE)
    return tmp_path / SUMS


def test_sums_come_back_as_they_were_written(path: Path) -> None:
    found, people = read_sums(path, SPACE)
    expected = made()
    np.testing.assert_array_equal(found.group.total, expected.group.total)
    assert (found.group.people, found.group.dof) == (6, 480)
    for name in ("densities", "frame_densities", "fits", "judged"):
        np.testing.assert_array_equal(getattr(found.scores, name), getattr(expected.scores, name))
    assert len(people) == 6


def test_a_file_holds_no_name_of_a_person(path: Path) -> None:
    content = path.read_bytes()
    assert not any(name.encode() in content for name in PEOPLE)


@pytest.mark.parametrize(
    ("space", "found"),
    [
        (replace(SPACE, regions=SPACE.regions[::-1]), "another list of regions"),
        (replace(SPACE, tr_seconds=0.8), "another time between frames"),
        (SumsSpace(SPACE.regions[:2], 2.0), "another list of regions and another time between"),
    ],
)
def test_sums_of_something_else_are_refused(path: Path, space: SumsSpace, found: str) -> None:
    with pytest.raises(BundleError, match=f"has sums of {found}"):
        read_sums(path, space)


def test_nobody_is_added_twice(path: Path) -> None:
    _, people = read_sums(path, SPACE)
    assert len(list(other_sums([str(path)], SPACE))) == 1
    for files, own in (([path, path], []), ([path], people[:2])):
        count = 6 if not own else 2
        line = f"sums of {count} participants whose data were added already"
        with pytest.raises(BundleError, match=line):
            list(other_sums([str(file) for file in files], SPACE, own))


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        ("covariances", lambda a: a[:, :2], "covariances is float64"),
        ("covariances", lambda a: a * np.nan, "values that are not finite"),
        ("covariances", lambda a: 2 * a, "not those of regions with variance 1"),
        ("covariances", lambda a: np.stack([a[0], 9 * a[0], a[2]]), "are those of no process"),
        ("covariances", lambda a: np.stack([a[0], a[0], -a[0]]), "are those of no process"),
        ("covariances", lambda a: a + np.triu(np.ones(3), 1), "are those of no process"),
        ("dof", lambda a: a * 0, "dof is 0 of 6 participants"),
        ("densities", lambda a: a[:1], "densities is"),
        ("judged", lambda a: a + 6, "judged has numbers beyond 0 to 6"),
    ],
)
def test_sums_that_cannot_be_are_refused(path: Path, name: str, change, fault: str) -> None:
    arrays, notes = read_arrays(path)
    write_arrays(path, arrays | {name: change(arrays[name])}, notes)
    with pytest.raises(BundleError, match=f"{SUMS} holds no sums of a linear core: .*{fault}"):
        read_sums(path, SPACE)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "sums"
    other.write_bytes(b"x" * 99)
    with pytest.raises(BundleError, match="holds no sums of a linear core"):
        read_sums(other, SPACE)
