"""A notebook without a front end: its cells run, its file is saved, its requests are recorded."""

from __future__ import annotations

import json
import os
import time

from swiftask_jupyter import Swiftask
from swiftask_jupyter.answers.turn import TURN_MIME_TYPE
from swiftask_jupyter.conversation.session import TurnPlacement
from swiftask_jupyter.ledger.notebook_record import record_of


class Page:
    """A notebook: `page.run("c1", "a prompt")` runs a cell, `page.save(["c1"])` saves the file.

    Args:
        box: the sandbox that is asked.
        path: the notebook's file.
        options: arguments of the client.
    """

    def __init__(self, box, path, **options):
        self.box, self.path = box, path
        self.options = {"base_url": box.url, "token": box.token, "agent": "echo", **options}
        self.runs = 0
        self.cell = None
        self.start()

    def start(self):
        """Start the kernel."""
        self.client = Swiftask(
            notebook=str(self.path), dialect=self.options.pop("dialect", "openai"), **self.options
        )
        self.client.runtime.running_cell = lambda: (self.cell, self.cell and f"run {self.runs}")

    def restart(self, path=None):
        """Restart the kernel, perhaps after the notebook was renamed to `path`."""
        dialect = self.client.connections.overrides.dialect
        self.close()
        self.path = path or self.path
        self.options["dialect"] = dialect
        self.start()

    def close(self):
        """Stop the kernel."""
        self.client.close()

    def run(self, cell, text, agent=None, session=None, **options):
        """Run a cell (`None`: the front end does not name it); return its answer."""
        self.runs += 1
        self.cell = cell
        try:
            return ask_from(self.client.session(session), text, agent, **options)
        finally:
            self.cell = None

    def sent(self):
        """Return the prompts in the newest request: those of earlier turns, and its own."""
        *before, prompt = self.box.requests[-1].json["messages"]
        users = [each["content"] for each in before if each["role"] == "user"]
        answers = [each["content"] for each in before if each["role"] == "assistant"]
        assert len(users) == len(answers)
        return [*users, prompt["content"]]

    def held(self, session=None):
        """Return the prompts of the turns that the conversation holds, in its order."""
        return [each.prompt for each in self.client.session(session).history()]

    def stale(self):
        """Return the prompts of the stale turns: the turns before them have changed since."""
        return [each.prompt for each in self.client.session().history() if each.stale]

    def save(self, cells, sessions=(), later=10.0, records=()):
        """Save the notebook's file.

        Args:
            cells: the ids of its cells; `None` for a cell without an id.
            sessions: the names of the conversations whose records the outputs of each cell hold.
            records: further records that the outputs of each cell hold.
            later: how many seconds after now its modification time is.
        """
        held = [turn for name in sessions for turn in self.client.session(name).history()]
        outputs = [
            {"output_type": "display_data", "metadata": {}, "data": {TURN_MIME_TYPE: record}}
            for record in [*map(record_of, held), *records]
        ]
        nodes = [
            {"cell_type": "code", "source": "", "metadata": {}, "outputs": outputs,
             "execution_count": None, **({"id": cell} if cell else {})}
            for cell in cells
        ]  # fmt: skip
        notebook = {"cells": nodes, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        self.path.write_text(json.dumps(notebook))
        os.utime(self.path, (time.time() + later,) * 2)


def ask_from(session, text, agent=None, *, surface="cell", slot=None, superseded=False, **options):
    """Ask as a cell or a panel does; return the answer."""
    origin = TurnPlacement(surface, slot, superseded)
    return session.stream_from(origin, text, agent, **options).answer
