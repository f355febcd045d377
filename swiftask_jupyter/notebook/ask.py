"""What `--dry-run` gives a cell: one draft or several, shown or in a variable.

What `%%swiftask` does: read the line, put the question together, watch the answer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from swiftask_jupyter.errors import ConfigurationError, Interrupted, PromptError, SwiftaskError
from swiftask_jupyter.notebook.arguments import MagicLine, fields, for_client, parse
from swiftask_jupyter.notebook.display import AT_ONCE, TICK, Display, display_for
from swiftask_jupyter.notebook.interrupts import holding_interrupts
from swiftask_jupyter.support.io_thread import keep_turning
from swiftask_jupyter.support.wording import quantity
from swiftask_jupyter.turns.request_preview import RequestPreview

if TYPE_CHECKING:
    from swiftask_jupyter.answers.answer import Answer
    from swiftask_jupyter.conversation.stream import Stream
    from swiftask_jupyter.notebook.arguments import MagicLine
    from swiftask_jupyter.notebook.magics import SwiftaskMagics


class Drafts(list[RequestPreview]):
    """Several drafts, shown one below the other."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002, FBT001 - IPython's
        printer.text("\n\n".join(str(draft) for draft in self))


def drafted(
    drafts: list[RequestPreview], line: MagicLine, names: dict[str, Any]
) -> RequestPreview | Drafts | None:
    """Return what the cell ends with; put it into the line's variable, if that names one."""
    result = Drafts(drafts) if len(drafts) > 1 else drafts[0]
    if line.target is not None:
        names[line.target] = result
    return result if line.shown else None


def ready(magics: SwiftaskMagics, line: str, text: str) -> Callable[[], object]:
    """Do all that comes before the request, and return what is to be done then.

    Raises:
        UsageError: the line makes no sense.
        Refused: the prompt can't be sent.
    """
    parsed = _parsed(magics, line, text)
    options = parsed.options
    if options.over is not None:
        from swiftask_jupyter.notebook.commands.map import over

        return partial(over, magics, parsed, text)
    if options.schema is not None:
        raise UsageError("--schema names the columns of --over, which is not there")
    magics.connected(warm=not options.dry_run)
    text, remarks = (text, ()) if options.raw else _filled(magics, text)
    try:
        asked = _asked(magics, options)
    except PromptError as error:
        magics.client.refuse(error, agent=next(iter(options.agent), None), text=text)
        raise
    if magics.nested:
        refuse_nesting(sys.modules.get("ipykernel"))
    session = magics.client.session(options.session)
    if options.dry_run:
        drafts = [session.dry_run(text, each, **asked) for each in options.agent or [None]]
        return partial(drafted, drafts, parsed, magics.ipython.user_ns)
    several = len(options.agent) > 1
    if several and options.format != "md":
        raise UsageError(f"-f {options.format} is for one answer; name one agent")
    streams = [
        session.stream(text, each, aside=several, **asked) for each in options.agent or [None]
    ]
    return _shown(magics, streams, parsed, remarks)


def _shown(
    magics: SwiftaskMagics, streams: list[Stream], line: MagicLine, remarks: tuple[str, ...]
) -> Callable[[], object]:
    """Return how the answers are watched: one grows in its cell, several stand side by side."""
    if len(streams) > 1:
        from swiftask_jupyter.notebook.compare import compare

        for each in streams:
            each.reply.remarks += remarks
        return partial(compare, magics.ipython, streams, line)
    [stream] = streams
    stream.reply.form = line.options.format
    display = display_for(magics.ipython, stream.reply, shown=line.shown, remarks=remarks)
    return partial(_watch, magics, stream, display, line)


def _parsed(magics: SwiftaskMagics, line: str, text: str) -> MagicLine:
    try:
        return parse(magics.swiftask, line)
    except UsageError as error:
        magics.client.refuse(PromptError(str(error)), agent=None, text=text)
        raise


def _filled(magics: SwiftaskMagics, text: str) -> tuple[str, tuple[str, ...]]:
    """Return the prompt with its fields filled in, and what the footer is to say of them."""
    from swiftask_jupyter.prompts.templates import fill, left_as_written

    filled, remarks = fill(text, magics.ipython.user_ns)
    return filled, remarks + left_as_written(text)


def _asked(magics: SwiftaskMagics, options: Any) -> dict[str, Any]:
    """Return what the options say of the question, by the names that Python gives them."""
    files: tuple[object, ...] = ()
    if options.attach:
        from swiftask_jupyter.prompts.attachments import gather

        files = gather(options.attach, magics.ipython.user_ns)
    return {
        **fields(options.option, files="write -a FILE"),
        **for_client(options),
        "surface": "cell",
        "files": files,
        "history": not options.no_history,
        "fresh": options.fresh,
        "last": options.last,
        "cache": "on" if options.cache and magics.client.means.cache == "off" else None,
        "replay": options.replay,
    }


def _watch(
    magics: SwiftaskMagics, stream: Stream, display: Display, line: MagicLine
) -> Answer | None:
    watch, failed = stream.batches(AT_ONCE if magics.nested else TICK), None
    with holding_interrupts(watch.wake) as held:
        try:
            for events in keep_turning(watch) if magics.nested else watch:
                if held:
                    break
                display.show(events or ())
        except SwiftaskError as error:
            failed = error
        stream.close()
        display.finish()
        answer = stream.kept
        if line.target is not None and (answer.text or answer.status == "ok"):
            magics.ipython.user_ns[line.target] = answer
    if held:
        raise Interrupted(f"stopped; {quantity(len(answer), 'character')} kept")
    if failed is not None:
        raise failed
    if answer.reply.form == "json":
        answer.json()  # raises what the cell should fail with
    return answer if line.target is None else None


def refuse_nesting(ipykernel: Any) -> None:
    """Refuse nested waiting where it is known to break.

    Raises:
        ConfigurationError: this is such a place.
    """
    version = getattr(ipykernel, "version_info", (0,))
    reason = ""
    if sys.version_info >= (3, 14):
        reason = "nest_asyncio does not work on Python 3.14"
    elif tuple(version[:2]) >= (7, 1):
        reason = "with ipykernel 7.1 and newer, nested waiting drops the queued cells of Run All"
    if reason:
        from swiftask_jupyter.support.io_thread import NOT_NESTED

        raise ConfigurationError(reason, advice=NOT_NESTED)
