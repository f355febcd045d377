"""For tests in another process: ask for faults and look at requests over the wire."""

import dataclasses
import re
from typing import Any

from .faults import fault_from
from .handler import DialectHandler, Route
from .requests import RecordedRequest
from .state import SandboxState


def routes(room: SandboxState) -> list[Route]:
    """Where the sandbox itself is spoken to; nothing of the service lies under this path."""
    return [
        (r"/sandbox/faults", FaultsHandler, {"room": room}),
        (r"/sandbox/requests", RequestsHandler, {"room": room}),
    ]


class FaultsHandler(DialectHandler):
    """POST a fault's fields (and agent, path, times); DELETE forgets them all."""

    recorded = False

    def post(self) -> None:
        """Takes an order."""
        if not self.authorised() or (wanted := self.read_json()) is None:
            return
        agent, path = wanted.pop("agent", None), wanted.pop("path", None)
        times = wanted.pop("times", 1)
        try:
            self.room.faults.add(fault_from(wanted), agent, path, times)
        except (TypeError, ValueError) as error:
            self.refuse(400, str(error))
        else:
            self.set_status(201)
            self.give({"ordered": True})

    def delete(self) -> None:
        """Forgets what was ordered."""
        if self.authorised():
            self.room.faults.clear()
            self.give({"ordered": False})


class RequestsHandler(DialectHandler):
    """GET what was asked so far, without anybody's credentials."""

    recorded = False

    def get(self) -> None:
        """Lists the records, newest last."""
        if self.authorised():
            self.give([_record(each) for each in self.room.requests.snapshot()])


def _record(seen: RecordedRequest) -> dict[str, Any]:
    record = {each.name: getattr(seen, each.name) for each in dataclasses.fields(seen)}
    record["body"] = seen.body.decode(errors="replace")
    record["query"] = re.sub(r"(?<=clientToken=)[^&]*", "...", seen.query)
    record["headers"] = {k: v for k, v in seen.headers.items() if k != "authorization"}
    return record
