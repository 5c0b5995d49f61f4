import threading

import pytest
import torch

from bids_dtg.contrasts.workers import Workers


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
