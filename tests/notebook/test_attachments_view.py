"""Files, sources and messages below an answer."""

from swiftask_jupyter.answers.turn import Delta, Reply
from swiftask_jupyter.notebook.display import CellDisplay
from swiftask_jupyter.notebook.mimebundle import (
    extras_as_html,
    extras_as_text,
    extras_as_tree,
    extras_of,
)
from tests.support.displays import FrontEnd


def test_files_sources_and_messages_are_links_and_text_below_the_answer():
    end = FrontEnd()
    reply = Reply(agent="a", number=1, status="ok", dialect="native")
    reply.apply([Delta("see below")])
    reply.raw.update(
        files=[{"url": "https://x.example/a.png", "name": "a.png"}, {"url": "javascript:alert(1)"}],
        sourceMetadatas=[{"title": "A <b>page</b>", "url": "https://x.example/p"}, "a book", 7],
        additionalMessages=[{"text": "one more"}],
    )
    CellDisplay(end.publish, reply, shown=True, clock=end.clock).finish()

    answer = next(iter(end.shown.values()))
    assert '<a href="https://x.example/a.png"' in answer["text/html"]
    assert "<img" not in answer["text/html"]
    assert 'href="javascript' not in answer["text/html"]
    assert "A &lt;b&gt;page" in answer["text/html"]
    assert "- source: a book" in answer["text/plain"]
    assert "- message: one more" in answer["text/plain"]


def test_an_answer_without_text_shows_its_file():
    end = FrontEnd()
    reply = Reply(agent="image", number=1, status="ok", dialect="native")
    reply.raw["files"] = [{"url": "https://x.example/a.png"}]
    CellDisplay(end.publish, reply, shown=True, clock=end.clock).finish()

    assert "https://x.example/a.png" in end.html
    assert "disguise" not in end.html


def test_a_picture_that_the_text_links_to_is_not_listed_again():
    reply = Reply(agent="image", number=1, status="ok", dialect="native")
    reply.apply([Delta("![a](https://x.example/a.png)")])

    assert extras_of(reply) == []
    assert (extras_as_html([]), extras_as_tree([]), extras_as_text([])) == ("", [], "")


def test_a_value_of_any_shape_is_listed():
    reply = Reply(agent="a", number=1, status="ok")
    reply.raw.update(sourceMetadatas=[7, {"odd": True}, "https://x.example/p"], files="no list")

    assert extras_of(reply) == [
        ("source", "7", ""),
        ("source", '{"odd": true}', ""),
        ("source", "https://x.example/p", "https://x.example/p"),
    ]
