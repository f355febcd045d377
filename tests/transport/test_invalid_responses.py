"""Responses that are not HTTP, or hardly: each is one line of error, and a row in the ledger."""

import pytest

from swiftask_jupyter import Swiftask, errors
from tests.support.servers import CHUNKED, DELTA, OK, SSE, RawServer, once
from tests.support.transports import TOKEN

RESPONSES = {
    "nothing": b"",
    "zeros": b"\0" * 1000,
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "half a status line": b"HTTP/1.1 200",
    "half a head": OK + b"Content-Type: text/ev",
    "an unknown status": b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
    "a status without a number": b"HTTP/1.1 two OK\r\n\r\n",
    "only an interim response": b"HTTP/1.1 100 Continue\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "an endless header": OK + b"X: " + b"x" * 200_000,
    "a header name that is not ASCII": OK + b"\xff\xfe: \x00\r\n\r\n",
    "a type that is not ASCII": OK + b"Content-Type: \xff\xfe\xe9\r\nContent-Length: 2\r\n\r\n{]",
    "an unknown charset": OK + b"Content-Type: text/event-stream; charset=x\r\n\r\ndata: \xff\n",
    "a body shorter than its length": OK + b"Content-Length: 50\r\n\r\n{}",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    "a negative length": OK + b"Content-Length: -1\r\n\r\n",
    "an invalid chunk size": CHUNKED + b"zz\r\n",
    "a truncated chunk": CHUNKED + b"ff\r\n" + DELTA,
    "no last chunk": CHUNKED + b"%x\r\n%s\r\n" % (len(DELTA), DELTA),
    "truncated gzip": SSE + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\0\0\0",
    "an unknown encoding": SSE + b"Content-Encoding: rot13\r\n\r\nqngn: {}\n",
    "a redirect to an invalid URL": b"HTTP/1.1 302 Found\r\nLocation: http://[\r\n"
    b"Content-Length: 0\r\n\r\n",
    "a truncated error": b"HTTP/1.1 500 Oh\r\nContent-Length: 50\r\n\r\n{",
}


@pytest.mark.parametrize("response", RESPONSES.values(), ids=RESPONSES)
@pytest.mark.parametrize("dialect", ["openai", "native"])
def test_an_invalid_response_is_one_line_of_error_and_a_row(no_retry_delay, dialect, response):
    with (
        RawServer(once(response)) as server,
        Swiftask(base_url=server.url, token=TOKEN, agent="a", dialect=dialect) as client,
    ):
        with pytest.raises(errors.SwiftaskError) as caught:
            client.ask("hello")
        assert list(client.usage()["status"]) == ["error"]
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
