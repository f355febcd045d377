"""Run a `%%swiftask` cell: read its line, build the request, and show the answer as it arrives."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from swiftask_jupyter.errors import ConfigurationError, Interrupted, PromptError, SwiftaskError
from swiftask_jupyter.notebook.arguments import MagicLine, parse_line, request_options
from swiftask_jupyter.notebook.context import NotebookContext, hold_interrupts
from swiftask_jupyter.notebook.display import NO_WAIT, REDRAW_SECONDS, Display, display_for
from swiftask_jupyter.options import AskOptions
from swiftask_jupyter.support.io_thread import run_loop_while_waiting
from swiftask_jupyter.support.wording import quantity
from swiftask_jupyter.turns.request_preview import RequestPreview

if TYPE_CHECKING:
    from swiftask_jupyter.answers.answer import Answer
    from swiftask_jupyter.conversation.running_turn import Stream


def ask_cell(context: NotebookContext, line: str, text: str) -> object:
    """Ask the prompt of a cell, and return the value of the cell.

    Args:
        context: the shell and its client.
        line: the text behind the magic's name.
        text: the prompt.

    Raises:
        UsageError: the line makes no sense.
        Interrupted: the user stopped the cell; the text that had arrived is kept.
        SwiftaskError: the request was not sent, or failed.
    """
    with hold_interrupts() as held:
        finish = prepare(context, line, text)
    if held:
        raise Interrupted("stopped; nothing was sent")
    return finish()


def prepare(context: NotebookContext, line: str, text: str) -> Callable[[], object]:
    """Do everything that comes before the request, and return the function that does the rest.

    Raises:
        UsageError: the line makes no sense.
        Refused: the prompt can't be sent.
    """
    parsed = _parse(context, line, text)
    options = parsed.options
    if "over" in options:
        from swiftask_jupyter.notebook.commands.map import ask_rows

        return partial(ask_rows, context, parsed, text)
    if "schema" in options:
        raise UsageError("--schema names the columns of --over; add --over FRAME")
    context.connect(warm="dry_run" not in options)
    text, remarks = (text, ()) if "raw" in options else _interpolate(context, text)
    agents: list[str | None] = [*parsed.agents] or [None]
    try:
        asked = _ask_options(context, parsed)
    except PromptError as error:
        context.client.refuse(error, agent=agents[0], text=text)
        raise
    if context.settings.nested:
        check_nesting(sys.modules.get("ipykernel"))
    from swiftask_jupyter.conversation.session import Origin

    session = context.client.session(options.get("session"))
    if "dry_run" in options:
        previews = [session.dry_run(text, agent, **asked) for agent in agents]
        return partial(_show_previews, previews, parsed, context.names)
    origin = Origin("cell", superseded=len(agents) > 1)
    if origin.superseded and (name := options.get("format", "md")) != "md":
        raise UsageError(f"-f {name} is for one answer; name one agent")
    streams = [session.stream_from(origin, text, agent, **asked) for agent in agents]
    return _watcher(context, streams, parsed, remarks)


def _parse(context: NotebookContext, line: str, text: str) -> MagicLine:
    try:
        return parse_line(line)
    except UsageError as error:
        context.client.refuse(PromptError(str(error)), agent=None, text=text)
        raise


def _interpolate(context: NotebookContext, text: str) -> tuple[str, tuple[str, ...]]:
    """Return the prompt with the user's values in it, and what the footer remarks on that."""
    from swiftask_jupyter.prompts.templates import expression_warnings, interpolate

    filled, remarks = interpolate(text, context.names)
    return filled, remarks + expression_warnings(text)


def _ask_options(context: NotebookContext, line: MagicLine) -> dict[str, Any]:
    """Return the keywords for `Session.ask` that the line gives."""
    asked = request_options(line, AskOptions)
    if "files" in asked:
        from swiftask_jupyter.prompts.attachments import load_attachments

        asked["files"] = load_attachments(asked["files"], context.names)
    if context.client.runtime.cache != "off":
        asked.pop("cache", None)  # --cache turns it on, and does not weaken `strict`
    return asked


class Previews(list[RequestPreview]):
    """The requests of a dry run with several agents, shown one below the other."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002, FBT001 - IPython's
        printer.text("\n\n".join(str(preview) for preview in self))


def _show_previews(
    previews: list[RequestPreview], line: MagicLine, names: dict[str, Any]
) -> RequestPreview | Previews | None:
    """Return the value of a cell with `--dry-run`, or put it into the line's variable."""
    result = Previews(previews) if len(previews) > 1 else previews[0]
    if line.target is not None:
        names[line.target] = result
    return result if line.shown else None


def _watcher(
    context: NotebookContext, streams: list[Stream], line: MagicLine, remarks: tuple[str, ...]
) -> Callable[[], object]:
    """Return the function that shows the answer as it grows, or several side by side."""
    if len(streams) > 1:
        from swiftask_jupyter.notebook.compare import compare

        for each in streams:
            each.reply.remarks += remarks
        return partial(compare, context.shell, streams, line)
    [stream] = streams
    stream.reply.format = line.options.get("format", "md")
    display = display_for(context.shell, stream.reply, shown=line.shown, remarks=remarks)
    return partial(_watch, context, stream, display, line)


def _watch(
    context: NotebookContext, stream: Stream, display: Display, line: MagicLine
) -> Answer | None:
    """Show the answer as it arrives, and return it unless it goes into a variable."""
    nested, failure = context.settings.nested, None
    batches = stream.batches(NO_WAIT if nested else REDRAW_SECONDS)
    with hold_interrupts(batches.wake) as held:
        try:
            for events in run_loop_while_waiting(batches) if nested else batches:
                if held:
                    break
                display.show(events or ())
        except SwiftaskError as error:
            failure = error
        stream.close()
        display.finish()
        answer = stream.kept
        if line.target is not None and (answer.text or answer.status == "ok"):
            context.names[line.target] = answer
    if held:
        raise Interrupted(f"stopped; {quantity(len(answer), 'character')} kept")
    if failure is not None:
        raise failure
    if answer.reply.format == "json":
        answer.json()  # raises the error that the cell should fail with
    return answer if line.target is None else None


def check_nesting(ipykernel: Any) -> None:
    """Refuse the setting `nested` where it is known to break the kernel.

    Args:
        ipykernel: the imported module, or `None` outside of a kernel.

    Raises:
        ConfigurationError: Python or ipykernel is too new for it.
    """
    version = getattr(ipykernel, "version_info", (0,))
    reason = ""
    if sys.version_info >= (3, 14):
        reason = "nest_asyncio does not work on Python 3.14"
    elif tuple(version[:2]) >= (7, 1):
        reason = "with ipykernel 7.1 and newer, nested waiting drops the queued cells of Run All"
    if reason:
        from swiftask_jupyter.support.io_thread import HOW_TO_STOP_NESTING

        raise ConfigurationError(reason, advice=HOW_TO_STOP_NESTING)
