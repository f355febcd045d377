"""HTTP/1.1 as bytes: requests, URLs, valid responses at every split, and invalid ones."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swiftask_jupyter import errors
from swiftask_jupyter.protocols.http import Request
from swiftask_jupyter.transport.http1 import (
    MAX_HEAD_BYTES,
    MAX_INTERIM_RESPONSES,
    MalformedResponse,
    ResponseParser,
    encode_request,
    parse_url,
)

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
WHOLE = CHUNKED + b"5\r\nhello\r\n1;name=value\r\n,\r\n006\r\n world\r\n0\r\n\r\n"
# A response, its body, and whether the connection can be reused.
RESPONSES = {
    "sized": (OK + b"Content-Length: 5\r\n\r\nhello", b"hello", True),
    "empty": (OK + b"Content-Length: 0\r\n\r\n", b"", True),
    "chunked": (WHOLE, b"hello, world", True),
    "trailers": (
        CHUNKED + b"2\r\nhi\r\n0\r\nDigest: x\r\nExpires: never\r\n\r\n", b"hi", True,
    ),
    "blank lines in the body": (
        OK + b"Content-Length: 8\r\n\r\n\r\n\r\n\r\n\r\n", b"\r\n\r\n\r\n\r\n", True,
    ),
    "chunk sizes in capitals": (CHUNKED + b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", True),
    "a status line without a reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", b"hi", True),
    "bare line feeds in the head": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", b"hi", True),
    "one length, twice": (OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi", b"hi", True),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b"", True),
    "interim responses first": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        + OK + b"Content-Length: 2\r\n\r\nhi", b"hi", True,
    ),
    "closing": (OK + b"Content-Length: 2\r\nConnection: x, Close\r\n\r\nhi", b"hi", False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
    "HTTP/1.0 with keep-alive": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", b"hi", True,
    ),
    "both a length and chunks": (
        OK + b"Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"hi", False,
    ),
    "no length": (OK + b"\r\nuntil it closes", b"until it closes", False),
}  # fmt: skip
INVALID = {
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "zeros": b"\0" * 20,
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\n\r\n",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\n\r\n",
    "a status without a number": b"HTTP/1.1 two OK\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a status of two digits and no reason": b"HTTP/1.1 20\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "a status that begins with 0": b"HTTP/1.1 099 OK\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "a header without a colon": OK + b"Content-Length 2\r\n\r\nhi",
    "a header without a name": OK + b": 2\r\n\r\n",
    "a space before the colon": OK + b"Content-Length : 2\r\n\r\nhi",
    "a folded line before any header": OK + b" folded: x\r\n\r\n",
    "a NUL in a header": OK + b"X: a\0b\r\n\r\n",
    "a bare CR in a header": OK + b"X: a\rContent-Length: 2\r\n\r\n",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
    "two lengths in one header": OK + b"Content-Length: 2, 3\r\n\r\nhi!",
    "a negative length": OK + b"Content-Length: -1\r\n\r\n",
    "a length with a sign": OK + b"Content-Length: +2\r\n\r\nhi",
    "a length in Arabic digits": OK + "Content-Length: ٢\r\n\r\nhi".encode(),
    "a length in superscript": OK + b"Content-Length: \xb2\r\n\r\nhi",
    "an empty length": OK + b"Content-Length:\r\n\r\n",
    "a length of 30 digits": OK + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n",
    "an unknown coding": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "chunked twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a chunk size that is not hexadecimal": CHUNKED + b"zz\r\n",
    "an empty chunk size": CHUNKED + b"\r\n",
    "a negative chunk size": CHUNKED + b"-2\r\nhi\r\n",
    "a chunk size with 0x": CHUNKED + b"0x2\r\nhi\r\n",
    "a chunk size of 16 digits": CHUNKED + b"f" * 16 + b"\r\n",
    "a chunk longer than its size": CHUNKED + b"2\r\nhi!\r\n",
    "a chunk that ends in a bare LF": CHUNKED + b"2\r\nhi\n0\r\n\r\n",
    "an endless head": OK + b"X: " + b"x" * (MAX_HEAD_BYTES + 1),
    "a head slightly too long": OK + b"X: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n",
    "an endless chunk size": CHUNKED + b"0" * 5000,
    "an endless chunk extension": CHUNKED + b"2;" + b"x" * 5000 + b"\r\n",
    "endless trailers": CHUNKED + b"0\r\n" + b"X: y\r\n" * MAX_HEAD_BYTES,
    "endless interim responses": b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INTERIM_RESPONSES + 1),
}


def read(*pieces, closes=False):
    """Parse a response that arrives in these pieces; return the reader and the body."""
    reader, body = ResponseParser(), b""
    for piece in pieces:
        body += reader.feed(piece)
    if closes:
        reader.finish()
    return reader, body


@pytest.mark.parametrize(("response", "body", "reusable"), RESPONSES.values(), ids=RESPONSES)
def test_a_response_is_parsed_the_same_wherever_it_is_split(response, body, reusable):
    cuts = [(response[:at], response[at:]) for at in range(1, len(response))]
    for pieces in [(response,), *cuts, [response[at : at + 1] for at in range(len(response))]]:
        reader, parsed = read(*pieces, closes=not reusable)

        assert (parsed, reader.done, reader.keep_alive) == (body, True, reusable)
        assert reader.head.status in {200, 204, 304}


@given(st.data())
def test_a_response_is_parsed_the_same_in_any_pieces(data):
    response, body, reusable = data.draw(st.sampled_from(list(RESPONSES.values())))
    at = sorted(data.draw(st.lists(st.integers(0, len(response)))))
    pieces = [response[a:b] for a, b in zip([0, *at], [*at, len(response)], strict=True)]

    reader, parsed = read(*pieces, closes=not reusable)

    assert (parsed, reader.done, reader.keep_alive) == (body, True, reusable)


@pytest.mark.parametrize(
    ("response", "body"), [each[:2] for each in RESPONSES.values()], ids=RESPONSES
)
def test_a_truncated_response_is_never_complete(response, body):
    for at in range(len(response)):
        reader, parsed = read(response[:at])
        assert body.startswith(parsed)
        if reader.head is not None and reader.head.status == 200 and b"\r\nuntil" in response:
            continue  # the end of the connection is the end of the body
        assert not reader.done
        with pytest.raises(MalformedResponse, match="connection closed"):
            reader.finish()


@pytest.mark.parametrize("response", INVALID.values(), ids=INVALID)
def test_an_invalid_response_is_rejected_wherever_it_is_split(response):
    step = max(1, len(response) // 50)
    for at in range(1, len(response), step):
        with pytest.raises(MalformedResponse):
            read(response[:at], response[at:], closes=True)


@given(st.binary(max_size=200), st.sampled_from([b"", OK, CHUNKED, OK + b"Content-Length: 3"]))
def test_arbitrary_bytes_are_a_response_or_malformed(junk, before):
    reader = ResponseParser()
    with contextlib.suppress(MalformedResponse):
        body = reader.feed(before + junk)
        reader.finish()
        assert reader.done
        assert body == b"" or body in junk or before == CHUNKED


def test_bytes_after_the_end_are_dropped_and_the_connection_is_not_reused():
    """They could be taken for the response to the next request."""
    response, _, _ = RESPONSES["sized"]
    reader, body = read(response + response)

    assert (body, reader.done, reader.keep_alive) == (b"hello", True, False)


def test_many_small_chunks_are_parsed_in_linear_time():
    """In quadratic time, the test would exceed its time limit."""
    reader = ResponseParser()
    reader.feed(CHUNKED)

    assert reader.feed(b"1\r\nx\r\n" * 300_000) == b"x" * 300_000
    reader.feed(b"0\r\n\r\n")
    assert reader.keep_alive


def test_header_names_are_lower_case_and_repeated_or_folded_values_are_joined():
    reader, _ = read(
        OK + b"X-One: a\r\nx-one:\tb \r\nX-Two: first\r\n  and second\r\n"
        b"X-Odd: \xe9\r\nContent-Length: 0\r\n\r\n"
    )  # fmt: skip

    assert dict(reader.head.headers) == {
        "x-one": "a, b", "x-two": "first and second", "x-odd": "é", "content-length": "0",
    }  # fmt: skip


def test_a_long_body_in_small_pieces_is_passed_on_piece_by_piece():
    reader = ResponseParser()
    reader.feed(OK + b"Content-Length: 1000000\r\n\r\n")
    for _ in range(1000):
        assert len(reader.feed(b"x" * 1000)) == 1000
    assert reader.keep_alive


def encoded(url="https://host/path", method="POST", content=b"{}", **headers):
    request = Request(method, url, headers, content)
    return encode_request(request, parse_url(url)).decode("latin-1")


def test_a_request_has_the_general_headers_and_its_length():
    request = encoded(Authorization="Bearer t", content="é".encode())

    head, body = request.encode("latin-1").split(b"\r\n\r\n")
    assert body.decode() == "é"
    assert head.decode().split("\r\n") == [
        "POST /path HTTP/1.1",
        "Host: host",
        "User-Agent: swiftask-jupyter",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Authorization: Bearer t",
        "Content-Length: 2",
    ]


def test_a_post_without_a_body_has_a_length_of_zero():
    assert "Content-Length: 0\r\n" in encoded(content=b"")
    assert "Content-Length" not in encoded(method="GET", content=b"")


@pytest.mark.parametrize(
    ("url", "target", "host"),
    [
        ("http://h", "/", "h"),
        ("http://h:81/a?b=c%20d", "/a?b=c%20d", "h:81"),
        ("http://[::1]:81/", "/", "[::1]:81"),
        ("http://h/é ü?ü=\x7f", "/%C3%A9%20%C3%BC?%C3%BC=%7F", "h"),
        ("http://h/a#part", "/a", "h"),
    ],
)
def test_the_request_target_is_quoted_and_has_no_fragment(url, target, host):
    first, second, *_ = encoded(url).split("\r\n")

    assert first == f"POST {target} HTTP/1.1"
    assert second == f"Host: {host}"


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\nb", "a\rb", "a\0b", "☃"])
def test_a_header_value_that_could_start_another_header_is_rejected(value):
    with pytest.raises(ValueError, match=r"can't|codec"):
        encoded(Odd=value)


@pytest.mark.parametrize("name", ["Odd name", "Odd:", "Odd\r\n", ""])
def test_an_invalid_header_name_is_rejected(name):
    with pytest.raises(ValueError, match="can't be sent"):
        encoded(**{name: "x"})


@pytest.mark.parametrize(
    ("url", "simple"),
    [
        ("http://h/", True),
        ("https://127.0.0.1:8443/x", True),
        ("http://u:p@h/", False),
        ("http://hé/", False),
        ("http:///x", False),
        ("ftp://h/", False),
        ("http://h:0/", False),
    ],
)
def test_only_ordinary_urls_are_for_our_own_http(url, simple):
    assert parse_url(url).simple is simple


def test_a_user_name_and_password_are_not_part_of_the_netloc():
    assert parse_url("http://user:secret@host:1/").netloc == "host:1"


def test_a_url_is_split_into_its_parts():
    address = parse_url("https://[::1]:8443/v1/chat?a=b#part")

    assert address.secure
    assert (address.host, address.port, address.netloc) == ("::1", 8443, "[::1]:8443")
    assert address.target == "/v1/chat?a=b"


@pytest.mark.parametrize(("url", "port"), [("http://h", 80), ("https://h/", 443)])
def test_a_url_without_a_port_gets_the_default_port_and_a_path(url, port):
    assert (parse_url(url).port, parse_url(url).target) == (port, "/")


@pytest.mark.parametrize("url", ["http://h:99999/", "http://h:x/", "http://[::1"])
def test_a_malformed_url_is_an_error_and_nothing_was_sent(url):
    with pytest.raises(errors.ConnectionFailed, match="is no address") as caught:
        parse_url(url)
    assert caught.value.sent is False
