"""Fixtures of the batch tests: a sandbox whose agents and faults fit batches."""

import pytest

from swiftask_jupyter import Sandbox
from swiftask_jupyter.sandbox.agents import Agent, AgentRefused
from tests.support.frames import Traffic


def choosy(messages):
    """Answer in capitals, and refuse every prompt with `bad` in it."""
    text = messages[-1]["content"]
    if "bad" in text:
        raise AgentRefused("not this one")
    return text.upper()


def classifier(messages):
    """Answer with JSON: bare, in a fence, only after a repair, or never, as the prompt says."""
    text = messages[-1]["content"]
    if "That is wrong" in text and "stubborn" not in text:
        return '{"label": "second try", "score": 1}'
    if "sloppy" in text or "stubborn" in text:
        return "I would say: good, about a half"
    if "fenced" in text:
        return 'Sure!\n```json\n{"label": "fenced", "score": "0.5", "count": 2}\n```'
    return '{"label": "plain", "score": 0.25}'


@pytest.fixture
def box(request):
    """A sandbox that counts tokens; a test may set the seed of its random faults."""
    agents = {
        "choosy": Agent(choosy, nonblocking=True),
        "classifier": Agent(classifier, nonblocking=True),
    }
    with Sandbox(usage="counted", seed=getattr(request, "param", 8), agents=agents) as box:
        yield box


@pytest.fixture
def traffic(monkeypatch):
    """A record of every request that the batches of this process send."""
    return Traffic(monkeypatch)
