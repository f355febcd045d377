"""The notebook's file: its cells are read, and it is followed to its new name."""

import pytest

from swiftask_jupyter.conversation import notebook_file as ipynb
from tests.support.notebooks import Page


def test_a_notebook_saved_without_cell_ids_takes_nothing_out_and_orders_nothing(page):
    """Of a file older than nbformat 4.5 the front end makes ids up, and does not save them."""
    page.run("c2", "one")
    page.run("c1", "two")
    page.save([None, None])
    page.run("c3", "three")
    assert page.sent() == ["one", "two", "three"]

    page.restart()
    page.run("c4", "four")

    assert page.sent() == ["one", "two", "three", "four"]
    assert page.stale() == []


def test_a_notebook_is_followed_when_it_is_renamed_while_its_kernel_runs(page, tmp_path):
    page.save(["c1", "c2"])
    page.run("c1", "one")
    page.run("c2", "two")
    old, session = page.path, page.client.session().id
    page.path = page.path.rename(tmp_path / "renamed.ipynb")
    page.save(["c0", "c1"], later=20.0)
    other = Page(page.box, old)
    other.save(["new"], later=30.0)

    page.run("c0", "zero")

    assert page.sent() == ["zero"]
    assert page.held() == ["zero", "one"]  # it was saved without the other cell
    assert page.client.notebook == str(page.path)
    assert set(page.client.usage()["notebook"]) == {str(old), str(page.path)}
    page.restart()
    assert page.client.session().id == session
    assert page.held() == ["zero", "one"]
    other.run("new", "apart")
    assert other.sent() == ["apart"]
    assert other.client.session().id != session
    other.close()


def test_all_conversations_of_a_notebook_follow_its_new_name(page, tmp_path):
    page.run("c1", "one")
    page.run("c2", "beside", session="side")
    page.restart()
    page.save(["c1", "c2"])
    page.run("c1", "one")
    page.path = page.path.rename(tmp_path / "renamed.ipynb")

    assert page.client.sessions() == ["side", "main"]
    assert page.held("side") == ["beside"]


def test_a_new_notebook_is_followed_when_its_first_save_names_it(page, tmp_path):
    page.save([], later=-60)  # as a server makes one; the front end adds the first cell
    page.run("c1", "one")
    page.save(["c1"])
    old, page.path = page.path, page.path.rename(tmp_path / "named.ipynb")
    other = Page(page.box, old)
    other.save([])

    page.run("c2", "two")

    assert page.sent() == ["one", "two"]
    assert page.client.notebook == str(page.path)
    other.close()


def test_the_records_in_a_file_name_turns_with_a_digest_and_whatever_else_is_skipped(page):
    turn, digest = "t" * 32, "d" * 16
    records = [
        {"turn": turn, "content_digest": digest}, {"turn": turn, "request_sha256": "r"},
        {"turn": turn}, {"turn": 7, "content_digest": digest}, {"content_digest": digest},
        {"turn": turn, "content_digest": 7, "request_sha256": None}, "text", None,
    ]  # fmt: skip
    page.save(["c1", "c2"], records=records)

    found = {(each.id, each.content_digest, each.request_digest) for each in
             ipynb.recorded_turns(page.path)}  # fmt: skip

    assert found == {(turn, digest, ""), (turn, "", "r")}
    assert ipynb.recorded_turns(page.path.parent / "missing.ipynb") == set()


def test_a_file_keeps_its_identity_until_another_takes_its_place(tmp_path):
    file, moved = tmp_path / "a", tmp_path / "b"
    file.write_text("first")
    identity = ipynb.file_identity(file)
    file.write_text("written to, as Jupyter saves")
    file.rename(moved)
    assert ipynb.file_identity(moved) == identity
    assert ipynb.file_identity(file) is None

    inode = moved.stat().st_ino
    for _ in range(50):  # until the file system gives the number away again; some never do
        moved.unlink()
        moved.write_text("another")
        if moved.stat().st_ino == inode:
            break
    assert ipynb.file_identity(moved) != identity


def test_a_file_that_is_written_anew_is_the_same_notebook(page, tmp_path):
    page.save(["c1", "c2"])
    page.run("c2", "two")
    anew = Page(page.box, tmp_path / "elsewhere" / "nb.ipynb")
    anew.path.parent.mkdir()
    anew.save(["c2", "c1"], later=20.0)
    anew.path.replace(page.path)

    page.run("c1", "one")

    assert page.sent() == ["two", "one"]
    assert page.client.notebook == str(page.path)
    anew.close()


def test_files_that_are_written_anew_before_the_first_question_are_not_mixed_up(page, tmp_path):
    other = Page(page.box, tmp_path / "other.ipynb")
    page.save(["c1"])
    watched = ipynb.NotebookFile(str(page.path))
    page.path.rename(other.path)  # the first one's number, as after a checkout
    page.save(["c1"])

    assert watched.path == str(page.path)
    other.close()


def test_the_number_of_a_deleted_file_leads_to_no_other_notebook(page, tmp_path, monkeypatch):
    page.save(["c1"])
    page.run("c1", "one")
    monkeypatch.setattr(ipynb, "_file_id", lambda _: (0, 0))  # as the file system may do
    page.run("c1", "one")
    page.path.unlink()
    other = Page(page.box, tmp_path / "other.ipynb")
    other.save(["unheard-of"], later=20.0)

    page.run("c2", "two")

    assert page.sent() == ["one", "two"]
    assert page.client.notebook == str(page.path)
    other.close()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"cells": 1}', '{"cells": [{"id": 7}]}'])
def test_a_file_that_is_no_notebook_orders_nothing(page, content):
    page.run("c1", "one")
    page.path.write_text(content)
    page.restart()
    page.run("c2", "two")

    assert page.sent() == ["one", "two"]
