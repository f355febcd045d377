"""The document of the agent `lorem`."""

from swiftask_jupyter.sandbox.lorem import LOREM
from tests.support.sandbox_requests import COMPLETIONS, completion_request


def test_lorem_uses_every_markdown_feature(account):
    text = account.post(COMPLETIONS, json=completion_request("lorem")).json()["choices"][0][
        "message"
    ]["content"]

    everything = (
        "# ",
        "- [x]",
        "|:--",
        "```python",
        "~~",
        "> ",
        "$$",
        "$\\",
        "![",
        "---",
        "🌱",
        "ש",
    )
    assert [each for each in everything if each not in text] == []


def test_lorem_returns_the_whole_document(account):
    reply = account.post(COMPLETIONS, json=completion_request("lorem")).json()["choices"][0]

    assert reply["message"]["content"] == LOREM
