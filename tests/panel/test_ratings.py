"""Ratings and comments in the panel: marks in the ledger, and feedback to the service."""

import contextlib
import sqlite3

import pandas as pd

from swiftask_jupyter import ChatPanel, Swiftask
from tests.support.frontends import HeadlessView
from tests.support.servers import RawServer, always, sized


def ratings(client):
    """Return the rating and the comment of each call in the ledger."""
    frame = client.usage(text=True)
    return list(zip(frame["liked"], frame["comment"], strict=True))


def test_a_rating_is_saved_and_shown_in_another_panel(view, panel, client):
    view.ask("hi")
    [exchange] = view.finished()

    view.request("rate", key=exchange["key"], liked=True, comment="just right")

    assert view.exchange(exchange["key"])["liked"] is True
    assert ratings(client) == [(True, "just right")]
    given = client.connections.overrides
    with Swiftask(
        base_url=given.base_url, token=given.token, agent="echo", session=client.session().name
    ) as other:
        again = ChatPanel(other)
        shown = [(each.liked, each.comment) for each in again.chat.exchanges]
        assert shown == [(True, "just right")]
        again.close()


def test_a_new_rating_replaces_the_old_one_and_keeps_the_comment(view, client):
    view.ask("hi")
    view.finished()
    view.ask("ho")
    first, second = view.finished(2)

    view.request("rate", key=first["key"], liked=True, comment="fine")
    view.request("rate", key=first["key"], liked=False)
    view.request("rate", key=second["key"], liked=True, comment="good")
    view.request("rate", key=second["key"], liked=None, comment="")

    assert ratings(client) == [(False, "fine"), (pd.NA, pd.NA)]


def test_purging_a_turn_removes_its_comment(view, client):
    view.ask("hi")
    [exchange] = view.finished()
    view.request("rate", key=exchange["key"], liked=True, comment="Ada is ill")

    client.session().purge(1)

    assert ratings(client) == [(True, pd.NA)]


def test_a_rating_is_sent_to_a_service_that_accepts_ratings(view, client, box):
    client.connections.overrides = type(client.connections.overrides)(
        box.url, box.client_token("echo"), "echo", "widget"
    )
    view.ask("hi")
    [exchange] = view.finished()

    response = view.request("rate", key=exchange["key"], liked=False, comment="too short")

    assert "error" not in response
    request = box.requests[-1]
    assert request.path.endswith("/widget/feedback")
    assert request.json["feedback"] == "NEGATIVE"
    assert request.json["comment"] == "too short"


def test_a_later_rating_is_sent_with_the_earlier_comment(view, panel, client, box):
    client.connections.overrides = type(client.connections.overrides)(
        box.url, box.client_token("echo"), "echo", "widget"
    )
    view.ask("hi")
    [exchange] = view.finished()
    view.request("rate", key=exchange["key"], liked=None, comment="too short")
    panel.chat.exchanges.clear()  # as in another kernel
    view.request("get_snapshot")

    assert "error" not in view.request("rate", key=exchange["key"], liked=False)

    assert box.requests[-1].json["comment"] == "too short"
    assert ratings(client) == [(False, "too short")]


def test_a_rating_of_an_answer_from_the_history_is_sent_to_the_service_too(view, client, box):
    client.connections.overrides = type(client.connections.overrides)(
        box.url, box.client_token("echo"), "echo", "widget"
    )
    view.ask("hi")
    view.finished()
    with contextlib.closing(ChatPanel(client)) as panel:
        again = HeadlessView(panel, "w")
        again.request("get_snapshot")

        assert "error" not in again.request("rate", key=again.order[0], liked=True)

    assert box.requests[-1].path.endswith("/widget/feedback")
    assert box.requests[-1].json["feedback"] == "POSITIVE"


def test_a_rating_goes_to_no_other_service_than_the_one_that_answered(view, client, box):
    overrides = type(client.connections.overrides)
    client.connections.overrides = overrides(
        box.url, box.client_token("echo"), "echo", "widget", None
    )
    view.ask("hi")
    [exchange] = view.finished()
    with RawServer(always(sized(b"{}"))) as other:
        client.connections.overrides = overrides(other.url, "another-token", "echo", "widget")

        response = view.request("rate", key=exchange["key"], liked=False, comment="too short")

        assert not other.requests
    assert response["error"] == (
        "the rating is saved, and was not sent: the sandbox gave this answer;"
        " ask that connection, then rate it again"
    )
    assert ratings(client) == [(False, "too short")]
    assert not [each for each in box.requests if "feedback" in each.path]


def test_a_rating_that_could_not_be_saved_is_not_shown(view, panel, client):
    view.ask("hi")
    [exchange] = view.finished()
    with contextlib.closing(sqlite3.connect(client.store)) as ledger, ledger:
        ledger.execute("ALTER TABLE marks RENAME TO elsewhere")

    assert "error" in view.request("rate", key=exchange["key"], liked=True, comment="lost")

    [shown] = panel.chat.exchanges
    assert (shown.liked, shown.comment) == (None, "")
