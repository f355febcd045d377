"""Erasing texts: the counts stay, and the bytes are gone from every file of the ledger."""

import random
import threading

import pytest

from swiftask_jupyter.answers.turn import Delta
from swiftask_jupyter.errors import StoreUnreachable
from swiftask_jupyter.ledger import Ledger
from swiftask_jupyter.ledger.opening import open_store
from tests.support.ledgers import a_reply

CANARY = "canary"
SIZES = (1, 30, 700, 1_500)  # of a text, in canaries: in a page, and over several


def asked(ledger, session="main", *, size=1, at=None, **fields):
    """Write a turn whose every text holds the canary."""
    reply = a_reply(session=session, prompt=f"{CANARY} " * size)
    reply.at = at or reply.at
    ledger.turns.begin(reply)
    reply.status, reply.error, reply.raw = "ok", CANARY, {"id": CANARY}
    for name, value in fields.items():
        setattr(reply, name, value)
    reply.apply([Delta(f"{CANARY} " * size)])
    ledger.turns.complete(reply)
    ledger.history.mark("comment", session, reply.id, CANARY)
    return reply


def files_with_canary(folder):
    """Return the names of the files below a folder whose bytes hold the canary."""
    return sorted(
        path.name for path in folder.rglob("*")
        if path.is_file() and CANARY.encode() in path.read_bytes()
    )  # fmt: skip


def test_erasing_keeps_the_counts_and_leaves_no_byte_of_the_texts(tmp_path):
    ledger = Ledger(open_store(tmp_path / "turns.db", {}))
    draw = random.Random(7)
    for number in range(300):
        asked(ledger, f"session-{number % 3}", size=draw.choice(SIZES))
    assert files_with_canary(tmp_path) != []
    assert ledger.erasure.kept()[:2] == (300, 300)

    assert ledger.erasure.erase(session="session-1") == 100
    assert ledger.erasure.erase() == 200

    assert files_with_canary(tmp_path) == []
    assert ledger.erasure.kept() == (300, 0, None)
    assert ledger.erasure.erase() == 0
    ledger.close()


def test_a_session_and_a_period_are_erased_alone(ledger):
    asked(ledger, "a", at=100.0)
    asked(ledger, "b", at=200.0)
    asked(ledger, "b", at=300.0)

    assert (ledger.erasure.count(session="b"), ledger.erasure.count(before=200.0)) == (2, 1)
    assert ledger.erasure.erase(before=200.0) == 1
    assert ledger.erasure.kept() == (3, 2, 200.0)
    assert ledger.erasure.erase(session="b") == 2
    assert ledger.erasure.has_session("b")
    assert not ledger.erasure.has_session("c")


def test_a_repeat_in_another_session_is_erased_too(ledger):
    asked(ledger, "a", request_digest="same")
    asked(ledger, "b", request_digest="same", cached=True)
    asked(ledger, "b", request_digest="other")

    assert ledger.erasure.erase(session="a") == 2
    assert ledger.history.replay("same") is None
    assert ledger.history.replay("other") is not None


def test_what_a_session_took_over_is_erased_with_it(ledger):
    taken = asked(ledger, "a", request_digest="1")
    asked(ledger, "a", request_digest="2")
    asked(ledger, "copy", request_digest="3")
    ledger.history.mark("copied", "copy", taken.id)

    assert ledger.erasure.erase(session="copy") == 2
    assert ledger.history.replay("2") is not None


def test_an_answer_that_ends_after_its_turn_was_erased_is_not_written(ledger):
    reply = a_reply()
    ledger.turns.begin(reply)
    assert ledger.erasure.erase() == 1
    reply.status = "ok"
    reply.apply([Delta(CANARY)])
    ledger.turns.complete(reply)

    assert not reply.has_texts
    assert ledger.erasure.kept() == (1, 0, None)
    [turn], _ = ledger.history.turns(ledger.history.segments("main"))
    assert (turn.status, turn.has_texts, turn.request_digest) == ("ok", False, "")


def test_where_no_texts_are_kept_rows_have_counts_alone(tmp_path):
    ledger = Ledger(open_store(tmp_path / "turns.db", {}), lambda: False)
    asked(ledger, request_digest="d")
    ledger.turns.refuse(a_reply(status="refused", error=CANARY, prompt=CANARY))

    assert files_with_canary(tmp_path) == []
    assert ledger.erasure.kept() == (2, 0, None)
    assert ledger.history.replay("d") is None
    ledger.close()


def test_what_waited_in_the_outbox_is_erased_with_the_rest(postgres_server, tmp_path):
    url = postgres_server.database()
    ledger = Ledger(open_store(url, {"SWIFTASK_OUTBOX": str(tmp_path)}))
    asked(ledger)
    store = ledger.store
    connect, store._connect = store._connect, _away
    store._close_writer()
    store.close()
    asked(ledger)
    assert files_with_canary(tmp_path) != []
    with pytest.raises(StoreUnreachable):
        ledger.erasure.erase()
    store._connect = connect

    assert ledger.erasure.erase() == 2

    assert files_with_canary(tmp_path) == []
    assert ledger.erasure.kept() == (2, 0, None)
    ledger.close()


def _away():
    raise StoreUnreachable("the server is away")


def test_erasing_waits_for_a_writer_in_another_thread(tmp_path):
    ledger = Ledger(open_store(tmp_path / "turns.db", {}))
    other = Ledger(open_store(tmp_path / "turns.db", {}))
    writer = threading.Thread(target=lambda: [asked(other) for _ in range(50)])
    writer.start()
    ledger.erasure.erase()
    writer.join()
    ledger.erasure.erase()

    assert files_with_canary(tmp_path) == []
    other.close()
    ledger.close()
