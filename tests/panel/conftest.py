"""Fixtures of the chat panel's tests: a sandbox with a stepwise agent, a panel, a view of it."""

import threading
from types import SimpleNamespace

import pytest

from swiftask_jupyter import ChatPanel, Sandbox
from tests.support.frontends import WAIT, HeadlessView


class StepwiseAgent:
    """An agent that answers one word each time the test calls `step`: "word0 ", "word1 ", …"""

    def __init__(self):
        self._steps = threading.Semaphore(0)

    def step(self, words=1):
        """Let the agent answer this many more words."""
        self._steps.release(words)

    def __call__(self, _):
        """Answer up to a hundred words."""
        for n in range(100):
            if not self._steps.acquire(timeout=WAIT):
                return
            yield f"word{n} "


@pytest.fixture
def stepwise():
    """The sandbox's agent "stepwise"."""
    return StepwiseAgent()


@pytest.fixture
def box(stepwise):
    """A sandbox with the agent "stepwise"."""
    with Sandbox(agents={"stepwise": stepwise}) as box:
        yield box


@pytest.fixture
def panel(client):
    """A panel of the client."""
    panel = ChatPanel(client)
    yield panel
    panel.close()


@pytest.fixture
def view(panel):
    """A view of the panel that has its first snapshot."""
    view = HeadlessView(panel)
    view.request("get_snapshot")
    return view


@pytest.fixture
def ledger_server(postgres_server, monkeypatch, tmp_path):
    """Keep the ledger on a PostgreSQL server that the test can `stop` and `start`."""
    monkeypatch.setenv("SWIFTASK_OUTBOX", str(tmp_path / "out"))
    monkeypatch.setattr("swiftask_jupyter.ledger.postgres.RETRY_AFTER_SECONDS", 0.0)
    monkeypatch.setenv("SWIFTASK_STORE", postgres_server.database())
    stopped = []

    def stop():
        postgres_server.stop()
        stopped.append(True)

    def start():
        if stopped:
            stopped.clear()
            postgres_server.start()

    yield SimpleNamespace(stop=stop, start=start)
    start()
