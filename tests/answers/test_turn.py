"""`Reply`: what the events of an answer add up to."""

import pytest

from swiftask_jupyter.answers.turn import ConversationId, Delta, Finish, Raw, Reply, Usage

PICTURE = "![a cat](https://files.example/cat.png)"


def test_a_reply_is_the_sum_of_its_events():
    reply = Reply(agent="echo")

    reply.apply([Delta("hel"), Raw({"id": 1}), Delta("lo")])
    reply.apply(
        [Usage(1, 2, 3, source="api"), Raw({"model": "m"}), ConversationId(7), Finish("stop")]
    )

    assert reply.text == "hello"
    assert reply.raw == {"id": 1, "model": "m"}
    assert (reply.usage.total_tokens, reply.conversation, reply.finish_reason) == (3, 7, "stop")


@pytest.mark.parametrize(("dialect", "pictures"), [("native", 1), ("widget", 1), ("openai", 0)])
def test_pictures_in_the_text_are_files_where_a_service_lists_none(dialect, pictures):
    reply = Reply(agent="echo", dialect=dialect)

    reply.apply([Delta(f"Here: {PICTURE}")])

    assert len(reply.files) == pictures


def test_a_picture_that_is_also_listed_is_one_file():
    url = "https://files.example/cat.png"
    reply = Reply(agent="echo", dialect="native")

    reply.apply([Delta(PICTURE), Raw({"files": [{"url": url, "size": 5}, "no file", {}]})])

    assert reply.files == ({"url": url, "size": 5},)
