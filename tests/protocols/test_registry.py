"""A dialect from outside: one file and one entry point, as an installed package has them."""

import json
import sys
import textwrap

import pytest

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.turns.routing import dialect_choices

# What another package would hold: it speaks to /api/ai in a way of its own.
OTHER = """
    import json

    from swiftask_jupyter.protocols import JSONBodyDecoder, Protocol, Request
    from swiftask_jupyter.answers.turn import Delta, Raw


    class Other(Protocol):
        name = "other"
        base_path = "/api"
        streams = False
        takes_history = False
        owns_conversation = False

        def request(self, prompt):
            return Request(
                "POST",
                f"{self.base_url}/ai/{prompt.agent}",
                {**self.authorization(), "Content-Type": "application/json"},
                json.dumps({"input": prompt.text.upper()}).encode(),
            )

        def decoder(self, head):
            return Shout(self, head)


    class Shout(JSONBodyDecoder):
        def events(self, body):
            yield Delta(body["text"])
            yield Raw({"botSlug": body["botSlug"]})
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Puts a package with this code and this entry point where pip would put it."""
    made = []

    def install(code, entry="other = a_package_of_theirs:Other"):
        (tmp_path / "a_package_of_theirs.py").write_text(textwrap.dedent(code))
        record = tmp_path / "a_package_of_theirs-1.0.dist-info"
        record.mkdir()
        (record / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: a-package-of-theirs\nVersion: 1.0\n"
        )
        (record / "entry_points.txt").write_text(f"[swiftask_jupyter.protocols]\n{entry}\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        made.append(tmp_path)

    yield install
    sys.modules.pop("a_package_of_theirs", None)


def test_a_dialect_from_outside_is_spoken_like_ours(installed, box):
    installed(OTHER)

    with Swiftask(base_url=box.url, token=box.token, dialect="other", agent="echo") as client:
        answer = client.ask("hello")
        usage = client.usage()

    assert answer.text == "HELLO"
    assert answer.raw == {"botSlug": "echo"}
    assert list(usage["dialect"]) == ["other"]
    assert list(usage["status"]) == ["ok"]


def test_it_gets_the_same_retries_and_errors(installed, box):
    installed(OTHER)
    box.fail(Fault(status=429, headers={"Retry-After": "0"}), agent="echo")

    with Swiftask(base_url=box.url, token=box.token, dialect="other") as client:
        assert client.ask("hello", "echo").reply.attempts == 2
        with pytest.raises(errors.AgentNotFound):
            client.ask("hello", "nobody")


def test_it_is_completed_and_named_where_one_is_misspelt(installed, client):
    installed(OTHER)

    assert dialect_choices()[-1] == "other"
    with pytest.raises(errors.ConfigurationError, match="agencii, other"):
        client.ask("hello", dialect="othr")


def test_a_platform_of_its_own_needs_an_address_of_its_own(installed):
    installed(OTHER)

    with (
        Swiftask(token="swiftask-key", dialect="other", agent="a") as client,
        pytest.raises(errors.ConfigurationError, match="no documented address"),
    ):
        client.ask("hello")


def test_ours_cannot_be_replaced(installed, client, box):
    installed(OTHER, "openai = a_package_of_theirs:Other")

    assert client.ask("hello").text == "hello"
    assert dialect_choices().count("openai") == 1


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("raise RuntimeError('not today')", "RuntimeError: not today"),
        ("Other = 3", "it is not a subclass of swiftask_jupyter.protocols.Protocol"),
        ("", "AttributeError"),
    ],
)
def test_one_that_is_broken_is_one_line_that_names_its_package(installed, client, code, why):
    installed(code)

    with pytest.raises(errors.ConfigurationError, match="a-package-of-theirs") as caught:
        client.ask("hello", dialect="other")
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_its_options_are_its_own(installed, box):
    installed(OTHER)

    with (
        Swiftask(base_url=box.url, token=box.token, dialect="other", agent="echo") as client,
        pytest.raises(errors.PromptError, match="takes no files"),
    ):
        client.ask("hello", files=[("a.txt", b"1")])
    assert json.dumps([seen.path for seen in box.requests]) == "[]"
