"""Conversations in the ledger: their turns, marks, replays and earlier batch rows."""

import time

from swiftask_jupyter.answers.turn import Delta, Turn, Usage
from swiftask_jupyter.ledger.history import BatchRowLookup, Mark
from swiftask_jupyter.ledger.notebook_record import RecordedTurn
from tests.support.ledgers import a_reply


def answered(ledger, text="hi", *, status="ok", digest=None, **fields):
    """Write a turn that has ended to a ledger, and return its reply."""
    reply = a_reply(**fields)
    ledger.turns.begin(reply)
    reply.apply([Delta(text)])
    reply.status, reply.request_digest = status, digest
    ledger.turns.complete(reply)
    return reply


def test_a_conversation_is_its_answered_turns_and_their_texts_are_read_apart(ledger):
    first = answered(ledger, "one")
    failed = answered(ledger, "", status="error")
    answered(ledger, "", status="refused")
    answered(ledger, "elsewhere", session="other")

    turns, sent = ledger.history.turns(ledger.history.segments("main"))

    assert [turn.id for turn in turns] == [first.id]
    assert {turn.id for turn in sent} == {first.id, failed.id}
    assert [turn.answer for turn in turns] == [""]
    assert [turn.answer for turn in ledger.history.with_texts(turns)] == ["one"]
    assert ledger.history.with_texts([]) == []


def test_a_copied_session_has_the_turns_of_the_original_up_to_the_copy(ledger):
    original = ledger.sessions.create(None, "main")
    before = answered(ledger, session=original, conversation="theirs")
    copy = ledger.sessions.create(None, "copy")
    with ledger.store.write() as rows:  # as earlier versions wrote it
        rows.execute(
            "INSERT INTO sessions (at, session, name, parent) VALUES (?, ?, 'copy', ?)",
            (time.time(), copy, original),
        )
    answered(ledger, session=original)
    own = answered(ledger, session=copy)

    turns, _ = ledger.history.turns(ledger.history.segments(copy))

    assert [each.session for each in ledger.history.segments(copy)] == [copy, original]
    assert [turn.id for turn in turns] == [before.id, own.id]
    assert turns[0].conversation is None


def test_a_session_has_the_turns_that_it_took_over_and_leaves_their_conversation(ledger):
    taken, left = (answered(ledger, session="old", conversation="theirs") for _ in range(2))
    marks = [Mark(9e9, "copied", value="old"), Mark(9e9, "copied", taken.id)]
    copy = ledger.sessions.create(None, "copy", marks=marks)
    own = answered(ledger, session=copy, conversation="mine")

    turns, _ = ledger.history.turns(ledger.history.segments(copy))

    assert [(each.id, each.conversation) for each in turns] == [(taken.id, None), (own.id, "mine")]
    assert left.id not in {each.id for each in turns}


def test_a_record_proves_a_turn_by_its_id_and_digest(ledger):
    first, second = (answered(ledger, text, digest=f"request {text}") for text in ("one", "two"))
    said, request = first.content_digest, first.request_digest

    def proven(*digests):
        return list(ledger.history.matching({RecordedTurn(first.id, *digests)}))

    assert proven(said, "") == proven("", request) == proven(said, "wrong") == [first.id]
    for wrong in [("wrong", request), (second.content_digest, ""), ("", "wrong")]:
        assert proven(*wrong) == []
    ledger.erasure.of_turns([first.id])
    assert proven(said, "") == proven("", request) == []


def test_marks_are_read_in_the_order_of_their_time(ledger):
    ledger.history.mark("picked", "main", "t1", "slot", earliest=9e9)
    ledger.history.mark("undone", "main", "t2")
    ledger.history.mark("reset", "other")

    marks = ledger.history.marks(ledger.history.segments("main"))

    assert [(each.kind, each.turn, each.value) for each in marks] == [
        ("undone", "t2", None), ("picked", "t1", "slot"),
    ]  # fmt: skip
    assert marks[1].at == 9e9


def test_purging_a_turn_erases_the_texts_of_its_repeats_too(ledger):
    first, repeat = (answered(ledger, "secret", digest="d") for _ in range(2))
    kept = answered(ledger, "harmless", digest="e")
    ledger.history.mark("comment", "main", first.id, "a secret thought")

    assert ledger.erasure.of_turns([first.id]) == 2

    turns, _ = ledger.history.turns(ledger.history.segments("main"))
    texts = {turn.id: turn.answer for turn in ledger.history.with_texts(turns)}
    assert texts == {first.id: "", repeat.id: "", kept.id: "harmless"}
    assert ledger.history.replay("d") is None
    assert ledger.history.replay("e").answer == "harmless"
    (comment,) = ledger.history.marks(ledger.history.segments("main"))
    assert comment.value is None


def test_an_earlier_batch_row_is_its_newest_answer_or_else_its_newest_failure(ledger):
    answered(ledger, "old", digest="a", surface="batch")
    answered(ledger, "new", digest="a", surface="batch")
    answered(ledger, "", digest="a", surface="batch", status="error")
    answered(ledger, "", digest="b", surface="batch", status="error")
    answered(ledger, "of a cell", digest="c", surface="cell")

    known = BatchRowLookup(ledger.store).known(["a", "b", "c", "d"])

    assert {key: (turn.status, turn.answer) for key, turn in known.items()} == {
        "a": ("ok", "new"), "b": ("error", ""),
    }  # fmt: skip


def test_the_usual_price_of_an_agent_is_the_median_of_its_calls(ledger):
    for spent in (1.0, 2.0, 90.0, None):
        reply = a_reply()
        ledger.turns.begin(reply)
        reply.status, reply.usage = "ok", Usage(credits=spent, source="api")
        ledger.turns.complete(reply)

    assert BatchRowLookup(ledger.store).usual_credits("echo") == (2.0, 3)
    assert BatchRowLookup(ledger.store).usual_credits("another") is None


def test_an_imported_turn_is_history_and_no_call(ledger):
    turn = Turn(id="t1", at=5.0, session="main", agent="echo", surface="import", status="ok",
                prompt="hello", answer="hi")  # fmt: skip

    ledger.history.add_imported([turn])

    turns, _ = ledger.history.turns(ledger.history.segments("main"))
    (found,) = ledger.history.with_texts(turns)
    assert (found.id, found.prompt, found.answer) == ("t1", "hello", "hi")
    assert ledger.turns.costs("echo") == []
