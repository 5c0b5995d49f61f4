"""Units of work as tasks of a dask scheduler."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest

pytest.importorskip("distributed")

from dask_cluster import dask_cluster, fail, prepare, prepare_slow
from distributed import LocalCluster

from bids_dtg.engine.cluster import Cluster
from bids_dtg.engine.work import Backlog, End, Happened
from bids_dtg.errors import RunError, SettingsError


@pytest.fixture(scope="module")
def dask():
    with LocalCluster(n_workers=2, processes=False, dashboard_address=None) as local:
        yield local.scheduler_address


def run(cluster: Cluster, labels) -> list:
    waits = dict.fromkeys(labels, 0.1)  # each label is held up once
    backlog = Backlog(labels, hold_up=lambda label: waits.pop(label, 0.0))
    with closing(cluster.run(backlog)) as messages:
        return list(messages)


@pytest.mark.slow
@pytest.mark.parametrize("nanny", [False, True])
def test_each_unit_is_done_once_and_prepared_once_in_each_process(tmp_path, nanny):
    labels = [f"{number:02d}" for number in range(12)]
    with dask_cluster(tmp_path / "cluster", nanny=nanny) as (_, address):
        messages = [
            message for _, message in run(Cluster(address, prepare, "care"), labels)
        ]
    messages = [m for m in messages if getattr(m, "kind", "") != "note"]
    results = {m.label: m.result for m in messages if isinstance(m, End)}
    assert sorted(results) == labels
    assert (
        len(set(results.values()))
        == len({process for process, _ in results.values()})
        <= 2
    )
    # What is reported about a unit stays together; stages are not reported.
    for place in range(0, len(messages), 3):
        began, line, end = messages[place : place + 3]
        assert began == Happened("began", end.label)
        assert line == Happened("line", f"{end.label} with care")


@pytest.mark.slow
def test_a_process_that_dies_or_is_stuck_costs_one_unit(dask, monkeypatch):
    monkeypatch.setattr("bids_dtg.engine.pool._STUCK_SECONDS", 10.0)
    monkeypatch.setattr("bids_dtg.engine.pool._LOOK_SECONDS", 0.1)
    messages = [
        message
        for _, message in run(Cluster(dask, prepare, "y"), ["killed", "stuck", "a"])
    ]
    ends = {message.label: message for message in messages if isinstance(message, End)}
    assert ends["killed"].died == "it was ended by SIGSEGV"
    assert "no step for 10 s; the last one was opening a.h5" in str(ends["stuck"].error)
    assert ends["a"].result


@pytest.mark.slow
def test_an_error_costs_one_unit(dask):
    messages = [
        message for _, message in run(Cluster(dask, prepare, "x"), ["bad", "a"])
    ]
    (error,) = [m for m in messages if isinstance(m, End) and m.error]
    assert (error.label, type(error.error)) == ("bad", RunError)
    assert [m.label for m in messages if isinstance(m, End) and m.result] == ["a"]


@pytest.mark.slow
def test_work_that_cannot_be_prepared_is_an_error_of_each_unit(dask):
    messages = [message for _, message in run(Cluster(dask, fail, "input"), "ab")]
    assert [type(m) for m in messages if getattr(m, "kind", "") != "note"] == [
        Happened,
        End,
    ] * 2
    assert {str(message.error) for message in messages if isinstance(message, End)} == {
        "no input here."
    }


@pytest.mark.slow
def test_what_has_not_begun_is_called_off(dask):
    backlog, count = Backlog([f"{number:02d}" for number in range(100)]), 0
    with closing(Cluster(dask, prepare, "x").run(backlog)) as messages:
        for _, message in messages:
            count += isinstance(message, End)
            if count:
                break
    assert count == 1


@pytest.mark.slow
def test_no_scheduler_is_an_error(monkeypatch):
    monkeypatch.setattr("bids_dtg.engine.cluster._CONNECT_SECONDS", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        told = f"--scheduler {address}: no dask scheduler answers there"
        with pytest.raises(SettingsError, match=told):
            Cluster(address, prepare, "x")


@pytest.mark.slow
def test_a_scheduler_that_is_gone_ends_the_work(tmp_path):
    with dask_cluster(tmp_path / "cluster", workers=1) as (scheduler, address):
        messages = Cluster(address, prepare_slow, None).run(Backlog("ab"))
        with closing(messages):
            next(messages)
            scheduler.kill()
            with pytest.raises(
                RunError, match="connection to the dask scheduler was lost"
            ):
                list(messages)
