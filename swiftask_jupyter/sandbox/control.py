"""Serve the sandbox's control routes. The real services have no control routes.

Other processes use the control routes to queue faults and to read the log of received requests. A
fault is a deliberately wrong response.
"""

import dataclasses
import re
from typing import Any

from .faults import fault_from_json
from .handler import DialectHandler, Route
from .request_log import RecordedRequest
from .state import SandboxState


def routes(state: SandboxState) -> list[Route]:
    """Return the tornado routes under /sandbox. No imitated API uses this path."""
    return [
        (r"/sandbox/faults", FaultsHandler, {"state": state}),
        (r"/sandbox/requests", RequestsHandler, {"state": state}),
    ]


class FaultsHandler(DialectHandler):
    """Tornado request handler for /sandbox/faults: POST queues a fault, DELETE removes all faults.

    A fault is a deliberately wrong response. The JSON body of a POST contains fields of `Fault`.
    The body can also contain the arguments `agent`, `path` and `times` of `Sandbox.fail`.
    """

    is_recorded = False

    def post(self) -> None:
        """Queue the fault that the JSON body describes.

        If the body is invalid, send a 400 response.
        """
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
    """Tornado request handler that sends the log of received requests: GET /sandbox/requests.

    The log is sent without `Authorization` headers and without the client tokens in query strings.
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
