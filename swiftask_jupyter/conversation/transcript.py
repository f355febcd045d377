"""Exports a conversation to a `.md` or `.json` file, and reads such a file back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from swiftask_jupyter.answers.turn import Turn
from swiftask_jupyter.errors import ConfigurationError

KIND = "swiftask-conversation"
VERSION = 1

# In Markdown, a comment before each turn gives the length of its texts, so that they are read back
# exactly, whatever they contain.
_TURN = re.compile(r"<!-- swiftask-turn (\{.*?\}) -->\n")


def write(path: Path, turns: Sequence[Turn]) -> Path:
    """Write a conversation to a `.md` or `.json` file, and return the path.

    Raises:
        ConfigurationError: the file name has another extension, or the file can't be written.
    """
    if path.suffix not in _WRITERS:
        raise ConfigurationError(f"{path.name!r} is no .md or .json file")
    try:
        path.write_text(_WRITERS[path.suffix](turns), "utf-8", "replace", newline="\n")
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written ({error.strerror})") from None
    return path


def read(path: Path) -> list[Turn]:
    """Return the turns in an exported `.md` or `.json` file.

    Raises:
        ConfigurationError: the file can't be read, or is not an exported conversation.
    """
    if path.suffix not in _READERS:
        raise ConfigurationError(f"{path.name!r} is no .md or .json file")
    try:
        with path.open(encoding="utf-8", newline="") as file:
            content = file.read()
        return [_turn(**fields) for fields in _READERS[path.suffix](content)]
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read ({error.strerror})") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ConfigurationError(
            f"{path} is no exported conversation, or was changed since",
            advice="%swiftask export writes one",
        ) from None


def as_markdown(turns: Iterable[Turn]) -> str:
    """Return the conversation as Markdown, in the form that `read` can parse."""
    parts = []
    for each in turns:
        sizes = {**_about(each), "prompt": len(each.prompt), "answer": len(each.text_or_files)}
        comment = json.dumps(sizes).replace("--", "-\\u002d")  # `--` may not stand in a comment
        parts.append(
            f"<!-- swiftask-turn {comment} -->\n**You**\n\n{each.prompt}\n\n"
            f"**{each.agent}**\n\n{each.text_or_files}\n"
        )
    return "\n".join(parts)


def _as_json(turns: Iterable[Turn]) -> str:
    written = [
        {**_about(each), "prompt": each.prompt, "answer": each.text_or_files} for each in turns
    ]
    return json.dumps({"kind": KIND, "version": VERSION, "turns": written}, indent=1) + "\n"


def _about(each: Turn) -> dict[str, Any]:
    at = datetime.fromtimestamp(each.at, UTC).isoformat(timespec="seconds")
    about = {"number": each.number, "agent": each.agent, "dialect": each.dialect, "at": at}
    service = {"host": each.host, "connection": each.connection, "sandbox": each.sandbox}
    return about | {name: value for name, value in service.items() if value}


def _from_json(content: str) -> list[dict[str, Any]]:
    found = json.loads(content)
    if found["kind"] != KIND or found["version"] != VERSION:
        raise ValueError(found["kind"])
    turns: list[dict[str, Any]] = found["turns"]
    return turns


def _from_markdown(content: str) -> list[dict[str, Any]]:
    turns, at = [], 0
    while at < len(content):
        if not (found := _TURN.match(content, at)):
            raise ValueError(content[at : at + 40])
        about = json.loads(found[1])
        at = found.end()
        texts = {}
        for name, head in (("prompt", "**You**\n\n"), ("answer", f"**{about['agent']}**\n\n")):
            start = at + len(head)
            end = start + about[name]
            tail = "\n\n" if name == "prompt" else "\n"
            if content[at:start] != head or content[end : end + len(tail)] != tail:
                raise ValueError(content[at:start])
            texts[name] = content[start:end]
            at = end + len(tail)
        at += content.startswith("\n", at)
        turns.append({**about, **texts})
    if not turns:
        raise ValueError("empty")
    return turns


def _turn(
    *,
    prompt: str,
    answer: str,
    agent: str,
    dialect: str,
    host: str | None = None,
    connection: str | None = None,
    sandbox: bool = False,
    **_: Any,
) -> Turn:
    """Return a `Turn` with the values of one turn in an exported file."""
    texts = prompt, answer, agent, dialect, host or "", connection or ""
    if not all(isinstance(text, str) for text in texts) or not isinstance(sandbox, bool):
        raise TypeError
    return Turn(
        agent=agent, dialect=dialect, prompt=prompt, answer=answer,
        host=host, connection=connection, sandbox=sandbox,
    )  # fmt: skip


_WRITERS = {".md": as_markdown, ".json": _as_json}
_READERS = {".md": _from_markdown, ".json": _from_json}
