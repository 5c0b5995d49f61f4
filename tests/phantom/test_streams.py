from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.phantom.streams import Purpose, stream

small = st.integers(0, 2**32 - 1)
keys = st.tuples(st.sampled_from(Purpose), small, small, small, small)


def first_numbers(seed: int, key: tuple[Purpose, int, int, int, int]) -> list[int]:
    purpose, cohort, person, session, segment = key
    rng = stream(
        seed, purpose, cohort=cohort, person=person, session=session, segment=segment
    )
    return rng.integers(0, 2**63, size=4).tolist()


@given(keys, keys, st.integers(0, 2**70), st.integers(0, 2**70))
def test_streams_are_alike_exactly_when_their_keys_are(
    key, other_key, seed, other_seed
):
    assert first_numbers(seed, key) == first_numbers(seed, key)
    if (seed, key) != (other_seed, other_key):
        assert first_numbers(seed, key) != first_numbers(other_seed, other_key)


def test_purposes_have_numbers_of_their_own():
    assert len({int(purpose) for purpose in Purpose}) == len(Purpose.__members__)


@pytest.mark.parametrize("person", [-1, 2**32])
def test_keys_that_could_be_mistaken_for_others_are_refused(person):
    with pytest.raises(ValueError, match=str(person)):
        stream(0, Purpose.TRAITS, person=person)
