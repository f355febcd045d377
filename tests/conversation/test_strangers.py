"""A notebook from a stranger continues no conversation of the user's, whatever it claims.

Each attack asks the service that the victim asked, so that nothing but the file stands between the
stranger and what was said.
"""

import json
import shutil
from pathlib import Path

import pytest

from swiftask_jupyter import ChatPanel, errors
from swiftask_jupyter.answers.turn import TURN_MIME_TYPE
from swiftask_jupyter.ledger.notebook_record import record_of
from tests.support.notebooks import Page, ask_from

CANARY = "canary"
CELLS = ["c1", "c2", "c3"]


@pytest.fixture
def victim(box, tmp_path):
    """A closed notebook with turns of all surfaces; a copy with one of them was shared."""
    (tmp_path / "mine").mkdir()
    page = Page(box, tmp_path / "mine" / "talk.ipynb")
    page.save([], later=-60)  # as a server makes one
    page.run("c1", "what was shared")
    page.shared = [record_of(turn) for turn in page.client.session().history()]
    page.run("c2", f"{CANARY} of a cell")
    ask_from(page.client.session(), f"{CANARY} of the panel", surface="panel")
    page.client.session().ask(f"{CANARY} of Python")
    page.secret = [record_of(turn) for turn in page.client.session().history()][1:]
    page.save(CELLS, ["main"])
    page.close()
    return page


def claims(victim, kind):
    """Return the records that a stranger puts into a notebook."""
    session = victim.shared[0]["session"]
    if kind == "the id of the session":
        return [{"session": session}]
    if kind == "the ids of the turns":
        return [{"session": session, "turn": each["turn"]} for each in victim.secret]
    if kind == "wrong digests":
        wrong = [("0" * 16, "0" * 64), (None, "0" * 64), ("", None)]
        return [
            {**each, "content_digest": digest, "request_sha256": request}
            for each in victim.secret
            for digest, request in [*wrong, ("0" * 16, each["request_sha256"])]
        ]
    return [*victim.shared, {"session": session}] if kind == "what was shared" else []


def arrive(victim, tmp_path, way):
    """Return where the stranger's file comes to lie, with what is there before taken away."""
    if way == "in another folder":
        (tmp_path / "theirs").mkdir()
        return tmp_path / "theirs" / "tutorial.ipynb"
    if way == "in another folder, the victim renamed meanwhile":
        victim.path = victim.path.rename(tmp_path / "mine" / "renamed.ipynb")
        return arrive(victim, tmp_path, "in another folder")
    if way == "at the path of the victim, renamed meanwhile":
        path = victim.path
        victim.path = path.rename(tmp_path / "mine" / "renamed.ipynb")
        return path
    if way == "at the path of the victim, deleted before":
        victim.path.unlink()
    return victim.path


WAYS = [
    "in another folder", "in another folder, the victim renamed meanwhile",
    "at the path of the victim, renamed meanwhile", "at the path of the victim, deleted before",
    "over the victim",
]  # fmt: skip
CLAIMS = ["the id of the session", "the ids of the turns", "wrong digests", "what was shared", ""]


FORMS = {
    f"{whose} cells, {age}": (cells, later)
    for whose, cells in (("my", CELLS), ("foreign", ["f1", "f2"]))
    for age, later in (("old", -1000.0), ("fresh", 1000.0))
}


@pytest.mark.usefixtures("shell")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("way", WAYS)
def test_a_strangers_notebook_is_sent_none_of_my_conversation(victim, tmp_path, way, claim, form):
    (cells, later), box = FORMS[form], victim.box
    before = len(box.requests)
    stranger = Page(box, tmp_path / "downloaded.ipynb")
    stranger.save(cells, records=claims(victim, claim), later=later)
    stranger.path = shutil.move(stranger.path, arrive(victim, tmp_path, way))
    stranger.restart()

    stranger.run(cells[0], "harmless")
    stranger.restart(stranger.path)
    answer = stranger.run(cells[-1], "harmless again")
    ask_from(stranger.client.session(), "in the panel", surface="panel")
    panel = ChatPanel(stranger.client)
    shown = str([each.as_message() for each in panel.chat.exchanges])
    panel.close()

    sent = b"".join(each.body for each in box.requests[before:]).decode()
    assert "harmless again" in sent
    assert CANARY not in sent + shown + str(stranger.held())
    if cells is CELLS:  # else the saved file says that its cell was deleted
        assert ("what was shared" in sent) == (claim == "what was shared")
    assert answer.reply.session != victim.shared[0]["session"]
    stranger.close()


def without_identities(client):
    """Take from the ledger what earlier versions did not write."""
    with client.runtime.ledger.store.write() as rows:
        rows.execute("DELETE FROM marks WHERE kind = 'file'")


@pytest.mark.parametrize("way", ["at the path of the victim, deleted before", "over the victim"])
@pytest.mark.parametrize("claim", ["wrong digests", ""])
def test_nor_is_one_at_the_path_of_a_conversation_that_an_earlier_version_wrote(
    victim, box, tmp_path, way, claim
):
    cells = CELLS if claim else ["f1", "f2"]
    stranger = Page(box, tmp_path / "downloaded.ipynb")
    stranger.save(cells, records=claims(victim, claim), later=1000.0)
    without_identities(stranger.client)
    stranger.path = shutil.move(stranger.path, arrive(victim, tmp_path, way))
    stranger.restart()

    stranger.run(cells[0], "harmless")

    assert stranger.sent() == ["harmless"]
    stranger.close()


def test_the_victim_goes_on_whole_after_every_rename(victim, tmp_path):
    victim.restart(victim.path.rename(tmp_path / "mine" / "renamed.ipynb"))
    assert len(victim.held()) == 4

    (tmp_path / "mine" / "sub").mkdir()
    victim.restart(victim.path.rename(tmp_path / "mine" / "sub" / "talk.ipynb"))
    assert victim.run("c3", "more").reply.remarks == []
    assert len(victim.sent()) == 5
    victim.close()


def test_a_new_notebook_under_the_old_name_leaves_the_conversation_to_the_renamed_one(
    victim, box, tmp_path
):
    old = victim.path
    renamed = old.rename(tmp_path / "mine" / "renamed.ipynb")
    other = Page(box, old)
    other.save(["n1"])
    other.restart()
    assert other.held() == []

    victim.restart(renamed)
    assert len(victim.held()) == 4
    other.close()
    victim.close()


def copied(victim, box, path):
    shutil.copy(victim.path, path)
    return Page(box, path)


def strip(path, texts):
    """Take the records of all turns but those of these ids out of a file."""
    notebook = json.loads(path.read_text())
    for cell in notebook["cells"]:
        cell["outputs"] = [
            each for each in cell["outputs"] if each["data"][TURN_MIME_TYPE]["turn"] in texts
        ]
    path.write_text(json.dumps(notebook))


def test_a_copy_says_what_it_left_and_adopting_takes_it_and_leaves_it_there(victim, box, tmp_path):
    copy = copied(victim, box, tmp_path / "copy.ipynb")
    strip(copy.path, [victim.shared[0]["turn"]])

    first, second = copy.run("c9", "in the copy"), copy.run("c8", "again")

    [remark] = first.reply.remarks
    assert remark == (
        "3 earlier turns of talk.ipynb left there, because this file does not hold them;"
        " %swiftask session adopt goes on with them"
    )
    assert second.reply.remarks == []
    former = copy.client.session().id
    assert copy.client.session().adopt().notebook == str(victim.path)
    assert len(copy.held()) == 4
    copy.restart()
    assert len(copy.held()) == 4
    victim.restart()
    assert len(victim.held()) == 4
    victim.client.session().undo()
    assert len(copy.held()) == 4
    copy.client.session().adopt(former)
    assert copy.held() == ["what was shared", "in the copy", "again"]
    copy.close()
    victim.close()


def test_a_file_that_was_put_in_place_of_mine_says_so_and_adopting_takes_all(victim, tmp_path):
    content = victim.path.read_text()
    victim.path.unlink()
    victim.path.write_text(content)  # as a checkout or a sync does
    strip(victim.path, [victim.shared[0]["turn"]])
    victim.restart()

    answer = victim.run("c3", "three")
    assert "3 earlier turns of the file that was here before" in answer.reply.remarks[0]
    assert victim.sent() == ["what was shared", "three"]
    victim.client.session().adopt()
    victim.restart()

    assert len(victim.held()) == 4
    assert victim.run("c3", "four").reply.remarks == []
    victim.close()


def test_a_copy_has_the_turns_as_they_stand_in_the_original(box, tmp_path):
    page = Page(box, tmp_path / "nb.ipynb")
    page.save([], later=-60)
    page.run("c1", "kept")
    page.run("c2", "compared", superseded=True)
    page.client.session().pick("echo")
    page.run("c3", "undone later")
    page.save(CELLS, ["main"], later=-60)
    copy_path = tmp_path / "copy.ipynb"
    shutil.copy(page.path, copy_path)
    page.client.session().undo()
    page.run("c1", "kept, re-run in the original")

    copy = Page(box, copy_path)

    assert copy.held() == ["kept", "compared"]
    copy.close()
    page.close()


def test_records_of_an_earlier_version_prove_a_turn_by_the_digest_of_its_request(
    victim, box, tmp_path
):
    notebook = victim.path.read_text().replace('"content_digest"', '"unknown"')
    (tmp_path / "copy.ipynb").write_text(notebook)

    copy = Page(box, tmp_path / "copy.ipynb")

    assert len(copy.held()) == 4
    copy.close()


def test_where_no_time_of_birth_is_known_a_reused_number_gives_nothing_away(
    victim, box, tmp_path, monkeypatch
):
    for name in ("notebook_file", "resolver", "log"):
        monkeypatch.setattr(
            f"swiftask_jupyter.conversation.{name}.file_identity",
            lambda path: "7" if Path(path).exists() else None,  # the number of every file
        )
    strip(victim.path, [victim.shared[0]["turn"]])
    victim.restart()
    assert victim.held() == ["what was shared"]
    victim.client.session().adopt()  # now the ledger knows the file by its number alone
    victim.restart()
    assert len(victim.held()) == 4
    victim.close()
    for path, cell in [(victim.path, "f1"), (tmp_path / "other.ipynb", "f2")]:
        victim.path.unlink()
        stranger = Page(box, path)
        stranger.save([cell], later=1000.0)
        stranger.restart()
        stranger.run(cell, "harmless")

        assert stranger.sent() == ["harmless"]
        stranger.close()


def test_an_unknown_conversation_and_none_to_adopt_are_one_line_each(box, tmp_path):
    page = Page(box, tmp_path / "nb.ipynb")
    page.run("c1", "one")
    with pytest.raises(errors.ConfigurationError, match="no earlier one is known"):
        page.client.session().adopt()
    with pytest.raises(errors.ConfigurationError, match="no other conversation 'nope' is known"):
        page.client.session().adopt("nope")
    assert page.held() == ["one"]
    page.close()


@pytest.mark.parametrize("later", [-1000.0, 1000.0])
@pytest.mark.parametrize("claim", [*CLAIMS[:3], ""])
def test_a_notebook_written_over_the_victim_in_place_continues_nothing(
    victim, monkeypatch, claim, later
):
    monkeypatch.setattr("swiftask_jupyter.conversation.resolver.CLOCK_SKEW", 0.0)
    stranger = Page(victim.box, victim.path.with_name("theirs.ipynb"))
    stranger.save(["f1", "f2"], records=claims(victim, claim), later=later)
    stranger.close()
    shutil.copy2(stranger.path, victim.path)  # the file keeps its number and its time of birth
    victim.restart()

    answer = victim.run("f1", "harmless")
    ask_from(victim.client.session(), "in the panel", surface="panel")

    assert CANARY not in str(victim.sent())
    assert any("session adopt" in remark for remark in answer.reply.remarks)
    victim.close()
