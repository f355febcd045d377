"""A reply that grows in a cell: few bytes, no text left out, one final result."""

import random

import pytest

from swiftask_jupyter.answers.turn import TURN_MIME_TYPE, Delta, Reply
from swiftask_jupyter.notebook.display import CellDisplay
from swiftask_jupyter.notebook.markdown.document import to_html
from swiftask_jupyter.notebook.mimebundle import footer
from tests.support.displays import CODE, PROSE, FrontEnd, stream_text


@pytest.mark.parametrize("size", [4_000, 20_000, 100_000])
@pytest.mark.parametrize("text", [PROSE * 400, CODE], ids=["prose", "code"])
def test_a_stream_stays_within_its_bandwidth(text, size):
    _, _, _, worst, behind = stream_text(text[:size], rate=100)

    assert worst <= 50_000
    assert behind <= 0.15


@pytest.mark.parametrize("text", [PROSE * 400, CODE], ids=["prose", "code"])
def test_a_burst_costs_at_most_four_bytes_a_byte(text):
    text = text[:100_000]

    end, *_ = stream_text(text, rate=200_000)

    assert sum(size for _, size in end.sent) <= 4 * len(text.encode())


@pytest.mark.parametrize("form", ["text", "json", "code"])
@pytest.mark.parametrize("text", [PROSE * 60, CODE], ids=["prose", "code"])
def test_every_format_stays_within_the_bandwidth(form, text):
    end, _, _, worst, behind = stream_text(text, rate=100, form=form)

    assert worst <= 50_000
    assert behind <= 0.15
    assert text.strip()[-30:] in end.html.replace("&gt;", ">") or form == "code"


def test_the_newest_text_is_always_shown():
    for text in (PROSE * 40, CODE[:20_000]):
        end = FrontEnd()
        display = CellDisplay(end.publish, Reply(agent="echo"), shown=True, clock=end.clock)
        for number, at in enumerate(range(0, len(text), 40)):
            mark = f" mark{number}x "
            display.show([Delta(text[at : at + 40]), Delta(mark)])
            assert mark.strip() in end.html
            end.now += 0.1


def test_older_text_is_missing_for_a_second_at_most():
    """At reading speed, all text that is a second old is on the screen."""
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
    end, reply, *_ = stream_text(PROSE * 50, rate=100)

    answer, line = end.shown.values()
    assert answer["text/plain"] == reply.text
    assert answer["text/html"] == to_html(reply.text)
    assert answer[TURN_MIME_TYPE]["status"] == "ok"
    assert line["text/plain"] == footer(reply)


def test_a_short_answer_is_one_output_until_it_ends():
    end, _, streamed, *_ = stream_text("hello *there*", rate=100)

    assert streamed == 1
    assert len(end.shown) == 2


def test_an_answer_kept_in_a_variable_shows_its_footer_and_record_only():
    end, reply, streamed, *_ = stream_text("hello there", rate=100, shown=False)

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


def test_the_cell_shows_that_it_waits_for_a_silent_agent():
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


def test_the_cell_shows_that_it_waits_for_an_answer_that_goes_into_a_variable():
    end = FrontEnd()
    display = CellDisplay(end.publish, Reply(agent="echo"), shown=False, clock=end.clock)
    for _ in range(55):
        display.show([Delta("secret ")])
        end.now += 0.1

    assert "echo · 5 s" in end.html
    assert "secret" not in end.html
    assert len(end.sent) == 5


def test_the_name_of_an_agent_in_the_footer_is_escaped():
    end = FrontEnd()
    CellDisplay(
        end.publish, Reply(agent="<script>x</script>", number=1), shown=True, clock=end.clock
    ).finish()

    assert "<script>" not in end.html


def test_a_random_stream_ends_as_if_it_had_arrived_at_once():
    generator = random.Random(7)
    for _ in range(30):
        text = "".join(
            generator.choice(["a ", "\n\n", "```\n", "- x\n", "# h\n", "| a |\n", "*b* "])
            for _ in range(600)
        )
        end, reply, *_ = stream_text(
            text, rate=generator.choice([20, 500]), piece=generator.randint(1, 50)
        )
        assert next(iter(end.shown.values()))["text/html"] == to_html(reply.text)


def test_a_long_answer_that_arrives_at_once_is_above_its_footer():
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


def test_text_that_arrived_but_was_not_drawn_is_in_the_final_answer():
    end = FrontEnd()
    reply = Reply(agent="echo", number=1, status="interrupted")
    display = CellDisplay(end.publish, reply, shown=True, clock=end.clock)
    display.show([Delta("one ")])
    reply.apply([Delta("one "), Delta("two")])
    display.finish()

    assert next(iter(end.shown.values()))["text/plain"] == "one two"
    assert "two" in end.html


def test_a_turn_that_was_never_sent_shows_nothing():
    end = FrontEnd()
    CellDisplay(end.publish, Reply(agent="echo"), shown=True, clock=end.clock).finish()

    assert not end.shown


def test_plain_text_is_unchanged_and_cannot_run():
    end, _, _, _, _ = stream_text("# <script>alert(1)</script> *a* $x$\x1b", rate=100, form="text")

    (answer, _) = end.shown.values()
    assert "<pre>\n# &lt;script&gt;alert(1)&lt;/script&gt; *a* $x$␛</pre>" in answer["text/html"]
    assert "mathjax_ignore" in answer["text/html"]
    assert answer["text/plain"] == "# <script>alert(1)</script> *a* $x$␛"


def test_json_is_indented_and_coloured_and_cannot_run():
    end, _, _, _, _ = stream_text('{"a": ["</pre><script>"]}', rate=100, form="json")

    (answer, _) = end.shown.values()
    assert answer["text/plain"] == '{\n  "a": [\n    "</pre><script>"\n  ]\n}'
    assert "<script>" not in answer["text/html"]
    assert "<tt>" in answer["text/html"]


def test_the_code_format_leaves_the_words_around_the_code_out():
    text = "Here you go:\n```python\nx = 1  # one\n```\nEnjoy!"

    end, _, _, _, _ = stream_text(text, rate=100, form="code")

    (answer, _) = end.shown.values()
    assert answer["text/plain"] == "x = 1  # one"
    assert "Enjoy" not in answer["text/html"]
    assert "<i># one</i>" in answer["text/html"]
