"""TCP servers that a function implements, the HTTP responses that they send, and a proxy."""

import contextlib
import socket
import ssl
import threading
from pathlib import Path
from urllib.parse import urlsplit

TLS = Path(__file__).parent / "tls"  # an authority and a certificate that only tests trust
AUTHORITY = TLS / "ca.pem"

# Responses of the openai dialect.
OK = b"HTTP/1.1 200 OK\r\n"
SSE = OK + b"Content-Type: text/event-stream\r\n"
CHUNKED = SSE + b"Transfer-Encoding: chunked\r\n\r\n"
DELTA = b'data: {"choices":[{"delta":{"content":"half"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
END = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n' + DONE


def chunk(data):
    """Return bytes as one chunk of a chunked body; the empty chunk ends the body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def sized(body, head=OK):
    """Return a response with a `Content-Length`."""
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


ANSWER = CHUNKED + chunk(DELTA) + chunk(END) + chunk(b"")  # its text is "half"


class RawServer:
    """Listens on 127.0.0.1, and handles each connection in a thread.

    Args:
        serve: called with the server and the connection; the connection is closed when it returns.
        secure: whether connections use TLS.

    Attributes:
        connections: the number of connections so far.
        requests: the bytes of the requests that `read_request` has read.
        port: the port.
        url: the address, without a path.
    """

    def __init__(self, serve, *, secure=False):
        self.connections = 0
        self.requests = []
        self._serve = serve
        self._tls = None
        if secure:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(TLS / "service.pem")
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"http{'s' if secure else ''}://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.connections += 1
                thread = threading.Thread(target=self._handle, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _handle(self, connection):
        connection.settimeout(20)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, contextlib.suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                self._serve(self, connection)

    def read_request(self, connection):
        """Read one request, and return its bytes; `None` if the client closed the connection."""
        request = b""
        while b"\r\n\r\n" not in request:
            if not (data := connection.recv(1 << 16)):
                return None
            request += data
        head, _, body = request.partition(b"\r\n\r\n")
        size = next(
            (
                int(line.partition(b":")[2])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            ),
            0,
        )
        while len(body) < size:
            body += connection.recv(1 << 16)
        self.requests.append(head + b"\r\n\r\n" + body)
        return self.requests[-1]

    def close(self):
        """Stop listening, and wait for the connections to end."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def always(response):
    """Return a `serve` function that sends the same response to every request."""

    def serve(server, connection):
        while server.read_request(connection) is not None:
            connection.sendall(response)

    return serve


def once(response):
    """Return a `serve` function that sends bytes to whatever arrives, and then closes."""

    def serve(_, connection):
        connection.recv(1 << 16)
        connection.sendall(response)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):  # unread bytes of a request would reset the connection
            pass

    return serve


class Proxy(RawServer):
    """A proxy that forwards plain requests to one server, and refuses every tunnel.

    Args:
        target: the URL of that server; every host's requests go there.

    Attributes:
        seen: the request line and the headers of each request, one line each.
    """

    def __init__(self, target):
        self.seen = []
        self._target = urlsplit(target)
        super().__init__(Proxy._forward)

    def _forward(self, connection):
        with connection.makefile("rb") as request:
            line = request.readline().decode("latin-1").strip()
            headers, size = [], 0
            while (header := request.readline().decode("latin-1").strip()) != "":
                headers.append(header)
                if header.lower().startswith("content-length:"):
                    size = int(header.partition(":")[2])
            self.seen.append("\n".join([line, *headers]))
            method, url, _ = line.split(" ")
            if method == "CONNECT":
                connection.sendall(b"HTTP/1.1 502 no tunnels here\r\nContent-Length: 0\r\n\r\n")
                return
            kept = [each for each in headers if not each.lower().startswith("connection:")]
            head = [f"{method} {urlsplit(url).path} HTTP/1.1", *kept, "Connection: close", "", ""]
            with socket.create_connection((self._target.hostname, self._target.port)) as upstream:
                upstream.sendall("\r\n".join(head).encode("latin-1") + request.read(size))
                while data := upstream.recv(1 << 16):
                    connection.sendall(data)
