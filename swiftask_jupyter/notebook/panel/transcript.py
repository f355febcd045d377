"""A readable copy of a panel's conversation, saved with the notebook.

JupyterLab does not save what a widget shows. So an output of its own stands beside the panel, and
is updated at the end of a turn; updating the panel's own would draw it anew, draft and all.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from swiftask_jupyter.answers.reply import TURN
from swiftask_jupyter.notebook.markdown import html
from swiftask_jupyter.notebook.markdown.document import to_tree
from swiftask_jupyter.notebook.mimebundle import footer, record
from swiftask_jupyter.notebook.panel.exchange_view import ExchangeView
from swiftask_jupyter.support.sanitize import visible
from swiftask_jupyter.support.wording import quantity

LONGEST = 200_000  # characters of the newest exchanges; the export has them all
LONG = 40_000  # characters of one text
NAME = '<div style="margin-top:1em">'  # nearer to what was said than to what was said before


class Transcript:
    """The copy beside one panel."""

    def __init__(self) -> None:
        self._identity = f"swiftask-{secrets.token_hex(8)}"
        self._publish: Any = None

    def show(self, shown: Sequence[ExchangeView], others: Iterable[ExchangeView] = ()) -> None:
        """Put it below what the cell has shown so far.

        Args:
            shown: the conversation.
            others: what was said in others: what it took is saved too.
        """
        from IPython.core.getipython import get_ipython

        shell = get_ipython()
        if shell is not None:
            self._publish = shell.display_pub.publish
            self._write(shown, others, update=False)

    def update(self, shown: Sequence[ExchangeView], others: Iterable[ExchangeView] = ()) -> None:
        """Write it anew, where it stands."""
        if self._publish is not None:
            self._write(shown, others, update=True)

    def _write(
        self, shown: Sequence[ExchangeView], others: Iterable[ExchangeView], *, update: bool
    ) -> None:
        ended = [each for each in shown if not each.running]
        content = bundle(ended, [each for each in others if not each.running])
        self._publish(content, transient={"display_id": self._identity}, update=update)


def bundle(shown: Sequence[ExchangeView], others: Sequence[ExchangeView] = ()) -> dict[str, Any]:
    """Return the exchanges for every kind of front end, and the record of each turn."""
    fitting, size = 0, 0
    for each in reversed(shown):
        size += len(_cut(each.prompt)) + len(_cut(each.reply.text))
        if size > LONGEST:
            break
        fitting += 1
    newest = shown[len(shown) - fitting :]
    left_out = len(shown) - len(newest)
    title = f"Transcript of the chat · {quantity(len(shown), 'turn')}"
    if left_out:
        them = "one is not shown here: export has it"
        if left_out > 1:
            them = f"{left_out} are not shown here: export has them"
        title += f" · the first {them}"
    body = html.wrap("\n".join(map(_as_html, newest)))
    return {
        "text/html": f"<details><summary>{escape(title)}</summary>\n{body}</details>",
        "text/plain": "\n\n".join([title, *map(_as_text, newest)]),
        TURN: [record(each.reply) for each in (*others, *shown) if each.reply.number],
    }


def _as_html(shown: ExchangeView) -> str:
    """Return an exchange; the answer is written as in a cell, the prompt as plain text."""
    reply, files = shown.reply, "".join(f" · {escape(name)}" for name in shown.files)
    prompt = html.wrap_text(visible(_cut(shown.prompt)))
    answer = html.render(to_tree(_cut(reply.text)))
    who, note = escape(visible(reply.agent)), escape(visible(footer(reply)))
    error = f"<p>{escape(visible(reply.error))}</p>" if reply.error else ""
    return (
        f"{NAME}<b>You</b>{files}</div>{prompt}{NAME}<b>{who}</b></div>{answer}{error}"
        f"<div><small>{note}</small></div>"
    )


def _as_text(shown: ExchangeView) -> str:
    reply = shown.reply
    error = f"\n[{visible(reply.error)}]" if reply.error else ""
    name, prompt = visible(reply.agent), visible(_cut(shown.prompt))
    return f"You: {prompt}\n{name}: {visible(_cut(reply.text))}{error}\n({footer(reply)})"


def _cut(text: str) -> str:
    return text if len(text) <= LONG else f"{text[:LONG]}\n\n… (cut here: export has all of it)"
