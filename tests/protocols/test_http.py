"""Response heads, and the lines of an event stream wherever they are split."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swiftask_jupyter import errors
from swiftask_jupyter.protocols.http import (
    MAX_LINE_BYTES,
    LineSplitter,
    Request,
    ResponseHead,
    data_field,
    truncated_stream,
    unreadable_data,
)
from swiftask_jupyter.settings.secrets import Secret


def lines_of(pieces):
    splitter = LineSplitter()
    return [line for piece in pieces for line in splitter.feed(piece)] + splitter.finish()


@pytest.mark.parametrize(
    ("header", "media_type"),
    [
        ("text/event-stream; charset=utf-8", "text/event-stream"),
        (" TEXT/HTML ;x=y", "text/html"),
        ("", ""),
    ],
)
def test_a_media_type_is_lower_case_and_has_no_parameters(header, media_type):
    assert ResponseHead(200, {"content-type": header}).media_type == media_type


def test_a_head_without_a_content_type_has_an_empty_media_type():
    assert ResponseHead(200, {}).media_type == ""


def test_the_repr_of_a_request_shows_neither_url_nor_headers_nor_content():
    request = Request("POST", "http://h/?t=s3cr3t", {"a": "s3cr3t"}, b"s3cr3t", "a.txt")

    assert repr(request) == "Request(method='POST', label='a.txt')"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_may_end_in_any_line_ending(end):
    lines = lines_of([b"one" + end + b"two" + end + b"last"])

    assert [line for line in lines if line] == [b"one", b"two", b"last"]


@settings(max_examples=100, deadline=None, database=None)
@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"\r", b"\n", b"\r\n"]), max_size=12))
def test_lines_are_the_same_wherever_the_bytes_are_split(pieces):
    def lines(split):
        return [line for line in lines_of(split) if line]

    body = b"".join(pieces)
    assert lines(pieces) == lines([body]) == lines([body[i : i + 1] for i in range(len(body))])


def test_a_byte_order_mark_at_the_beginning_is_dropped():
    assert lines_of([b"\xef\xbb", b"\xbfone\n\xef\xbb\xbftwo"]) == [b"one", b"\xef\xbb\xbftwo"]


def test_a_line_longer_than_the_limit_is_an_error():
    pieces = [b"x" * (1 << 20)] * ((MAX_LINE_BYTES >> 20) + 1)

    with pytest.raises(errors.StreamError, match="over 16 MB"):
        lines_of(pieces)


@pytest.mark.parametrize(
    ("line", "value"),
    [(b"data: x", b" x"), (b"data:", b""), (b": comment", None), (b"event: x", None), (b"", None)],
)
def test_only_a_data_line_has_a_value(line, value):
    assert data_field(line) == value


def test_an_unreadable_line_is_quoted_without_the_token_and_shortened():
    error = unreadable_data(b"{oops s3cr3t-t0ken" + b"x" * 1000, Secret("s3cr3t-t0ken"))

    assert "the stream made no sense at '{oops " in str(error)
    assert "s3cr3t" not in str(error)
    assert len(str(error)) < 200


def test_a_truncated_stream_keeps_what_arrived():
    assert str(truncated_stream()).endswith("what came is kept; ask again")
