"""The built-in agents `echo`, `slow` and `mirror`; the other agents have their own test files."""

import json

from swiftask_jupyter.sandbox.builtin_agents import BUILT_IN, echo
from tests.support.sandbox_requests import (
    ask_native,
    completion_request,
    stream_completion,
    stream_text,
)


def test_echo_returns_a_megabyte_unchanged_in_at_most_2000_pieces(account):
    text = ('é🌱\u2028\x00\\" line\n' * 100_000)[: 1 << 20]
    chunks = stream_completion(account, completion_request(text=text))

    assert stream_text(chunks) == text
    assert len(chunks) <= 2000


def test_echo_without_a_user_message_is_empty():
    assert echo([{"role": "system", "content": "Be brief."}]) == []


def test_mirror_returns_the_messages_that_reached_it(account):
    reply = ask_native(account, "mirror", input="hello").json()["text"]

    assert json.loads(reply) == [{"role": "user", "content": "hello"}]


def test_slow_takes_more_than_a_minute():
    slow = BUILT_IN["slow"]

    assert len(slow.answer([])) * slow.pause > 60
