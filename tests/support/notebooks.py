"""A notebook without a front end: cells that run, a file that is saved, requests that are seen."""

from __future__ import annotations

import json
import os
import time

from swiftask_jupyter import Swiftask
from swiftask_jupyter.answers.turn import TURN_MIME_TYPE
from swiftask_jupyter.conversation.session import Origin


class Page:
    """`page.run("c1", "a prompt")`: as if the cell of that id ran; `page.save([…])`: its file."""

    def __init__(self, box, path, **options):
        self.box, self.path = box, path
        self.options = {"base_url": box.url, "token": box.token, "agent": "echo", **options}
        self.runs = 0
        self.cell = None
        self.start()

    def start(self):
        """The kernel starts, or starts again."""
        self.client = Swiftask(
            notebook=str(self.path), dialect=self.options.pop("dialect", "openai"), **self.options
        )
        self.client.runtime.running_cell = lambda: (self.cell, self.cell and f"run {self.runs}")

    def restart(self, path=None):
        """The kernel starts again, perhaps under another name of the notebook."""
        dialect = self.client.connections.overrides.dialect
        self.close()
        self.path = path or self.path
        self.options["dialect"] = dialect
        self.start()

    def close(self):
        """The kernel ends."""
        self.client.close()

    def run(self, cell, text, agent=None, session=None, **options):
        """Run a cell (None: a front end that names none); return its answer."""
        self.runs += 1
        self.cell = cell
        try:
            return ask_from(self.client.session(session), text, agent, **options)
        finally:
            self.cell = None

    def sent(self):
        """What the newest request held: the texts of the turns before, and the prompt."""
        *before, prompt = self.box.requests[-1].json["messages"]
        users = [each["content"] for each in before if each["role"] == "user"]
        answers = [each["content"] for each in before if each["role"] == "assistant"]
        assert len(users) == len(answers)
        return [*users, prompt["content"]]

    def held(self, session=None):
        """The prompts that the conversation holds, in its order."""
        return [each.prompt for each in self.client.session(session).history()]

    def stale(self):
        """The prompts that were asked after something else than what stands before them now."""
        return [each.prompt for each in self.client.session().history() if each.stale]

    def save(self, cells, sessions=(), later=10.0):
        """Write the file with these cells (None: of no id), so many seconds after all else."""
        outputs = [
            {
                "output_type": "display_data",
                "metadata": {},
                "data": {TURN_MIME_TYPE: {"session": session}},
            }
            for session in sessions
        ]
        nodes = [
            {"cell_type": "code", "source": "", "metadata": {}, "outputs": outputs,
             "execution_count": None, **({"id": cell} if cell else {})}
            for cell in cells
        ]  # fmt: skip
        notebook = {"cells": nodes, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        self.path.write_text(json.dumps(notebook))
        os.utime(self.path, (time.time() + later,) * 2)


def ask_from(session, text, agent=None, surface="cell", slot=None, superseded=False, **options):
    """Ask as a cell or a panel does; return the answer."""
    origin = Origin(surface, slot, superseded)
    return session.stream_from(origin, text, agent, **options).answer
