"""The public catalogue of agents."""

import httpx

from swiftask_jupyter import Swiftask
from swiftask_jupyter.sandbox.agents import Agent
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.sandbox.server import Sandbox
from tests.support.sandbox_requests import COMPLETIONS, HELLO


def test_the_catalogue_lists_the_agents_without_a_token():
    with Sandbox(agents={"tool": Agent(lambda _: "x", "A tool", chat=False)}) as box:
        bots = httpx.get(box.url + "/public/bots", trust_env=False).json()

    by_slug = {each["slug"]: each for each in bots}
    assert set(by_slug) == {
        "echo", "lorem", "slow", "smollm2", "math", "mirror", "image", "image-markdown", "tool",
    }  # fmt: skip
    assert by_slug["tool"] == {"slug": "tool", "name": "A tool", "isChatLMM": False}
    assert by_slug["echo"]["isChatLMM"] is True


def test_the_catalogue_marks_agents_that_are_not_for_chat(box):
    bots = httpx.get(box.url + "/public/bots", trust_env=False).json()
    chat = {each["slug"]: each["isChatLMM"] for each in bots}

    assert {slug for slug in chat if not chat[slug]} == {"image", "image-markdown"}
    assert {"echo", "lorem", "slow", "smollm2", "math", "mirror"} <= set(chat)


def test_a_fault_for_the_catalogue_needs_its_path(box, account):
    box.fail(Fault(status=500), path="/public/bots")

    assert account.post(COMPLETIONS, json=HELLO).status_code == 200
    assert account.get("/public/bots").status_code == 500
    assert account.get("/public/bots").status_code == 200


def test_fault_agents_are_not_in_the_catalogue(box):
    with Swiftask(base_url=box.url, token=box.token) as client:
        assert len(client.agents("fault-*")) == 0
    assert not [slug for slug in box.agents if slug.startswith("fault-")]
