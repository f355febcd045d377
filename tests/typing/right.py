"""What a user writes. Type checkers find nothing wrong with it, and the types are as stated."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, assert_type

import pandas as pd

from swiftask_jupyter import (
    Answer,
    Budget,
    ChatPanel,
    Comparison,
    Delta,
    Fault,
    Finish,
    RequestPreview,
    Sandbox,
    Session,
    Stream,
    Swiftask,
    Turn,
    Usage,
    errors,
    usage_from_notebooks,
)


def ask(swiftask: Swiftask) -> None:
    answer = swiftask.ask("hello", "echo", temperature=0.5, timeout=10, system="Be brief.")
    assert_type(answer, Answer)
    assert_type(answer.text, str)
    assert_type(answer.agent, str)
    assert_type(answer.usage, Usage)
    assert_type(answer.usage.input_tokens, int | None)
    assert_type(answer.usage.credits, float | None)
    assert_type(answer.json(), Any)
    assert_type(answer.code(), str)
    assert_type(answer.frame(), pd.DataFrame)
    assert_type(swiftask.ask("hello", files=[Path("a.txt"), ("b.bin", b"1")]), Answer)
    assert_type(swiftask.dry_run("hello"), RequestPreview)


def stream(swiftask: Swiftask) -> None:
    stream = swiftask.stream("hello", stream=False, cache="on")
    assert_type(stream, Stream)
    for event in stream:
        if isinstance(event, Delta):
            assert_type(event.text, str)
        elif isinstance(event, Finish):
            assert_type(event.reason, str)
    assert_type(stream.answer, Answer)


async def in_a_loop(swiftask: Swiftask, frame: pd.DataFrame) -> None:
    assert_type(await swiftask.ask_async("hello"), Answer)
    events: AsyncIterator[object] = swiftask.stream_async("hello")
    async for _ in events:
        pass
    assert_type(await swiftask.map_async(frame, "say {{text}}", confirm=False), pd.DataFrame)


def rows(swiftask: Swiftask, frame: pd.DataFrame) -> None:
    made = swiftask.map(
        frame, "say {{text}}", "echo", concurrency=2, schema="label: str", retry="errors"
    )
    assert_type(made, pd.DataFrame)
    assert_type(swiftask.usage(by="agent", since="7d"), pd.DataFrame)
    assert_type(usage_from_notebooks("*.ipynb"), pd.DataFrame)


def conversation(swiftask: Swiftask) -> None:
    session = swiftask.session("plans")
    assert_type(session, Session)
    assert_type(session.ask("hello", fresh=True, last=2), Answer)
    assert_type(session.stream("hello"), Stream)
    assert_type(session.dry_run("hello"), RequestPreview)
    assert_type(session.history(), list[Turn])
    assert_type(session.undo(), Turn)
    assert_type(session.export("plans.md"), Path)
    for turn in session.history():
        assert_type(turn.prompt, str)
        assert_type(turn.answer, str)
        assert_type(turn.usage, Usage)
        assert_type(turn.stale, bool)


def notebook(swiftask: Swiftask, comparison: Comparison) -> None:
    assert_type(swiftask.chat("echo", transcript=False), ChatPanel)
    assert_type(swiftask.budgets.all(), list[Budget])
    assert_type(comparison.frame(), pd.DataFrame)


def sandbox() -> None:
    with Sandbox(agents={"mine": "always this"}) as box:
        assert_type(box, Sandbox)
        box.fail(Fault(status=429))
        with Swiftask(base_url=box.url, token=box.token) as swiftask:
            assert_type(swiftask, Swiftask)
            try:
                swiftask.ask("hello", "mine")
            except errors.SwiftaskError as error:
                assert_type(error, errors.SwiftaskError)
