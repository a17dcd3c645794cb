"""A session holds its folder, its signals and its writer while it is entered, and lets go of all of them."""

import dataclasses
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from diffgeo.errors import UserError
from diffgeo.host import signals
from diffgeo.host.signals import UNHANDLED
from diffgeo.results import open_workdir
from diffgeo.run import Run, folder
from diffgeo.run.waves import build_tables, plan_waves
from tests.support.settings import tiny


@pytest.fixture
def opened(tmp_path):
    """Return a function that opens a session of a run of two members in one folder."""
    run = Run("made-up", "none", tiny(seed=(0, 1)))
    waves = plan_waves(run.grid, build_tables(run.grid), {"members_at_once": 1})

    def open_session():
        config = run.identity | {"members_at_once": 1}
        return folder.open_session(run, open_workdir(tmp_path / "run"), waves, config)

    return open_session


def test_its_parts_cannot_be_replaced(opened):
    with opened() as session, pytest.raises(dataclasses.FrozenInstanceError):
        session.store = None


def test_it_holds_the_folder_until_it_is_left(opened):
    with opened() as session:
        assert [wave.index for wave in session.waves] == [0, 1]
        assert session.workdir.results.exists()
        with pytest.raises(UserError, match="is in use by another process"):
            opened()
    with opened():
        pass


def test_after_an_error_within_the_folder_is_free(opened):
    with pytest.raises(ZeroDivisionError), opened():
        _ = 1 / 0
    with opened():
        pass


def test_signals_are_noted_within_and_handled_as_before_after_it(opened):
    before = signal.getsignal(signal.SIGTERM)
    with opened() as session:
        assert session.stopper.signum is None
        signal.raise_signal(signal.SIGTERM)
        assert session.stopper.signum == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def theirs(signum, frame):
    """Answer a signal, as an event loop or a cluster's worker does."""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("handler", [signal.SIG_IGN, theirs], ids=["ignored", "answered"])
def test_signals_that_are_ignored_or_answered_by_others_stay_so(opened, signum, handler):
    before = signal.signal(signum, handler)
    try:
        with opened() as session:
            assert signal.getsignal(signum) is handler
            signal.raise_signal(signum)
            assert session.stopper.signum is None
        assert signal.getsignal(signum) is handler
    finally:
        signal.signal(signum, before)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_outranks_a_save_that_is_due(opened, monkeypatch, signum):
    before = signal.signal(signum, UNHANDLED[signum])
    try:
        with opened() as session:
            session.stopper.ask()
            assert session.stopper.agreed is None
            monkeypatch.setattr(signals, "SAVE_SECONDS", 0)
            session.stopper.ask()
            assert session.stopper.agreed == signals.SAVE
            signal.raise_signal(signum)
            session.stopper.ask()
            assert session.stopper.agreed == signum != signals.SAVE
    finally:
        signal.signal(signum, before)


def test_a_handler_installed_meanwhile_stays(opened):
    before = signal.getsignal(signal.SIGTERM)
    try:
        with opened():
            signal.signal(signal.SIGTERM, theirs)
        assert signal.getsignal(signal.SIGTERM) is theirs
    finally:
        signal.signal(signal.SIGTERM, before)


def test_in_another_thread_it_opens_and_leaves_signals_alone(opened):
    before = [signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)]

    def work():
        with opened() as session:
            return session.stopper.signum, [signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)]

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(work).result() == (None, before)


def test_what_was_given_to_its_writer_is_done_when_it_is_left(opened):
    done = []
    with opened() as session:
        for i in range(10):
            session.writer.submit(lambda i=i: done.append(i))
    assert done == list(range(10))
