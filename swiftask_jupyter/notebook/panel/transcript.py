"""The transcript, a readable copy of a chat panel's conversation, saved with the notebook.

JupyterLab does not save the content of a widget. Therefore the transcript is a second output below
the panel. The transcript is updated after each turn. An update of the panel's own output would
delete the text that the user is typing.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from swiftask_jupyter.answers.turn import TURN_MIME_TYPE
from swiftask_jupyter.ledger.notebook_record import record_of
from swiftask_jupyter.notebook.markdown import html
from swiftask_jupyter.notebook.markdown.document import to_tree
from swiftask_jupyter.notebook.mimebundle import footer
from swiftask_jupyter.notebook.panel.exchange_view import ExchangeView
from swiftask_jupyter.support.sanitize import sanitize
from swiftask_jupyter.support.wording import quantity

MAX_TRANSCRIPT = 200_000  # characters of the newest exchanges; an export has all of them
MAX_TEXT = 40_000  # characters of one prompt or answer
# The margin separates a name from the text above the name.
_NAME = '<div style="margin-top:1em">'


class Transcript:
    """The output below one chat panel that holds a readable copy of the panel's conversation."""

    def __init__(self) -> None:
        self._display_id = f"swiftask-{secrets.token_hex(8)}"
        self._publish: Any = None

    def show(self, exchanges: Sequence[ExchangeView], others: Iterable[ExchangeView] = ()) -> None:
        """Display the transcript as a new output of the current cell.

        Nothing is displayed outside of IPython.

        Args:
            exchanges: the questions and answers of the displayed conversation.
            others: the exchanges of other conversations. Only the metadata of their turns, such as
                the usage, is saved.
        """
        from IPython.core.getipython import get_ipython

        shell = get_ipython()
        if shell is not None:
            self._publish = shell.display_pub.publish
            self._write(exchanges, others, update=False)

    def update(
        self, exchanges: Sequence[ExchangeView], others: Iterable[ExchangeView] = ()
    ) -> None:
        """Replace the transcript that `show` has displayed.

        Nothing happens if `show` was not called. The arguments are those of `show`.
        """
        if self._publish is not None:
            self._write(exchanges, others, update=True)

    def _write(
        self, exchanges: Sequence[ExchangeView], others: Iterable[ExchangeView], *, update: bool
    ) -> None:
        ended = [each for each in exchanges if not each.running]
        content = transcript_mimebundle(ended, [each for each in others if not each.running])
        self._publish(content, transient={"display_id": self._display_id}, update=update)


def transcript_mimebundle(
    exchanges: Sequence[ExchangeView], others: Sequence[ExchangeView] = ()
) -> dict[str, Any]:
    """Return the transcript as a MIME bundle: HTML, plain text, and a record of each turn.

    A record holds the metadata of a turn, such as its usage, as JSON values.

    Args:
        exchanges: the questions and answers of the conversation. Only the newest exchanges are
            displayed, up to `MAX_TRANSCRIPT` characters in total.
        others: the exchanges of other conversations; only their records are included.
    """
    count, size = 0, 0
    for each in reversed(exchanges):
        size += len(_cut(each.prompt)) + len(_cut(each.reply.text))
        if size > MAX_TRANSCRIPT:
            break
        count += 1
    newest = exchanges[len(exchanges) - count :]
    left_out = len(exchanges) - len(newest)
    title = f"Transcript of the chat · {quantity(len(exchanges), 'turn')}"
    if left_out:
        them = "one is not shown here: export has it"
        if left_out > 1:
            them = f"{left_out} are not shown here: export has them"
        title += f" · the first {them}"
    body = html.wrap("\n".join(map(_as_html, newest)))
    return {
        "text/html": f"<details><summary>{escape(title)}</summary>\n{body}</details>",
        "text/plain": "\n\n".join([title, *map(_as_text, newest)]),
        TURN_MIME_TYPE: [
            record_of(each.reply) for each in (*others, *exchanges) if each.reply.number
        ],
    }


def _as_html(exchange: ExchangeView) -> str:
    """Return an exchange as HTML: the prompt as plain text, and the answer as rendered Markdown."""
    reply, files = exchange.reply, "".join(f" · {escape(name)}" for name in exchange.files)
    prompt = html.wrap_text(sanitize(_cut(exchange.prompt)))
    answer = html.render(to_tree(_cut(reply.text)))
    agent, line = escape(sanitize(reply.agent)), escape(sanitize(footer(reply)))
    error = f"<p>{escape(sanitize(reply.error))}</p>" if reply.error else ""
    return (
        f"{_NAME}<b>You</b>{files}</div>{prompt}{_NAME}<b>{agent}</b></div>{answer}{error}"
        f"<div><small>{line}</small></div>"
    )


def _as_text(exchange: ExchangeView) -> str:
    reply = exchange.reply
    error = f"\n[{sanitize(reply.error)}]" if reply.error else ""
    agent, prompt = sanitize(reply.agent), sanitize(_cut(exchange.prompt))
    return f"You: {prompt}\n{agent}: {sanitize(_cut(reply.text))}{error}\n({footer(reply)})"


def _cut(text: str) -> str:
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[:MAX_TEXT]}\n\n… (cut here: export has all of it)"
