"""The parts of a cell's output besides the answer: the footer, and the turn's record."""

from __future__ import annotations

from html import escape
from typing import Any

from swiftask_jupyter.answers.turn import Reply
from swiftask_jupyter.ledger.schema import is_suspect
from swiftask_jupyter.support.sanitize import sanitize_line

__all__ = ["FOOTER_STYLE", "footer", "footer_bundle"]

# A colour that is readable in light and dark themes, and in front ends without the variable.
FOOTER_STYLE = "color:var(--jp-ui-font-color2,gray);font-size:.85em"
_FOOTER = (
    '<div class="swiftask-footer tex2jax_ignore mathjax_ignore" '
    f'style="{FOOTER_STYLE};margin:.2em 0">{{}}</div>'
)


def footer(reply: Reply, remarks: tuple[str, ...] = ()) -> str:
    """Return the line below an answer: agent, time, tokens sent→received, turn.

    The dialect is named only where it has a drawback: it does not stream, or reports no tokens.

    Args:
        reply: the reply, which has ended.
        remarks: further remarks, after those of the reply.
    """
    parts = [reply.agent, _duration(reply.seconds)]
    if reply.status not in {"ok", "running"}:
        parts.append(reply.status)
    elif is_suspect(reply):
        parts.append("empty, or a failure in disguise")
    elif reply.finish_reason == "length":
        parts.append("cut at its length limit")
    elif reply.finish_reason not in {None, "stop"}:
        parts.append(f"ended by {sanitize_line(reply.finish_reason or '')}")
    if not reply.streams:
        parts.append(f"{reply.dialect} does not stream")
    if reply.cached:
        parts.append("cached")
    elif reply.status == "ok" or reply.usage.source != "none":
        parts.append(_token_counts(reply))
    if reply.usage.credits is not None and not reply.cached:
        parts.append(f"{reply.usage.credits:g} credits")
    parts.append(f"turn {reply.number}")
    if reply.attempts > 1:
        parts.append(f"{reply.attempts} tries")
    parts += [*reply.remarks, *remarks]
    return sanitize_line(" · ".join(parts))


def _duration(seconds: float) -> str:
    if seconds >= 59.95:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds:.2f} s"


def _token_counts(reply: Reply) -> str:
    usage = reply.usage
    if usage.input_tokens is None and usage.output_tokens is None:
        by = f" by {reply.dialect}" if reply.dialect else ""
        return f"tokens not reported{by}"
    sent = "?" if usage.input_tokens is None else usage.input_tokens
    received = "?" if usage.output_tokens is None else usage.output_tokens
    return f"{sent}→{received} tokens"


def footer_bundle(line: str) -> dict[str, Any]:
    """Return a line in the style of the footer, as HTML and as plain text."""
    return {"text/html": _FOOTER.format(escape(line)), "text/plain": line}
