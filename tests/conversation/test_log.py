"""What changes a conversation besides asking: undo, forget, reset, purge, pick, import."""

import time

import pytest

from swiftask_jupyter import errors


def test_undo_takes_back_the_newest_and_restores_what_it_had_replaced(page):
    page.run("c1", "one")
    page.run("c2", "two")
    page.run("c1", "ONE")

    assert page.client.session().undo().prompt == "ONE"
    assert page.held() == ["one", "two"]
    assert page.client.session().undo().prompt == "two"
    assert page.client.session().undo().prompt == "one"
    with pytest.raises(errors.ConfigurationError, match="nothing to undo"):
        page.client.session().undo()


def test_forget_takes_a_turn_and_what_it_had_replaced_out(page):
    page.run("c1", "one")
    page.run("c1", "ONE")
    page.run("c2", "two")

    page.client.session().forget(2)

    assert page.held() == ["two"]
    page.run("c1", "again")
    assert page.held() == ["again", "two"]
    with pytest.raises(errors.ConfigurationError, match="no turn 9"):
        page.client.session().forget(9)


def test_forgetting_one_of_a_cells_two_turns_leaves_the_other(page):
    page.cell = "c1"
    page.client.session().ask("a")
    page.client.session().ask("b")

    page.client.session().forget(2)

    assert page.held() == ["a"]


def test_a_clock_that_is_set_back_turns_no_order_round(page, monkeypatch, tmp_path):
    page.run("c1", "one")
    page.run("c2", "two")
    file = page.client.session().export(tmp_path / "talk.json")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 60)

    page.run("c1", "ONE")
    page.run("c3", "three")
    assert page.sent() == ["ONE", "two", "three"]
    page.run("c2", "TWO", superseded=True)
    page.client.session().pick("echo")
    assert page.held() == ["ONE", "TWO", "three"]
    page.client.session().reset()
    assert page.held() == []
    page.client.session().import_file(file)
    page.run("c4", "four")
    assert page.sent() == ["one", "two", "four"]


def test_reset_begins_anew_and_the_ledger_keeps_all(page):
    page.run("c1", "one")
    assert page.client.session().reset() == 1
    page.run("c2", "two")

    assert page.sent() == ["two"]
    assert len(page.client.usage()) == 2


def test_purge_erases_the_texts_from_the_file_itself(page):
    page.run("c1", "my pass phrase is correct horse")
    page.run("c2", "two")
    page.run("c1", "it was battery staple")

    assert page.client.session().purge(1) == 2

    page.close()
    kept = b"".join(path.read_bytes() for path in page.client.store.parent.glob("turns.db*"))
    assert b"correct horse" not in kept
    assert b"battery staple" not in kept
    assert b"two" in kept
    assert page.held() == ["two"]


def test_an_import_keeps_its_order_where_the_clock_is_coarse(page, tmp_path, monkeypatch):
    texts = [f"text {number}" for number in range(8)]
    for number, text in enumerate(texts):
        page.run(f"c{number}", text)
    file = page.client.session().export(tmp_path / "talk.json")

    now = time.time()
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: now)
        page.client.session("second").import_file(file)

    assert page.held("second") == texts


def test_one_of_several_answers_is_picked_into_the_conversation(page):
    page.run("c1", "one")
    for agent in ("echo", "mirror"):
        page.run("c2", "two", agent, superseded=True)
        assert page.sent() == ["one", "two"]
    assert page.held() == ["one"]
    page.run("c3", "three")
    assert page.sent() == ["one", "three"]

    page.client.session().pick("echo")
    page.save(["c1", "c2", "c3"])

    assert page.held() == ["one", "two", "three"]
    assert page.stale() == ["three"]
    with pytest.raises(errors.ConfigurationError, match="no answer of slow"):
        page.client.session().pick("slow")


def test_one_of_two_answers_of_an_agent_is_picked_by_its_number(page):
    for text in ("first", "second"):
        page.run("c1", text, superseded=True)

    picked = page.client.session().pick(1)
    page.save(["c1"])

    assert picked.prompt == "first"
    assert page.held() == ["first"]
    with pytest.raises(errors.ConfigurationError, match="no turn 1 to pick"):
        page.client.session().pick(1)
