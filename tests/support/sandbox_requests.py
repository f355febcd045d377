"""Plain HTTP requests to a sandbox, without any code of the package's client."""

import json
import shlex
import subprocess

import httpx
import pytest

COMPLETIONS = "/v1/chat/completions"
HELLO = {"model": "echo", "messages": [{"role": "user", "content": "Hello there, friend 🌱"}]}
INCLUDE_USAGE = {"stream_options": {"include_usage": True}}


def http_client(box, token=None):
    """Return an httpx client that sends a bearer token, the account's by default."""
    headers = {"Authorization": f"Bearer {token or box.token}"}
    return httpx.Client(base_url=box.url, headers=headers, timeout=60, trust_env=False)


def run_curl(command):
    """Run a curl command of the documents; return the status and the body as text."""
    words = [*shlex.split(command), "-sS", "--noproxy", "*", "-w", "\n%{http_code}"]
    try:
        done = subprocess.run(words, capture_output=True, check=True, timeout=30)
    except FileNotFoundError:
        pytest.skip("curl is not installed here")
    body, _, status = done.stdout.decode().rpartition("\n")
    return int(status), body


def completion_request(agent="echo", text="hello", **more):
    """Return the body of a request to `COMPLETIONS`."""
    return {"model": agent, "messages": [{"role": "user", "content": text}], **more}


def stream_completion(client, body):
    """Send a request with `stream`, and return its events."""
    response = client.post(COMPLETIONS, json=body | {"stream": True})
    return stream_events(response.raise_for_status().text)


def stream_events(text):
    """Return the events of a stream: parsed JSON, and "[DONE]" as it is."""
    lines = [line[6:] for line in text.split("\n") if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def stream_text(events):
    """Return the text that the events of a stream add up to."""
    choices = [each["choices"][0] for each in events if each != "[DONE]" and each["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def ask_native(client, slug="echo", **more):
    """Send a prompt to /api/ai, and return the response."""
    return client.post(f"/api/ai/{slug}", json={"input": "hello", **more})


def ask_widget(box, client, slug="echo", **more):
    """Send a visitor's prompt with the client token of an agent, and return the response."""
    token = {"clientToken": box.client_token(slug)}
    return client.post("/api/widget/ai", params=token, json={"input": "hello", **more})


def signed_urls(client, fault=None, box=None, **more):
    """Return the URLs for an upload; with a fault, those that it changes."""
    if fault is not None:
        box.fail(fault, path="/widget/get-signed-url")
    response = client.get("/widget/get-signed-url", params={"fileName": "a b.txt", **more})
    return response.raise_for_status().json()


def ask_chat(client, slug="echo", **more):
    """Send a message to /v1/api/chat, and return the response."""
    return client.post(f"/v1/api/chat/{slug}", json={"message": "hello", **more})


def chat_data(response):
    """Return the data of a successful response of /v1/api/chat."""
    assert response.status_code == 200, response.text
    assert response.json()["error"] is None
    return response.json()["data"]


def chat_error(response):
    """Return the name and message of an error of /v1/api/chat, after a check of its shape."""
    assert response.headers["content-type"].startswith("application/json")
    assert response.json().keys() == {"data", "error"}
    assert response.json()["data"] is None
    error = response.json()["error"]
    assert error.keys() == {"name", "message", "details"}
    assert error["details"] == {}
    return error["name"], error["message"]
