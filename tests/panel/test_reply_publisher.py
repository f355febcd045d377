"""ReplyPublisher: the thread that sends a growing answer to the views."""

import json
import threading

import pytest

from swiftask_jupyter.answers.turn import Delta, Reply
from swiftask_jupyter.notebook.panel.channel import Channel
from swiftask_jupyter.notebook.panel.exchange_view import ExchangeView
from swiftask_jupyter.notebook.panel.reply_publisher import ReplyPublisher
from tests.support.frontends import until
from tests.support.notebooks import ask_from


def test_a_stop_before_the_thread_has_started_sends_nothing(panel, view, box, monkeypatch):
    start, started = ReplyPublisher.start, []
    monkeypatch.setattr(ReplyPublisher, "start", lambda *args: started.append(args))
    panel.ask("hi", "slow")

    panel.stop()
    start(*started[0])

    [exchange] = view.finished()
    assert exchange["status"] == "interrupted"
    assert not box.requests


def test_an_interrupt_while_a_question_is_announced_leaves_the_panel_free(panel, view, box):
    send = panel._channel._send

    def interrupt(*_):
        panel._channel._send = send
        view.revision += 1  # else the view would find the gap and request a snapshot
        raise KeyboardInterrupt

    panel._channel._send = interrupt
    with pytest.raises(KeyboardInterrupt):
        panel.ask("hi")

    assert "error" not in view.ask("again")
    interrupted, exchange = view.finished(2)
    assert (interrupted["status"], exchange["text"]) == ("interrupted", "again")
    assert len(box.requests) == 1


def test_a_stream_that_is_closed_before_it_is_read_sends_nothing(client, box):
    stream = client.stream("hi")
    stream.close()

    assert list(stream) == []
    assert not box.requests


def test_many_questions_of_a_cell_leave_only_one_thread(view, client, monkeypatch):
    """After its answer a thread sends heartbeats until another answer ends, which covers both."""
    monkeypatch.setattr(
        "swiftask_jupyter.notebook.panel.reply_publisher.FINAL_HEARTBEATS", [0.1] * 10_000
    )

    for n in range(20):
        ask_from(client.session(), f"question {n}")

    view.finished(20)
    until(lambda: [each.name for each in threading.enumerate()].count("swiftask-panel") == 1)


def test_heartbeats_are_sent_while_an_answer_has_no_new_text():
    """A view that hears nothing at all can then conclude that the kernel is gone."""
    sent, now = [], [100.0]
    channel = Channel(lambda _, buffers: sent.append(json.loads(buffers[0])["kind"]))
    exchange = ExchangeView("hi", Reply(agent="echo"))
    publisher = ReplyPublisher(exchange, channel, None, lambda _: None, clock=lambda: now[0])

    for now[0] in (103.0, 107.0, 108.0, 114.0):
        publisher.publish_changes()
    exchange.reply.apply([Delta("hello ")])
    for now[0] in (114.5, 116.0, 121.0):
        publisher.publish_changes()

    assert sent == ["heartbeat", "heartbeat", "patch", "heartbeat"]
