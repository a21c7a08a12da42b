"""Signals wait for the step in progress, once."""

import signal
import threading

import pytest

from lrface.train.interrupt import Interrupt


@pytest.mark.parametrize("number", Interrupt.SIGNALS)
def test_the_first_signal_is_a_request(number):
    before = signal.getsignal(number)
    with Interrupt() as interrupt:
        assert not interrupt.requested
        signal.raise_signal(number)
        assert interrupt.requested
    assert signal.getsignal(number) == before


def test_the_second_signal_acts_as_usual():
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert interrupt.requested


def test_handlers_come_back_after_an_error():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="boom"), Interrupt():
        raise ValueError("boom")
    assert signal.getsignal(signal.SIGINT) == before


def test_other_threads_have_no_signals_and_no_trouble():
    seen = []

    def work():
        with Interrupt() as interrupt:
            seen.append(interrupt.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
