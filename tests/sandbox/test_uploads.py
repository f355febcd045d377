"""The store of uploaded files and of files that agents made."""

import json

import pytest

from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.sandbox.uploads import UploadRefused, UploadStore
from tests.support.sandbox_requests import ask_widget, signed_urls

HOST = "127.0.0.1:80"
TEXT = {"Content-Type": "text/plain"}


def upload(store, content, name="a.txt", fault=None):
    """Upload a file, and return its path."""
    urls = store.create_urls(name, fault or Fault())
    path, _, query = urls["signedUrl"].partition("?")
    store.receive(path, query, content, "text/plain")
    return urls["fileUrl"]


def test_an_uploaded_file_is_found_with_its_content_and_type():
    store = UploadStore()
    file = store.find(upload(store, b"hello", "a b.txt"))

    assert (file.content, file.type, file.name) == (b"hello", "text/plain", "a b.txt")


def test_a_reserved_place_is_not_found_before_its_upload():
    store = UploadStore()

    assert store.find(store.create_urls("a.txt", Fault())["fileUrl"]) is None


@pytest.mark.parametrize(
    ("query", "seconds", "reason"),
    [
        ("X-Amz-Signature=wrong", None, "does not match"),
        ("", None, "does not match"),
        (None, 0, "has expired"),
    ],
)
def test_a_refused_upload_says_why_and_stores_nothing(query, seconds, reason):
    store = UploadStore()
    urls = store.create_urls("a.txt", Fault(signed_url_seconds=seconds))
    path, _, valid = urls["signedUrl"].partition("?")
    with pytest.raises(UploadRefused, match=reason):
        store.receive(path, valid if query is None else query, b"x", None)

    assert store.find(path) is None


def test_an_upload_to_an_unknown_path_is_refused():
    with pytest.raises(UploadRefused, match="does not match"):
        UploadStore().receive("/files/x/y", "", b"x", None)


def test_a_signed_url_is_refused_the_second_time():
    store = UploadStore()
    path, _, query = store.create_urls("a", Fault())["signedUrl"].partition("?")
    store.receive(path, query, b"1", None)

    with pytest.raises(UploadRefused, match="used already"):
        store.receive(path, query, b"2", None)
    assert store.find(path).content == b"1"


def test_a_place_without_bytes_survives_the_limit_of_bytes(monkeypatch):
    monkeypatch.setattr("swiftask_jupyter.sandbox.uploads.MAX_BYTES", 10)
    store = UploadStore()
    path, _, query = store.create_urls("a", Fault())["signedUrl"].partition("?")
    first, second = (store.add(b"8 bytes.", "text/plain", "b") for _ in range(2))
    store.receive(path, query, b"x", None)

    assert store.find(first) is None
    assert store.find(second) is not None
    assert store.find(path) is not None


def test_the_number_of_files_is_limited_too(monkeypatch):
    monkeypatch.setattr("swiftask_jupyter.sandbox.uploads.MAX_FILES", 2)
    store = UploadStore()
    paths = [store.add(b"x", "text/plain", "a") for _ in range(3)]

    assert [store.find(path) is not None for path in paths] == [False, True, True]


def test_a_described_file_says_whether_its_bytes_are_here():
    store = UploadStore()
    path = upload(store, b"hello")
    here, lost, foreign, broken = (
        store.describe({"url": url}, HOST)
        for url in (
            f"http://{HOST}{path}",
            f"http://{HOST}/files/x/y",
            "https://example.com/a",
            "http://[",
        )
    )

    assert (here["name"], here["type"], here["size"]) == ("a.txt", "text/plain", 5)
    assert [each["uploaded"] for each in (here, lost, foreign, broken)] == [True, False, None, None]


def test_the_request_has_the_last_word_on_the_name_of_a_file():
    store = UploadStore()
    url = f"http://{HOST}{upload(store, b'hello')}"

    assert store.describe({"url": url, "name": "mine"}, HOST)["name"] == "mine"


def test_an_uploaded_file_reaches_the_agent_and_the_request_log(box, visitor):
    urls = signed_urls(visitor)
    visitor.put(urls["signedUrl"], content=b"12345", headers=TEXT)
    lost = signed_urls(visitor)["fileUrl"]
    files = [
        {"url": urls["fileUrl"]},
        {"url": lost, "name": "lost"},
        {"url": "https://other.com/a"},
    ]
    response = ask_widget(box, visitor, "mirror", files=files)
    received = json.loads(response.json()["text"])[0]["files"]

    assert received[0] == {
        "name": "a b.txt",
        "type": "text/plain",
        "size": 5,
        "url": urls["fileUrl"],
        "uploaded": True,
    }
    assert [each["uploaded"] for each in received] == [True, False, None]
    assert box.requests[-1].files == received


def test_a_native_request_can_name_an_upload_in_its_history(box, visitor):
    urls = signed_urls(visitor)
    visitor.put(urls["signedUrl"], content=b"12345", headers=TEXT)
    file = {"url": urls["signedUrl"], "name": "mine", "size": 5}
    history = [{"role": "user", "content": "look", "files": [file]}]
    visitor.post(
        "/api/ai/echo",
        json={"input": "and?", "messageHistory": history},
        headers={"Authorization": f"Bearer {box.token}"},
    )
    (recorded,) = box.requests[-1].files

    assert (recorded["name"], recorded["type"], recorded["uploaded"]) == (
        "mine",
        "text/plain",
        True,
    )
