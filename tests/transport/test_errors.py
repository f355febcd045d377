"""The errors that both HTTP stacks raise."""

import pytest

from swiftask_jupyter import errors
from swiftask_jupyter.transport.errors import (
    connect_timed_out,
    describe,
    read_timed_out,
    truncated,
    unreachable,
)


@pytest.mark.parametrize(("timeout", "seconds"), [(3.0, "3 s"), (120.0, "10 s")])
def test_a_connection_is_given_up_after_the_timeout_or_after_ten_seconds(timeout, seconds):
    error = connect_timed_out("host:1", timeout)

    assert type(error) is errors.ConnectionFailed
    assert f"host:1 did not accept a connection within {seconds};" in str(error)
    assert error.sent is False


@pytest.mark.parametrize("sent", [True, False])
def test_an_unreachable_host_is_named_with_the_reason_and_what_to_check(sent):
    error = unreachable("host:1", "no route", sent=sent)

    assert str(error).startswith("cannot reach host:1 (no route); check SWIFTASK_BASE_URL")
    assert error.sent is sent


def test_a_silent_service_may_have_received_the_request():
    error = read_timed_out("host:1", 0.5)

    assert type(error) is errors.TimedOut
    assert "host:1 was silent for 0.5 s; the agent may still be working" in str(error)
    assert error.sent is True


def test_a_truncated_answer_is_a_stream_error():
    error = truncated("reset")

    assert type(error) is errors.StreamError
    assert str(error) == "the answer was cut short (reset); what came is kept; ask again"


def test_an_exception_without_a_message_is_described_by_its_class_name():
    assert describe(OSError("no route")) == "no route"
    assert describe(ConnectionResetError()) == "ConnectionResetError"
    assert describe(ValueError("  ")) == "ValueError"
