"""Dialects: each one implements the HTTP API of one service, as a subclass of `Protocol`.

A dialect converts a prompt into an HTTP request, and the bytes of the response into events, which
are the parts of an answer: text, token counts, ids. This module is the public interface for
dialects that other packages provide. Nothing here does I/O: `transport` sends the requests and
reads the responses, so a dialect can be tested without a server.

To write a dialect, subclass `Protocol`: set the class attributes, and implement `request` (returns
the HTTP request for a prompt) and `decoder` (returns the `Decoder` for a response). If the service
answers with one JSON object, the decoder can be a `JSONBodyDecoder` subclass whose method `events`
yields the events for the object:

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

For a streamed answer, subclass `Decoder` instead; `http.LineSplitter` splits server-sent events
into lines, and `chat.py` is a short example. Create usage events with `base.plausible_usage`. Some
services require further methods to be overridden: `prepare` (sends requests before the prompt,
such as file uploads), `fallback` (returns a variant to try after an error), `error` (converts an
error response) and `remark` (adds a note to the footer of the answer).

To install the dialect, declare the class as an entry point of its package:

    [project.entry-points."swiftask_jupyter.protocols"]
    acme = "acme_swiftask:Acme"

Users then select the dialect with `--dialect acme`, on a connection that has a `base_url`. Retries,
budgets, the ledger (the database of all calls) and the chat panel work as for built-in dialects.
"""

from swiftask_jupyter.protocols.base import Decoder, JSONBodyDecoder, Protocol
from swiftask_jupyter.protocols.http import Request, ResponseHead

__all__ = ["Decoder", "JSONBodyDecoder", "Protocol", "Request", "ResponseHead"]
