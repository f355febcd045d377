"""Uploads: files that a view sends to the kernel in chunks."""

import pytest

from swiftask_jupyter import errors
from swiftask_jupyter.notebook.panel.uploads import MAX_FILES, Uploads, clean_name


def test_a_file_comes_in_chunks_and_is_sent_with_the_question(view, client, box):
    client.connections.overrides = type(client.connections.overrides)(
        box.url, box.token, "echo", "native"
    )
    file = {"upload": "f1", "name": "../a\u202e b.txt", "size": 5}
    assert "error" not in view.request("upload", [b"abc"], offset=0, **file)
    refused = view.ask("early", uploads=["f1"])
    assert refused["error"].startswith("a\u27e6U+202E\u27e7 b.txt is not")
    assert "error" not in view.request("upload", [b"de"], offset=3, **file)

    assert "error" not in view.ask("look", uploads=["f1"])

    [exchange] = view.finished()
    assert exchange["files"] == ["a\u27e6U+202E\u27e7 b.txt"]
    put = next(seen for seen in box.requests if seen.method == "PUT")
    assert put.body == b"abcde"


@pytest.mark.parametrize(
    ("offset", "size", "chunk"), [(1, 5, b"ab"), (0, 1, b"ab"), (0, 2 * 10**8, b"ab")]
)
def test_a_chunk_out_of_order_or_too_large_is_refused(view, offset, size, chunk):
    response = view.request("upload", [chunk], upload="f", name="a.txt", size=size, offset=offset)

    assert response["error"].startswith("a.txt ")


def test_files_of_a_refused_question_stay_for_the_next(view, client, box):
    client.connections.overrides = type(client.connections.overrides)(
        box.url, box.token, "echo", "native"
    )
    view.request("upload", [b"abc"], upload="f1", name="a.txt", size=3, offset=0)
    assert view.ask("  ", uploads=["f1"])["error"].startswith("the prompt is empty")

    assert "error" not in view.ask("look", uploads=["f1"])

    assert view.finished()[0]["files"] == ["a.txt"]
    assert "is not here" in view.ask("again", uploads=["f1"])["error"]


def test_the_limit_on_files_does_not_stop_an_upload_that_has_begun():
    uploads = Uploads()
    for n in range(MAX_FILES - 1):
        uploads.receive(f"f{n}", "a", 1, 0, b"x")
    uploads.receive("last", "b", 2, 0, b"x")

    uploads.receive("last", "b", 2, 1, b"y")

    assert uploads.get(["last"]) == [("b", b"xy")]
    with pytest.raises(errors.PromptError, match=f"and {MAX_FILES} files"):
        uploads.receive("one more", "c", 1, 0, b"x")


def test_uploads_of_a_page_that_was_reloaded_make_room_for_new_ones():
    uploads = Uploads()
    for n in range(MAX_FILES):
        uploads.receive(f"old.{n}", "a", 1, 0, b"x")

    for n in range(MAX_FILES):
        uploads.receive(f"new.{n}", "b", 1, 0, b"y")

    assert len(uploads.get([f"new.{n}" for n in range(MAX_FILES)])) == MAX_FILES
    with pytest.raises(errors.PromptError, match="is not here"):
        uploads.get([f"old.{MAX_FILES - 1}"])
    with pytest.raises(errors.PromptError, match=f"and {MAX_FILES} files"):
        uploads.receive("new.one more", "b", 1, 0, b"y")


@pytest.mark.parametrize(
    ("name", "length"),
    [("n" * 300, 200), ("n" * 300 + ".csv", 200), ("a." + "e" * 300, 200), ("n" * 200, 200)],
)
def test_a_long_name_is_cut_to_the_limit_and_no_shorter(name, length):
    assert len(clean_name(name)) == length
    assert clean_name("n" * 300 + ".csv").endswith("n.csv")
