import threading

import pytest
import torch

from bids_dtg.contrasts.network.threads import Workers


def test_each_item_is_done_once():
    done = []
    with Workers(3) as workers:
        workers.each(lambda: done.append, range(100))
        workers.each(lambda: done.append, range(100, 150))
    assert sorted(done) == list(range(150))


def test_workers_have_one_torch_thread_and_give_the_setting_back():
    before = torch.get_num_threads()
    seen = []
    try:
        torch.set_num_threads(3)
        with Workers(2) as workers:
            workers.each(lambda: lambda _: seen.append(torch.get_num_threads()), range(20))
            assert torch.get_num_threads() == 3
        later = []
        thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        thread.start()
        thread.join()
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {1}
    assert later == [3]


def test_error_of_a_task_is_raised():
    def fail(item):
        raise MemoryError(f"item {item}")

    with Workers(2) as workers, pytest.raises(MemoryError, match="item"):
        workers.each(lambda: fail, range(10))


def test_signal_while_threads_start_leaves_none_waiting(monkeypatch, capsys):
    """A thread that waits would keep the process from ending."""
    wait = threading.Barrier.wait

    def interrupted(self, timeout=None):
        if threading.current_thread() is threading.main_thread():
            raise SystemExit(143)
        return wait(self, timeout)

    monkeypatch.setattr(threading.Barrier, "wait", interrupted)
    before = set(threading.enumerate())
    workers = Workers(2)
    with pytest.raises(SystemExit):
        workers.__enter__()
    started = set(threading.enumerate()) - before
    workers.__exit__(None, None, None)  # ends those that wait for work only
    for thread in started:
        thread.join(10)
        assert not thread.is_alive()
    assert "BrokenBarrierError" not in capsys.readouterr().err
