"""Serve the sandbox's control routes, which the real services do not have.

Other processes use these routes to queue faults (deliberately wrong responses) and to read the log
of received requests.
"""

import dataclasses
import re
from typing import Any

from .faults import fault_from_json
from .handler import DialectHandler, Route
from .requests import RecordedRequest
from .state import SandboxState


def routes(state: SandboxState) -> list[Route]:
    """Return the tornado routes under /sandbox, a path that none of the imitated APIs uses."""
    return [
        (r"/sandbox/faults", FaultsHandler, {"state": state}),
        (r"/sandbox/requests", RequestsHandler, {"state": state}),
    ]


class FaultsHandler(DialectHandler):
    """Tornado request handler for /sandbox/faults: POST queues a fault, DELETE removes all faults.

    A fault is a deliberately wrong response. The JSON body of a POST contains fields of `Fault`
    and, optionally, the arguments `agent`, `path` and `times` of `Sandbox.fail`.
    """

    is_recorded = False

    def post(self) -> None:
        """Queue the fault that the JSON body describes; respond 400 if the body is invalid."""
        if not self.check_token() or (body := self.read_json()) is None:
            return
        agent, path = body.pop("agent", None), body.pop("path", None)
        times = body.pop("times", 1)
        try:
            self.state.faults.add(fault_from_json(body), agent, path, times)
        except (TypeError, ValueError) as error:
            self.respond_error(400, str(error))
        else:
            self.set_status(201)
            self.respond_json({"ordered": True})

    def delete(self) -> None:
        """Remove all queued faults."""
        if self.check_token():
            self.state.faults.clear()
            self.respond_json({"ordered": False})


class RequestsHandler(DialectHandler):
    """Tornado request handler for GET /sandbox/requests, which sends the log of received requests.

    The `Authorization` headers and the client tokens in queries are removed.
    """

    is_recorded = False

    def get(self) -> None:
        """Send the recorded requests as a JSON array, newest last."""
        if self.check_token():
            self.respond_json([_without_secrets(each) for each in self.state.requests.snapshot()])


def _without_secrets(request: RecordedRequest) -> dict[str, Any]:
    record = {each.name: getattr(request, each.name) for each in dataclasses.fields(request)}
    record["body"] = request.body.decode(errors="replace")
    record["query"] = re.sub(r"(?<=clientToken=)[^&]*", "...", request.query)
    record["headers"] = {k: v for k, v in request.headers.items() if k != "authorization"}
    return record
