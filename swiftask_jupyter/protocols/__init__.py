"""The dialects: each turns a prompt into an HTTP request, and response bytes into events.

This module is the public interface for dialects of other packages. Nothing here does I/O: the
transport sends the requests and reads the sockets, so a dialect is tested without a server.

To write a dialect, subclass `Protocol`: set its class attributes, and implement `request` (the
bytes to send) and `decoder` (how to read the response). An answer that is one JSON object needs
only a `JSONBodyDecoder` whose `events` yields what the object holds:

    >>> import json
    >>> from swiftask_jupyter.answers.turn import Delta, Raw
    >>> from swiftask_jupyter.prompts.prompt import Prompt
    >>> from swiftask_jupyter.protocols import JSONBodyDecoder, Protocol, Request, ResponseHead
    >>> from swiftask_jupyter.settings.secrets import Secret

    >>> class AcmeDecoder(JSONBodyDecoder):  # {"answer": "…", "model": "…"}
    ...     def events(self, body):
    ...         yield Delta(body["answer"])
    ...         yield Raw({"model": body["model"]})

    >>> class Acme(Protocol):
    ...     name = "acme"  # --dialect acme
    ...     base_path = "/acme"  # after the connection's base_url
    ...     streams = False
    ...     takes_history = False
    ...     owns_conversation = False
    ...
    ...     def request(self, prompt):
    ...         return Request(
    ...             "POST",
    ...             f"{self.base_url}/{prompt.agent}",
    ...             {**self.authorization(), "Content-Type": "application/json"},
    ...             json.dumps({"question": prompt.text, **prompt.options}).encode(),
    ...         )
    ...
    ...     def decoder(self, head):
    ...         return AcmeDecoder(self, head)

    >>> acme = Acme("https://acme.example/acme", Secret("token"))
    >>> acme.request(Prompt("helper", "Hello")).content
    b'{"question": "Hello"}'
    >>> decoder = acme.decoder(ResponseHead(200, {"content-type": "application/json"}))
    >>> [*decoder.feed(b'{"answer": "Hi", "mod'), *decoder.feed(b'el": "m1"}'), *decoder.finish()]
    [Delta(text='Hi'), Raw(fields={'model': 'm1'})]

A streamed answer needs a `Decoder` of its own; `http.LineSplitter` splits server-sent events into
lines, and `chat.py` is a short example. Token counts go through `base.plausible_usage`. Methods
to override where the service needs them: `prepare` (requests before the question, such as file
uploads), `fallback`, `error` and `remark`.

To install the dialect, its package names the class in an entry point:

    [project.entry-points."swiftask_jupyter.protocols"]
    acme = "acme_swiftask:Acme"

Users then choose it with `--dialect acme`, on a connection that has a `base_url`. Retries, the
ledger, budgets and the panel work as for the built-in dialects.
"""

from swiftask_jupyter.protocols.base import Decoder, JSONBodyDecoder, Protocol
from swiftask_jupyter.protocols.http import Request, ResponseHead

__all__ = ["Decoder", "JSONBodyDecoder", "Protocol", "Request", "ResponseHead"]
