"""Dialects: subclasses of `Protocol`, each for the HTTP API of one service.

A dialect converts a prompt into an HTTP request. It converts the bytes of the response into events:
the text, the token counts and the ids of the answer. A dialect does no I/O, so it can be tested
without a server; the package `transport` sends the requests and reads the responses. Other packages
can provide dialects. This module is the public interface for the authors of dialects.

To write a dialect, subclass `Protocol`, set the class attributes and implement two methods.
`request` returns the HTTP request for a prompt. `decoder` returns the `Decoder` for a response. If
the service answers with one JSON object, subclass `JSONBodyDecoder`, whose method `events` yields
the events for the object:

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

For a streamed answer, subclass `Decoder` instead. `http.LineSplitter` splits server-sent events
into lines; `chat.py` is a short example. `base.plausible_usage` creates the event with the token
counts. Override these methods of `Protocol` if the service needs them:

- `prepare` yields requests to send before the prompt, such as file uploads.
- `fallback` returns a variant of the dialect to try after an error.
- `error` converts an error response to an exception.
- `remark` returns a note for the footer of the answer.

To install the dialect, declare the class as an entry point of the package that contains it:

    [project.entry-points."swiftask_jupyter.protocols"]
    acme = "acme_swiftask:Acme"

Users then select the dialect with `--dialect acme`, on a connection that has a `base_url`. Retries,
budgets, the ledger (the database of all calls) and the chat panel work as for built-in dialects.
"""

from swiftask_jupyter.protocols.base import Decoder, JSONBodyDecoder, Protocol
from swiftask_jupyter.protocols.http import Request, ResponseHead

__all__ = ["Decoder", "JSONBodyDecoder", "Protocol", "Request", "ResponseHead"]
