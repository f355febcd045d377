"""A reply that grows in a cell: little on the wire, nothing hidden, one clean result."""

import random

import pytest

from swiftask_jupyter.answers.events import Delta, Usage
from swiftask_jupyter.answers.reply import Reply
from swiftask_jupyter.answers.turn import TURN_MIME_TYPE
from swiftask_jupyter.notebook.display import MESSAGE_OVERHEAD, CellDisplay
from swiftask_jupyter.notebook.markdown.document import to_html
from swiftask_jupyter.notebook.mimebundle import footer

PROSE = "The quick brown fox jumps over the lazy dog, *again* and `again`. " * 5 + "\n\n"
CODE = "```python\n" + "def f(x):\n    return x + 1  # one more\n" * 3000


class FrontEnd:
    """Keeps what a front end would show, and how much was sent to it when."""

    def __init__(self):
        self.now = 0.0
        self.shown = {}
        self.sent = []

    def clock(self):
        """The time, as the test sets it."""
        return self.now

    def publish(self, data, *, transient, update):
        """Take a message."""
        identity = transient["display_id"]
        assert update == (identity in self.shown), "a display is made once, then updated"
        self.shown[identity] = data
        size = sum(len(str(value).encode()) for value in data.values())
        self.sent.append((self.now, size + MESSAGE_OVERHEAD))

    @property
    def html(self):
        """All that is on the screen."""
        return "".join(data["text/html"] for data in self.shown.values())


def stream(text, *, rate, shown=True, piece=4, form="md"):
    """Play a text in 4-character deltas at so many deltas a second."""
    end = FrontEnd()
    reply = Reply(agent="echo", number=3, form=form)
    display = CellDisplay(end.publish, reply, shown=shown, clock=end.clock)
    worst, behind = 0.0, 0.0
    for at in range(0, len(text), piece):
        delta = Delta(text[at : at + piece])
        reply.apply([delta])
        display.show([delta])
        if end.sent:  # the first message is not a rate yet
            worst = max(worst, sum(size for _, size in end.sent) / max(end.now, 1))
            behind = max(behind, end.now - end.sent[-1][0])
        end.now += 1 / rate
    streamed = len(end.sent)
    reply.status = "ok"
    display.finish()
    return end, reply, streamed, worst, behind


@pytest.mark.parametrize("size", [4_000, 20_000, 100_000])
@pytest.mark.parametrize("text", [PROSE * 400, CODE], ids=["prose", "code"])
def test_a_stream_never_costs_more_than_its_bandwidth(text, size):
    _, _, _, worst, behind = stream(text[:size], rate=100)

    assert worst <= 50_000
    assert behind <= 0.15


@pytest.mark.parametrize("text", [PROSE * 400, CODE], ids=["prose", "code"])
def test_a_burst_costs_at_most_four_bytes_a_byte(text):
    text = text[:100_000]

    end, *_ = stream(text, rate=200_000)

    assert sum(size for _, size in end.sent) <= 4 * len(text.encode())


def test_the_newest_text_is_always_shown():
    for text in (PROSE * 40, CODE[:20_000]):
        end = FrontEnd()
        display = CellDisplay(end.publish, Reply(agent="echo"), shown=True, clock=end.clock)
        for number, at in enumerate(range(0, len(text), 40)):
            mark = f" mark{number}x "
            display.show([Delta(text[at : at + 40]), Delta(mark)])
            assert mark.strip() in end.html
            end.now += 0.1


def test_nothing_before_the_newest_text_is_missing_for_long():
    """At reading speed, all that came a second ago is on the screen."""
    end = FrontEnd()
    display = CellDisplay(end.publish, Reply(agent="echo"), shown=True, clock=end.clock)
    for number in range(1000):
        display.show(
            [Delta(f"word{number}x and some more of it here. " + "\n\n" * (number % 7 == 0))]
        )
        end.now += 0.1
    for number in range(990):
        assert f"word{number}x " in end.html


def test_the_end_is_one_bundle_and_a_footer():
    end, reply, *_ = stream(PROSE * 50, rate=100)

    answer, line = end.shown.values()
    assert answer["text/plain"] == reply.text
    assert answer["text/html"] == to_html(reply.text)
    assert answer[TURN_MIME_TYPE]["status"] == "ok"
    assert line["text/plain"] == footer(reply)


def test_a_short_answer_is_drawn_in_one_display_until_it_ends():
    end, _, streamed, *_ = stream("hello *there*", rate=100)

    assert streamed == 1
    assert len(end.shown) == 2


def test_an_answer_kept_in_a_variable_shows_its_footer_and_record_only():
    end, reply, streamed, *_ = stream("hello there", rate=100, shown=False)

    (data,) = end.shown.values()
    assert streamed == 0
    assert data["text/plain"] == footer(reply)
    assert "hello" not in str(data)
    assert data[TURN_MIME_TYPE]["agent"] == "echo"


def test_a_turn_without_text_shows_one_line_with_its_record():
    end = FrontEnd()
    reply = Reply(agent="echo", number=1, status="error")
    CellDisplay(end.publish, reply, shown=True, clock=end.clock).finish()

    (data,) = end.shown.values()
    assert "error" in data["text/plain"]
    assert data[TURN_MIME_TYPE]["status"] == "error"


def test_a_silent_agent_is_seen_to_be_waited_for():
    end = FrontEnd()
    display = CellDisplay(end.publish, Reply(agent="sleepy"), shown=True, clock=end.clock)
    for _ in range(32):
        display.show(())
        end.now += 0.1
    waited = end.html
    display.show([Delta("at last")])

    assert "sleepy · 3 s" in waited
    assert "sleepy" not in end.html
    assert "at last" in end.html
    assert len(end.shown) == 1


def test_an_answer_on_its_way_into_a_variable_is_seen_to_be_waited_for_to_its_end():
    end = FrontEnd()
    display = CellDisplay(end.publish, Reply(agent="echo"), shown=False, clock=end.clock)
    for _ in range(55):
        display.show([Delta("secret ")])
        end.now += 0.1

    assert "echo · 5 s" in end.html
    assert "secret" not in end.html
    assert len(end.sent) == 5


def test_the_record_holds_neither_prompt_nor_answer():
    end, *_ = stream("the answer", rate=100)

    record = next(iter(end.shown.values()))[TURN_MIME_TYPE]
    assert "the answer" not in str(record)
    assert set(record) == {
        "version", "turn", "session", "number", "cell", "slot", "surface", "agent", "dialect",
        "at", "status", "finish_reason", "attempts", "seconds", "first_token_seconds", "usage",
        "cached", "request_sha256", "error",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"usage": Usage(150, 300, 450)}, "a · 2.1 s · 150→300 tokens · turn 3"),
        ({}, "a · 2.1 s · tokens not reported · turn 3"),
        ({"usage": Usage(None, 7)}, "a · 2.1 s · ?→7 tokens · turn 3"),
        ({"status": "interrupted"}, "a · 2.1 s · interrupted · turn 3"),
        (
            {"finish_reason": "length"},
            "a · 2.1 s · cut at its length limit · tokens not reported · turn 3",
        ),
        ({"seconds": 75.2}, "a · 1 min 15 s · tokens not reported · turn 3"),
        ({"seconds": 119.7}, "a · 2 min 0 s · tokens not reported · turn 3"),
        ({"seconds": 59.96}, "a · 1 min 0 s · tokens not reported · turn 3"),
    ],
)
def test_the_footer_says_who_how_long_how_much_and_which_turn(fields, line):
    reply = Reply(agent="a", number=3, **{"status": "ok", "seconds": 2.1, **fields})
    reply.apply([Delta("text")])

    assert footer(reply) == line


def test_an_agents_name_in_the_footer_is_text():
    end = FrontEnd()
    CellDisplay(
        end.publish, Reply(agent="<script>x</script>", number=1), shown=True, clock=end.clock
    ).finish()

    assert "<script>" not in end.html


def test_random_streams_end_as_the_whole_text_would():
    generator = random.Random(7)
    for _ in range(30):
        text = "".join(
            generator.choice(["a ", "\n\n", "```\n", "- x\n", "# h\n", "| a |\n", "*b* "])
            for _ in range(600)
        )
        end, reply, *_ = stream(
            text, rate=generator.choice([20, 500]), piece=generator.randint(1, 50)
        )
        assert next(iter(end.shown.values()))["text/html"] == to_html(reply.text)


def test_a_long_answer_that_comes_at_once_stands_above_its_footer():
    end = FrontEnd()
    reply = Reply(agent="echo", number=1)
    display = CellDisplay(end.publish, reply, shown=True, clock=end.clock)
    reply.apply([Delta("word " * 1000)])
    display.show([Delta("word " * 1000)])
    end.now += 0.2
    display.show([Delta("more")])
    reply.status = "ok"
    display.finish()

    first, second = end.shown.values()
    assert TURN_MIME_TYPE in first
    assert second["text/plain"] == footer(reply)


def test_what_arrived_but_was_not_drawn_is_in_the_final_answer():
    end = FrontEnd()
    reply = Reply(agent="echo", number=1, status="interrupted")
    display = CellDisplay(end.publish, reply, shown=True, clock=end.clock)
    display.show([Delta("one ")])
    reply.apply([Delta("one "), Delta("two")])
    display.finish()

    assert next(iter(end.shown.values()))["text/plain"] == "one two"
    assert "two" in end.html


def test_a_turn_that_never_left_shows_nothing():
    end = FrontEnd()
    CellDisplay(end.publish, Reply(agent="echo"), shown=True, clock=end.clock).finish()

    assert not end.shown


@pytest.mark.parametrize(
    ("usage", "text"),
    [
        (Usage(reported_total=1, source="stream"), "I am sorry, something went wrong."),
        (Usage(), '""'),
        (Usage(), ""),
    ],
)
def test_a_failure_in_disguise_is_called_suspect(usage, text):
    reply = Reply(agent="a", number=1, status="ok", usage=usage)
    reply.apply([Delta(text)])

    assert "a failure in disguise" in footer(reply)


def test_files_sources_and_messages_stand_under_the_answer_as_links_and_text():
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


def test_an_answer_of_a_file_alone_is_shown():
    end = FrontEnd()
    reply = Reply(agent="image", number=1, status="ok", dialect="native")
    reply.raw["files"] = [{"url": "https://x.example/a.png"}]
    CellDisplay(end.publish, reply, shown=True, clock=end.clock).finish()

    assert "https://x.example/a.png" in end.html
    assert "disguise" not in end.html


@pytest.mark.parametrize("form", ["text", "json", "code"])
@pytest.mark.parametrize("text", [PROSE * 60, CODE], ids=["prose", "code"])
def test_every_form_of_an_answer_keeps_to_the_bandwidth(form, text):
    end, _, _, worst, behind = stream(text, rate=100, form=form)

    assert worst <= 50_000
    assert behind <= 0.15
    assert text.strip()[-30:] in end.html.replace("&gt;", ">") or form == "code"


def test_text_is_verbatim_and_cannot_run():
    end, _, _, _, _ = stream("# <script>alert(1)</script> *a* $x$\x1b", rate=100, form="text")

    (answer, _) = end.shown.values()
    assert "<pre>\n# &lt;script&gt;alert(1)&lt;/script&gt; *a* $x$␛</pre>" in answer["text/html"]
    assert "mathjax_ignore" in answer["text/html"]
    assert answer["text/plain"] == "# <script>alert(1)</script> *a* $x$␛"


def test_json_is_pretty_and_coloured_and_cannot_run():
    end, _, _, _, _ = stream('{"a": ["</pre><script>"]}', rate=100, form="json")

    (answer, _) = end.shown.values()
    assert answer["text/plain"] == '{\n  "a": [\n    "</pre><script>"\n  ]\n}'
    assert "<script>" not in answer["text/html"]
    assert "<tt>" in answer["text/html"]


def test_code_is_what_stays_of_an_answer_with_words_around_it():
    text = "Here you go:\n```python\nx = 1  # one\n```\nEnjoy!"

    end, _, _, _, _ = stream(text, rate=100, form="code")

    (answer, _) = end.shown.values()
    assert answer["text/plain"] == "x = 1  # one"
    assert "Enjoy" not in answer["text/html"]
    assert "<i># one</i>" in answer["text/html"]
