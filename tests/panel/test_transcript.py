"""Transcript: the readable copy of a conversation that is saved with the notebook."""

import contextlib
from types import SimpleNamespace

from swiftask_jupyter import ChatPanel
from swiftask_jupyter.answers.turn import TURN_MIME_TYPE
from swiftask_jupyter.ledger.notebook_record import record_of
from swiftask_jupyter.notebook.panel.transcript import MAX_TRANSCRIPT, transcript_mimebundle
from tests.support.notebooks import ask_from


def test_a_transcript_has_the_whole_conversation_and_nothing_in_it_runs(view, panel):
    view.ask("<script>alert(1)</script> **hi** ![x](https://evil.example/x.png)")
    view.finished()

    bundle = transcript_mimebundle(panel.chat.exchanges)

    html = bundle["text/html"]
    assert html.startswith("<details><summary>Transcript of the chat · 1 turn<")
    assert "&lt;script&gt;" in html
    assert "<strong>hi</strong>" in html
    assert not {"<script", "<img"} & set(html.lower().split())
    assert "You: <script>alert(1)</script> **hi**" in bundle["text/plain"]
    assert [each["turn"] for each in bundle[TURN_MIME_TYPE]] == [
        each.reply.id for each in panel.chat.exchanges
    ]


def test_a_long_transcript_keeps_the_newest_exchanges(view, panel):
    for n in range(3):
        view.ask(f"{n}" * (MAX_TRANSCRIPT // 5))
        view.finished(n + 1)

    bundle = transcript_mimebundle(panel.chat.exchanges)

    assert "the first one is not shown" in bundle["text/html"]
    assert "0000" not in bundle["text/plain"]


def test_a_long_text_is_cut_and_removes_no_other_exchange(view, panel):
    view.ask("short")
    view.finished()
    view.ask("0123456789" * (MAX_TRANSCRIPT // 10))
    view.finished(2)

    bundle = transcript_mimebundle(panel.chat.exchanges)

    assert "not shown" not in bundle["text/html"]
    assert bundle["text/plain"].count("You: short\necho: ") == 1
    assert bundle["text/plain"].count("(cut here: export has all of it)") == 2


def test_the_records_include_turns_that_the_transcript_does_not_show(view, panel):
    for n in range(3):
        view.ask(f"{n}" * (MAX_TRANSCRIPT // 5))
        view.finished(n + 1)
    asked = [each.reply.id for each in panel.chat.exchanges]
    view.request("switch_session", name=None)
    view.ask("in another session")
    view.finished()

    bundle = transcript_mimebundle(panel.chat.exchanges, panel.switcher.hidden_exchanges())

    recorded = [each["turn"] for each in bundle[TURN_MIME_TYPE]]
    assert recorded == [*asked, panel.chat.exchanges[0].reply.id]


def test_the_record_of_a_turn_is_the_same_in_its_cell_and_in_a_transcript(view, panel, client):
    answer = ask_from(client.session(), "from a cell")
    view.request("get_snapshot")
    view.ask("hi")
    view.finished(2)
    live = [record_of(each.reply) for each in panel.chat.exchanges]
    assert live[0] == record_of(answer.reply)

    with contextlib.closing(ChatPanel(client)) as again:
        assert transcript_mimebundle(again.chat.exchanges)[TURN_MIME_TYPE] == live


def test_the_transcript_is_updated_after_an_undo_and_after_a_switch(panel, view):
    written = []
    panel._transcript._publish = lambda bundle, **_: written.append(bundle["text/plain"])
    view.ask("taken back")
    view.finished()
    panel.chat.session.undo()

    panel.chat.on_cell_run(SimpleNamespace(info=SimpleNamespace(raw_cell="%swiftask undo")))
    assert "taken back" in written[-2]
    assert "taken back" not in written[-1]

    count = len(written)
    view.request("switch_session", name=None)
    assert len(written) == count + 1


def test_a_transcript_has_one_style_sheet(view, panel):
    for n in range(3):
        view.ask(f"```python\nx = {n}\n```")
        view.finished(n + 1)

    assert transcript_mimebundle(panel.chat.exchanges)["text/html"].count("<style>") == 1
