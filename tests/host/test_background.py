"""Work behind training: in order, a bounded number waiting, errors raised where the caller is."""

import threading

import pytest

from diffgeo.host.background import Background


def test_what_is_given_is_done_in_order_while_the_caller_goes_on():
    done, go = [], threading.Event()
    with Background() as behind:
        behind.submit(go.wait)
        for i in range(20):
            behind.submit(lambda i=i: done.append(i))
        assert done == []
        go.set()
        behind.join()
        assert done == list(range(20))
        behind.submit(lambda: done.append(20))
    assert done[-1] == 20, "leaving waits"


def test_no_more_wait_than_may():
    started, go = [], [threading.Event() for _ in range(4)]

    def given(i):
        started.append(i)
        go[i].wait()

    with Background() as behind:
        behind.submit(lambda: given(0), max_pending=1)
        behind.submit(lambda: given(1), max_pending=1)
        third = threading.Thread(target=lambda: behind.submit(lambda: given(2), max_pending=1))
        third.start()
        third.join(0.2)
        assert third.is_alive(), "one is being done and one waits"
        go[0].set()
        third.join(10)
        assert not third.is_alive()
        for event in go:
            event.set()
    assert started == [0, 1, 2]


def test_after_an_error_nothing_more_is_done():
    done = []

    def fail():
        raise OSError("disk full")

    behind = Background()
    behind.submit(fail)
    behind.submit(lambda: done.append(1))
    with pytest.raises(OSError, match="disk full"):
        behind.join()
    behind.join()
    assert done == []


def test_leaving_raises_the_error_but_hides_no_other():
    def fail():
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), Background() as behind:
        behind.submit(fail)
    behind = Background()
    behind.submit(fail)
    assert not behind.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
