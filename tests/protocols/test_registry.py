"""Dialects of other packages, installed through an entry point."""

import json
import sys
import textwrap

import pytest

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.turns.routing import dialect_choices

# The module of another package: a dialect of the route /api/ai.
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
            return OtherDecoder(self, head)


    class OtherDecoder(JSONBodyDecoder):
        def events(self, body):
            yield Delta(body["text"])
            yield Raw({"botSlug": body["botSlug"]})
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return a function that installs a package with this code and this entry point."""

    def install(code, entry="other = other_package:Other"):
        (tmp_path / "other_package.py").write_text(textwrap.dedent(code))
        record = tmp_path / "other_package-1.0.dist-info"
        record.mkdir()
        (record / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: other-package\nVersion: 1.0\n"
        )
        (record / "entry_points.txt").write_text(f"[swiftask_jupyter.protocols]\n{entry}\n")
        monkeypatch.syspath_prepend(str(tmp_path))

    yield install
    sys.modules.pop("other_package", None)


def test_a_dialect_of_a_package_works_like_a_built_in_one(installed, box):
    installed(OTHER)

    with Swiftask(base_url=box.url, token=box.token, dialect="other", agent="echo") as client:
        answer = client.ask("hello")
        usage = client.usage()

    assert answer.text == "HELLO"
    assert answer.raw == {"botSlug": "echo"}
    assert list(usage["dialect"]) == ["other"]
    assert list(usage["status"]) == ["ok"]


def test_a_dialect_of_a_package_gets_the_same_retries_and_errors(installed, box):
    installed(OTHER)
    box.fail(Fault(status=429, headers={"Retry-After": "0"}), agent="echo")

    with Swiftask(base_url=box.url, token=box.token, dialect="other") as client:
        assert client.ask("hello", "echo").reply.attempts == 2
        with pytest.raises(errors.AgentNotFound):
            client.ask("hello", "nobody")


def test_a_dialect_of_a_package_is_listed_with_the_others(installed, client):
    installed(OTHER)

    assert dialect_choices()[-1] == "other"
    with pytest.raises(errors.ConfigurationError, match="agencii, other"):
        client.ask("hello", dialect="othr")


def test_a_dialect_of_a_package_needs_a_base_url(installed):
    installed(OTHER)

    with (
        Swiftask(token="swiftask-key", dialect="other", agent="a") as client,
        pytest.raises(errors.ConfigurationError, match="no documented address"),
    ):
        client.ask("hello")


def test_a_built_in_dialect_cannot_be_replaced(installed, client, box):
    installed(OTHER, "openai = other_package:Other")

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
def test_a_broken_dialect_is_one_line_of_error_that_names_its_package(installed, client, code, why):
    installed(code)

    with pytest.raises(errors.ConfigurationError, match="other-package") as caught:
        client.ask("hello", dialect="other")
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_dialect_of_a_package_takes_no_files_unless_it_says_so(installed, box):
    installed(OTHER)

    with (
        Swiftask(base_url=box.url, token=box.token, dialect="other", agent="echo") as client,
        pytest.raises(errors.PromptError, match="takes no files"),
    ):
        client.ask("hello", files=[("a.txt", b"1")])
    assert json.dumps([seen.path for seen in box.requests]) == "[]"
