"""Files: uploaded for a prompt, and downloaded from an answer."""

import pandas as pd
import pytest

from swiftask_jupyter import errors
from swiftask_jupyter.protocols.native import parse_upload_urls
from swiftask_jupyter.sandbox.faults import Fault
from tests.support.cells import posts


def test_a_file_is_put_to_a_signed_url_without_a_token_and_named_in_the_prompt(
    swiftask, box, tmp_path
):
    path = tmp_path / "notes.txt"
    path.write_text("hello there")

    answer = swiftask.ask("what is in it?", "mirror", files=[path])

    sign, put, ask = [seen for seen in box.requests if seen.path != "/public/bots"]
    assert (sign.path, put.method) == ("/widget/get-signed-url", "PUT")
    assert "authorization" not in put.headers
    assert put.body == b"hello there"
    assert put.headers["content-type"] == "text/plain"
    (file,) = ask.json["files"]
    assert (file["name"], file["type"], file["size"]) == ("notes.txt", "text/plain", 11)
    assert ask.json["documentAnalysisMode"] == "ADVANCED"
    assert ask.files[0]["uploaded"] is True
    assert "notes.txt" in answer.text


def test_a_signed_url_under_the_key_url_is_understood(swiftask, box):
    box.fail(Fault(signed_url_key="url"), path="/widget/get-signed-url")

    swiftask.ask("look", "mirror", files=[("a.bin", b"123")])

    assert posts(box)[-1].files[0]["uploaded"] is True


@pytest.mark.parametrize(
    ("body", "urls"),
    [
        (
            b'{"signedUrl": "https://s/x?sig=1", "fileUrl": "https://f/x"}',
            ("https://s/x?sig=1", "https://f/x"),
        ),
        (b'{"url": "https://s/x", "fileUrl": "https://f/x?sig=1"}', ("https://s/x", "https://s/x")),
        (b'{"signedUrl": "https://s/x?sig=1"}', ("https://s/x?sig=1", "https://s/x")),
    ],
)
def test_the_urls_to_upload_to_and_to_name_the_file_by_are_found(body, urls):
    assert parse_upload_urls(body) == urls


def test_a_large_file_arrives_complete(swiftask, box):
    stream = swiftask.stream("look", "mirror", files=[("big.bin", b"x" * 5_000_000)])
    list(stream)

    put = next(seen for seen in box.requests if seen.method == "PUT")
    assert len(put.body) == 5_000_000


def test_urls_and_dataframes_can_be_attached(swiftask, box):
    frame = pd.DataFrame({"a": [1, 2]})

    swiftask.ask("look", "mirror", files=["https://example.org/a.pdf", frame])

    url, table = posts(box)[-1].json["files"]
    assert url["url"] == "https://example.org/a.pdf"
    assert table["type"] == "text/csv"


@pytest.mark.parametrize("dialect", ["openai", "widget"])
def test_a_file_for_a_dialect_without_files_is_refused_before_anything_is_sent(
    swiftask, box, dialect
):
    with pytest.raises(errors.PromptError, match="takes no files"):
        swiftask.ask("look", "echo", dialect=dialect, files=[("a.txt", b"1")])

    assert box.requests == []
