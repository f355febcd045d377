"""HTTP/1.1 as bytes: every response however it is cut, and what is none."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swiftask_jupyter.protocols.http import Request
from swiftask_jupyter.transport.addresses import parse_url
from swiftask_jupyter.transport.http1 import (
    MAX_HEAD_BYTES,
    MAX_INTERIM_RESPONSES,
    MalformedResponse,
    ResponseReader,
    encode_request,
)

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
WHOLE = CHUNKED + b"5\r\nhello\r\n1;name=value\r\n,\r\n006\r\n world\r\n0\r\n\r\n"
# A response, its body, and whether the connection lasts.
RESPONSES = {
    "sized": (OK + b"Content-Length: 5\r\n\r\nhello", b"hello", True),
    "empty": (OK + b"Content-Length: 0\r\n\r\n", b"", True),
    "chunked": (WHOLE, b"hello, world", True),
    "trailers": (
        CHUNKED + b"2\r\nhi\r\n0\r\nDigest: x\r\nExpires: never\r\n\r\n", b"hi", True,
    ),
    "a body that holds what a head ends with": (
        OK + b"Content-Length: 8\r\n\r\n\r\n\r\n\r\n\r\n", b"\r\n\r\n\r\n\r\n", True,
    ),
    "chunk sizes in capitals": (CHUNKED + b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", True),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", b"hi", True),
    "bare ends of line in the head": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", b"hi", True),
    "one length, twice": (OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi", b"hi", True),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b"", True),
    "told to go on first": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        + OK + b"Content-Length: 2\r\n\r\nhi", b"hi", True,
    ),
    "closing": (OK + b"Content-Length: 2\r\nConnection: x, Close\r\n\r\nhi", b"hi", False),
    "older": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
    "older, keep_alive": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", b"hi", True,
    ),
    "both a length and chunks": (
        OK + b"Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"hi", False,
    ),
    "to the end": (OK + b"\r\nuntil it hangs up", b"until it hangs up", False),
}  # fmt: skip
NONSENSE = {
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "zeros": b"\0" * 20,
    "a later version": b"HTTP/2.0 200 OK\r\n\r\n",
    "an older one": b"HTTP/0.9 200 OK\r\n\r\n",
    "no status": b"HTTP/1.1 two OK\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a status of two digits and no reason": b"HTTP/1.1 20\r\n\r\n",
    "a status of four": b"HTTP/1.1 2000 OK\r\n\r\n",
    "a status of none": b"HTTP/1.1 099 OK\r\n\r\n",
    "another protocol from here on": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "a header without a colon": OK + b"Content-Length 2\r\n\r\nhi",
    "a header without a name": OK + b": 2\r\n\r\n",
    "a space before the colon": OK + b"Content-Length : 2\r\n\r\nhi",
    "a fold before any header": OK + b" folded: x\r\n\r\n",
    "a NUL in a header": OK + b"X: a\0b\r\n\r\n",
    "a bare CR in a header": OK + b"X: a\rContent-Length: 2\r\n\r\n",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
    "two lengths in one": OK + b"Content-Length: 2, 3\r\n\r\nhi!",
    "a negative length": OK + b"Content-Length: -1\r\n\r\n",
    "a length with a sign": OK + b"Content-Length: +2\r\n\r\nhi",
    "a length in Arabic digits": OK + "Content-Length: ٢\r\n\r\nhi".encode(),
    "a length in superscript": OK + b"Content-Length: \xb2\r\n\r\nhi",
    "an empty length": OK + b"Content-Length:\r\n\r\n",
    "a length beyond all": OK + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n",
    "an unknown coding": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "chunked twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a chunk of no size": CHUNKED + b"zz\r\n",
    "a chunk of an empty size": CHUNKED + b"\r\n",
    "a chunk of a negative size": CHUNKED + b"-2\r\nhi\r\n",
    "a chunk of a prefixed size": CHUNKED + b"0x2\r\nhi\r\n",
    "a chunk of a size beyond all": CHUNKED + b"f" * 16 + b"\r\n",
    "a chunk longer than its size": CHUNKED + b"2\r\nhi!\r\n",
    "a chunk that ends in a bare LF": CHUNKED + b"2\r\nhi\n0\r\n\r\n",
    "an endless head": OK + b"X: " + b"x" * (MAX_HEAD_BYTES + 1),
    "a head too long by little": OK + b"X: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n",
    "an endless size": CHUNKED + b"0" * 5000,
    "an endless extension": CHUNKED + b"2;" + b"x" * 5000 + b"\r\n",
    "endless trailers": CHUNKED + b"0\r\n" + b"X: y\r\n" * MAX_HEAD_BYTES,
    "endless announcements": b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INTERIM_RESPONSES + 1),
}


def read(*pieces, hangs_up=False):
    """Read a response that comes in these pieces."""
    reader, body = ResponseReader(), b""
    for piece in pieces:
        body += reader.feed(piece)
    if hangs_up:
        reader.finish()
    return reader, body


@pytest.mark.parametrize(("response", "body", "lasts"), RESPONSES.values(), ids=RESPONSES)
def test_a_response_reads_the_same_wherever_it_is_cut(response, body, lasts):
    cuts = [(response[:at], response[at:]) for at in range(1, len(response))]
    for pieces in [(response,), *cuts, [response[at : at + 1] for at in range(len(response))]]:
        reader, came = read(*pieces, hangs_up=not lasts)

        assert (came, reader.done, reader.keep_alive) == (body, True, lasts)
        assert reader.head.status in {200, 204, 304}


@given(st.data())
def test_a_response_reads_the_same_in_any_pieces(data):
    response, body, lasts = data.draw(st.sampled_from(list(RESPONSES.values())))
    at = sorted(data.draw(st.lists(st.integers(0, len(response)))))
    pieces = [response[a:b] for a, b in zip([0, *at], [*at, len(response)], strict=True)]

    reader, came = read(*pieces, hangs_up=not lasts)

    assert (came, reader.done, reader.keep_alive) == (body, True, lasts)


@pytest.mark.parametrize(
    ("response", "body"), [each[:2] for each in RESPONSES.values()], ids=RESPONSES
)
def test_a_response_that_is_cut_is_never_whole(response, body):
    for at in range(len(response)):
        reader, came = read(response[:at])
        assert body.startswith(came)
        if reader.head is not None and reader.head.status == 200 and b"\r\nuntil" in response:
            continue  # where hanging up is the end, nobody can tell
        assert not reader.done
        with pytest.raises(MalformedResponse, match="connection closed"):
            reader.finish()


@pytest.mark.parametrize("response", NONSENSE.values(), ids=NONSENSE)
def test_what_is_no_response_is_refused_wherever_it_is_cut(response):
    step = max(1, len(response) // 50)
    for at in range(1, len(response), step):
        with pytest.raises(MalformedResponse):
            read(response[:at], response[at:], hangs_up=True)


@given(st.binary(max_size=200), st.sampled_from([b"", OK, CHUNKED, OK + b"Content-Length: 3"]))
def test_any_bytes_are_a_response_or_malformed(junk, before):
    reader = ResponseReader()
    with contextlib.suppress(MalformedResponse):
        body = reader.feed(before + junk)
        reader.finish()
        assert reader.done
        assert body == b"" or body in junk or before == CHUNKED


def test_what_comes_after_the_end_belongs_to_nobody():
    """A second answer may be the next question's, or a stranger's: it is never taken for one."""
    response, _, _ = RESPONSES["sized"]
    reader, body = read(response + response)

    assert (body, reader.done, reader.keep_alive) == (b"hello", True, False)


def test_many_small_chunks_in_one_read_are_not_copied_once_each():
    """Else so many would take minutes, and the test its time limit."""
    reader = ResponseReader()
    reader.feed(CHUNKED)

    assert reader.feed(b"1\r\nx\r\n" * 300_000) == b"x" * 300_000
    reader.feed(b"0\r\n\r\n")
    assert reader.keep_alive


def test_headers_are_known_in_lower_case_joined_and_unfolded():
    reader, _ = read(
        OK + b"X-One: a\r\nx-one:\tb \r\nX-Two: first\r\n  and second\r\n"
        b"X-Odd: \xe9\r\nContent-Length: 0\r\n\r\n"
    )  # fmt: skip

    assert dict(reader.head.headers) == {
        "x-one": "a, b", "x-two": "first and second", "x-odd": "é", "content-length": "0",
    }  # fmt: skip


def test_a_long_body_in_small_pieces_is_not_copied_again_and_again():
    reader = ResponseReader()
    reader.feed(OK + b"Content-Length: 1000000\r\n\r\n")
    for _ in range(1000):
        assert len(reader.feed(b"x" * 1000)) == 1000
    assert reader.keep_alive


def asked(url="https://host/path", method="POST", content=b"{}", **headers):
    request = Request(method, url, headers, content)
    return encode_request(request, parse_url(url)).decode("latin-1")


def test_a_request_is_written_with_its_length_and_its_host():
    said = asked(Authorization="Bearer t", content="é".encode())

    head, body = said.encode("latin-1").split(b"\r\n\r\n")
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


def test_a_request_without_a_body_says_so_where_one_is_expected():
    assert "Content-Length: 0\r\n" in asked(content=b"")
    assert "Content-Length" not in asked(method="GET", content=b"")


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
def test_what_is_asked_for_is_ascii_without_spaces(url, target, host):
    first, second, *_ = asked(url).split("\r\n")

    assert first == f"POST {target} HTTP/1.1"
    assert second == f"Host: {host}"


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\nb", "a\rb", "a\0b", "☃"])
def test_a_header_that_would_be_another_is_not_written(value):
    with pytest.raises(ValueError, match=r"can't|codec"):
        asked(Odd=value)


@pytest.mark.parametrize("name", ["Odd name", "Odd:", "Odd\r\n", ""])
def test_a_name_that_would_be_another_is_not_written(name):
    with pytest.raises(ValueError, match="can't be sent"):
        asked(**{name: "x"})


@pytest.mark.parametrize(
    ("url", "plain"),
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
def test_what_is_out_of_the_ordinary_is_httpxs(url, plain):
    assert parse_url(url).simple is plain


def test_a_name_and_password_are_not_shown():
    assert parse_url("http://user:secret@host:1/").netloc == "host:1"
