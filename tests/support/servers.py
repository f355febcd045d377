"""A service made of a function: what it does with each connection is the test's affair."""

import contextlib
import socket
import ssl
import threading
from pathlib import Path

TLS = Path(__file__).parent / "tls"  # an authority and a service that exist in tests alone
AUTHORITY = TLS / "ca.pem"
OK = b"HTTP/1.1 200 OK\r\n"


def sized(body, head=OK):
    """Return a response that says how long it is."""
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


class Service:
    """Listens on 127.0.0.1, and gives each connection to a thread of its own.

    Attributes:
        accepted: how many connections there were.
        asked: the requests that `take` has read.
    """

    def __init__(self, serve, *, secure=False):
        self.accepted = 0
        self.asked = []
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
                self.accepted += 1
                thread = threading.Thread(target=self._attend, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _attend(self, connection):
        connection.settimeout(20)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, contextlib.suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                self._serve(self, connection)

    def take(self, connection):
        """Read one request; `None` where the other side has gone."""
        asked = b""
        while b"\r\n\r\n" not in asked:
            if not (data := connection.recv(1 << 16)):
                return None
            asked += data
        head, _, body = asked.partition(b"\r\n\r\n")
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
        self.asked.append(head + b"\r\n\r\n" + body)
        return self.asked[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(20)


def always(response):
    """Return what answers every request with this."""

    def serve(service, connection):
        while service.take(connection) is not None:
            connection.sendall(response)

    return serve
