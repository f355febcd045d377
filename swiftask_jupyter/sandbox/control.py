"""The sandbox's own routes: other processes queue faults and read the request log over HTTP."""

import dataclasses
import re
from typing import Any

from .faults import fault_from_json
from .handler import DialectHandler, Route
from .requests import RecordedRequest
from .state import SandboxState


def routes(state: SandboxState) -> list[Route]:
    """Return the routes under /sandbox, a path that no documented API uses."""
    return [
        (r"/sandbox/faults", FaultsHandler, {"state": state}),
        (r"/sandbox/requests", RequestsHandler, {"state": state}),
    ]


class FaultsHandler(DialectHandler):
    """Handler of /sandbox/faults: POST queues a fault, DELETE drops all queued faults.

    The body of a POST holds the fields of a `Fault`, and optionally `agent`, `path` and `times`.
    """

    is_recorded = False

    def post(self) -> None:
        """Queue a fault; respond 400 if a field is unknown or invalid."""
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
        """Drop the queued faults that no request has received yet."""
        if self.check_token():
            self.state.faults.clear()
            self.respond_json({"ordered": False})


class RequestsHandler(DialectHandler):
    """Handler of /sandbox/requests: the recorded requests without their credentials."""

    is_recorded = False

    def get(self) -> None:
        """Send the records as JSON, newest last."""
        if self.check_token():
            self.respond_json([_without_secrets(each) for each in self.state.requests.snapshot()])


def _without_secrets(request: RecordedRequest) -> dict[str, Any]:
    record = {each.name: getattr(request, each.name) for each in dataclasses.fields(request)}
    record["body"] = request.body.decode(errors="replace")
    record["query"] = re.sub(r"(?<=clientToken=)[^&]*", "...", request.query)
    record["headers"] = {k: v for k, v in request.headers.items() if k != "authorization"}
    return record
