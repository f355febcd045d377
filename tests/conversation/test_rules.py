"""The rules of a conversation: turns of one moment, and random stories against a model."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from swiftask_jupyter import Sandbox, errors
from swiftask_jupyter.answers.turn import Turn
from swiftask_jupyter.conversation import rules as conversation
from swiftask_jupyter.conversation.rules import fold
from swiftask_jupyter.sandbox.faults import Fault
from tests.support.notebooks import Page

CELLS = ("a", "b", "c", "d")
SESSIONS = ("main", "other")


class Model:
    """What a conversation holds, by the three sentences of the README."""

    def __init__(self):
        self.filled = []  # (slot, text), oldest first; a slot is a cell's id or a number
        self.saved = None  # the cells of the file, and how many turns there were when it was saved
        self.undone = set()

    def held(self):
        newest, first = {}, []
        for n, (slot, _) in enumerate(self.filled):
            if slot not in first:
                first.append(slot)
            if n not in self.undone:
                newest[slot] = n
        cells, then = self.saved or ((), 0)
        order = [cell for cell in cells if cell in newest]
        for slot in first:
            left = slot in CELLS and self.saved and newest.get(slot, then) < then
            if slot in newest and slot not in cells and not left:
                before = [i for i, s in enumerate(order) if first.index(s) < first.index(slot)]
                order.insert(before[-1] + 1 if before else 0, slot)
        return [(slot, newest[slot]) for slot in order]

    def texts(self):
        return [self.filled[n][1] for _, n in self.held()]

    def fill(self, slot, text):
        """Fill a slot, and return what its request holds."""
        self.filled.append((slot, text))
        held = self.held()
        here = [n for _, n in held].index(len(self.filled) - 1)
        return self.texts()[: here + 1]

    def undo(self):
        held = [n for _, n in self.held()]
        self.undone |= {max(held)} if held else set()


class Played(RuleBasedStateMachine):
    """Random stories of one notebook; the request of each run is what the model says."""

    box: Sandbox

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp())
        self.page = Page(self.box, self.folder / "nb.ipynb", store=self.folder / "turns.db")
        self.models = {name: Model() for name in SESSIONS}
        self.session, self.count, self.file = "main", 0, None

    def teardown(self):
        self.page.close()
        shutil.rmtree(self.folder)

    @property
    def model(self):
        return self.models[self.session]

    def text(self):
        self.count += 1
        return f"text {self.count}"

    @rule(cell=st.sampled_from((*CELLS, None)))
    def run(self, cell):
        text = self.text()
        expected = self.model.fill(cell or self.count, text)
        self.page.run(cell, text, session=self.session)
        assert self.page.sent() == expected

    @rule(cell=st.sampled_from(CELLS))
    def fail(self, cell):
        self.box.fail(Fault(status=400))
        with pytest.raises(errors.BadRequest):
            self.page.run(cell, self.text(), session=self.session)

    @rule()
    def interrupt(self):
        with self.page.client.session(self.session).stream(self.text(), "slow") as stream:
            next(iter(stream))

    @rule(cells=st.permutations(CELLS), count=st.integers(0, 4))
    def save(self, cells, count):
        """Saving comes after all that was run, and before all that will be."""
        kept = cells[:count]
        if count and not any(slot in kept for m in self.models.values() for slot, _ in m.filled):
            return  # another notebook at the same path; what that means is tested by itself
        self.page.save(kept, later=0.0)
        for model in self.models.values():
            model.saved = kept, len(model.filled)

    @rule()
    def restart(self):
        if self.model.saved is None or all(
            not {s for s, _ in m.filled if s in CELLS} or {s for s, _ in m.filled} & {*m.saved[0]}
            for m in self.models.values()
        ):
            self.page.restart()

    @precondition(lambda self: self.model.held())
    @rule()
    def undo(self):
        self.page.client.session(self.session).undo()
        self.model.undo()

    @rule(session=st.sampled_from(SESSIONS))
    def switch(self, session):
        self.session = session

    @rule()
    def look(self):
        assert self.page.held(self.session) == self.model.texts()


def play(monkeypatch, box, stories):
    monkeypatch.setattr(conversation, "CLOCK_SKEW", 0.0)  # here one clock is the file's and ours
    Played.box = box
    Played.TestCase.settings = settings(
        max_examples=stories, stateful_step_count=25, deadline=None, database=None,
        derandomize="SOAK_SEED" not in os.environ, suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    Played.TestCase("runTest").runTest()


def test_turns_of_one_moment_come_in_the_order_of_their_ids():
    turns = [
        Turn(id=f"t{n}", at=1.0, number=n, slot=f"slot {n}", agent="echo", dialect="openai")
        for n in range(8)
    ]

    assert [each.number for each in fold(turns, [], None)] == list(range(8))


def test_random_stories_send_what_the_rules_say(monkeypatch, box):
    play(monkeypatch, box, 100)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_two_thousand_random_stories_send_what_the_rules_say(monkeypatch, box):
    monkeypatch.setenv("SOAK_SEED", "random")

    play(monkeypatch, box, 2000)
