"""Redirects and cookies: a token and a file stay with the host that they are for."""

import pytest

from swiftask_jupyter import Sandbox, Swiftask, errors
from swiftask_jupyter.sandbox.faults import Fault
from tests.support.cells import posts


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("dialect", ["openai", "native", "chat", "agencii", "widget"])
def test_a_redirect_is_an_error_and_the_token_does_not_follow_it(box, dialect, status):
    tokens = {"agencii": box.agencii_token, "widget": box.client_token("echo")}
    with (
        Sandbox() as elsewhere,
        Swiftask(
            base_url=box.url,
            token=tokens.get(dialect, box.token),
            agent=box.integration_id("echo") if dialect == "agencii" else "echo",
            dialect=dialect,
        ) as client,
    ):
        box.fail(Fault(redirect=f"{elsewhere.url}/v1/chat/completions", status=status))
        with pytest.raises(errors.BadRequest, match="does not follow a redirect"):
            client.ask("hello")

        assert elsewhere.requests == []
    assert len(posts(box)) == 1


def test_a_redirected_upload_sends_the_file_nowhere(box):
    with (
        Sandbox() as elsewhere,
        Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="native") as client,
    ):
        box.fail(Fault(redirect=elsewhere.url), path="/widget/get-signed-url")
        with pytest.raises(errors.BadRequest, match="redirect"):
            client.ask("look", files=[("a.txt", b"secret")])

        assert elsewhere.requests == []
    assert [seen.method for seen in box.requests] == ["GET"]


def test_a_cookie_of_one_response_is_not_sent_with_the_next_request(box, client):
    """It would link requests of different tokens, and cookies of 127.0.0.1 ignore the port."""
    box.fail(Fault(status=422, headers={"Set-Cookie": "who=first; Path=/"}))
    with pytest.raises(errors.BadRequest):
        client.ask("one")
    client.ask("two")

    assert "cookie" not in posts(box)[-1].headers
