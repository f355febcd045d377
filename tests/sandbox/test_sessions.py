"""The stored sessions."""

from swiftask_jupyter.sandbox.sessions import SessionStore, StoredSession


def test_a_turn_adds_a_question_and_a_reply_with_ids():
    store = SessionStore()
    session = store.get_or_create("a")
    store.add_turn(session, {"role": "user", "content": "hello"}, "hi")

    assert session.history == [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "hi"},
    ]
    assert [each["id"] for each in session.messages] == [1001, 1002]
    assert session.message_count == 2


def test_a_number_and_its_text_are_the_same_session():
    store = SessionStore()

    assert store.get_or_create(7) is store.get_or_create("7") is store.find("7")


def test_finding_an_unknown_session_creates_none():
    store = SessionStore()

    assert store.find("a") is None
    assert store.delete("a") is False


def test_a_deleted_session_is_new_when_it_is_asked_for_again():
    store = SessionStore()
    first = store.get_or_create("a")

    assert store.delete("a") is True
    assert store.get_or_create("a") is not first


def test_only_the_newest_sessions_are_kept(monkeypatch):
    monkeypatch.setattr("swiftask_jupyter.sandbox.sessions.MAX_SESSIONS", 2)
    store = SessionStore()
    for name in "abc":
        store.get_or_create(name)

    assert [name for name in "abc" if store.find(name)] == ["b", "c"]


def test_only_the_newest_messages_are_kept_but_all_are_counted(monkeypatch):
    monkeypatch.setattr("swiftask_jupyter.sandbox.sessions.MAX_MESSAGES", 2)
    session = StoredSession()
    for number in range(3):
        session.add({"role": "user", "content": str(number)}, number)

    assert [each["content"] for each in session.history] == ["1", "2"]
    assert session.message_count == 3
