"""Run a `%%swiftask` cell: parse its first line, build the request, and show the answer."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from swiftask_jupyter.errors import ConfigurationError, Interrupted, PromptError, SwiftaskError
from swiftask_jupyter.notebook.arguments import MagicLine, parse_line, request_options
from swiftask_jupyter.notebook.context import NotebookContext, hold_interrupts
from swiftask_jupyter.notebook.display import NO_WAIT, REDRAW_SECONDS, ReplyDisplay, display_for
from swiftask_jupyter.options import AskOptions
from swiftask_jupyter.support.io_thread import run_loop_while_waiting
from swiftask_jupyter.support.wording import quantity
from swiftask_jupyter.turns.request_preview import RequestPreview

if TYPE_CHECKING:
    from swiftask_jupyter.answers.answer import Answer
    from swiftask_jupyter.conversation.running_turn import Stream

# A line of a prompt that was meant as a magic of its own.
_MAGIC = re.compile(r"^%{1,2}swiftask(?!\S).*", re.MULTILINE)
_COMMENT = re.compile(r"\s*(?:#(?!\S).*|<!--(?:(?!-->).)*-->\s*)?")


def ask_cell(context: NotebookContext, line: str, text: str) -> object:
    """Run a `%%swiftask` cell or `%swiftask ask`: send the prompt and show the answer.

    Args:
        context: the shell and its client.
        line: the text after `%%swiftask` on the first line.
        text: the prompt.

    Returns:
        The value of the cell: an `Answer` for one agent, or a `Comparison` for several agents. With
        `--dry-run`, the value is a preview of the request. With `--over`, the value is a DataFrame.
        With `NAME <<`, the value is `None`. With `NAME =<<`, answers are shown but not returned.

    Raises:
        UsageError: the line is invalid, or two options can't be combined.
        Interrupted: the user interrupted the cell. Text that had arrived is kept.
        SwiftaskError: the request could not be sent, or the request failed.
    """
    with hold_interrupts() as held:
        finish = prepare(context, line, text)
    if held:
        raise Interrupted("stopped; nothing was sent")
    return finish()


def prepare(context: NotebookContext, line: str, text: str) -> Callable[[], object]:
    """Parse the line of a cell and build the request, but do not send the request.

    Returns:
        A function without arguments that runs the rest of the cell. The function sends the request,
        shows the answer and returns the value of the cell. With `--dry-run`, the function only
        returns the preview of the request.

    Raises:
        UsageError: the line is invalid, or two options can't be combined.
        Refused: the prompt can't be sent; the message gives the reason.
    """
    parsed = _parse(context, line, text)
    options = parsed.options
    client = context.connect(warm="dry_run" not in options)
    _check(context, parsed, text)
    if "over" in options:
        from swiftask_jupyter.notebook.commands.batch import ask_rows

        return partial(ask_rows, context, parsed, text)
    if "schema" in options:
        raise UsageError("--schema names the columns of --over; add --over FRAME")
    agents: list[str | None] = [*parsed.agents] or [None]
    remarks: tuple[str, ...] = ()
    try:
        if "raw" not in options:
            text, remarks = _interpolate(context, text)
        asked = _ask_options(context, parsed)
    except PromptError as error:
        named = options.get("connection")
        client.refuse(error, agent=agents[0] or "", text=text, connection=named)
        raise
    if context.settings.nested:
        check_nesting(sys.modules.get("ipykernel"))
    from swiftask_jupyter.conversation.session import TurnPlacement

    session = client.session(options.get("session"))
    if "dry_run" in options:
        previews = [session.dry_run(text, agent, **asked).with_remarks(remarks) for agent in agents]
        return partial(_show_previews, previews, parsed, context.names)
    origin = TurnPlacement("cell", superseded=len(agents) > 1)
    if origin.superseded and (name := options.get("format", "md")) != "md":
        raise UsageError(f"-f {name} is for one answer; name one agent")
    streams = [session.stream_from(origin, text, agent, **asked) for agent in agents]
    return _watcher(context, streams, parsed, remarks)


def _parse(context: NotebookContext, line: str, text: str) -> MagicLine:
    try:
        return parse_line(line)
    except UsageError as error:
        context.client.refuse(PromptError(str(error)), agent="", text=text)
        raise


def _check(context: NotebookContext, line: MagicLine, text: str) -> None:
    """Raise an error if the line or the prompt is probably a mistake.

    Raises:
        UsageError: a word on the line is no agent, the prompt has a magic, or the prompt has only
            comments.
    """
    try:
        if may_be_no_agent(line.agents, context.names):
            from swiftask_jupyter.notebook.agent_words import check_agents

            check_agents(context, line.agents, line.options)
        if "raw" not in line.options:
            _check_prompt(text, "" if "over" in line.options else "; --raw sends it as written")
    except UsageError as error:
        named = line.options.get("connection")
        context.client.refuse(PromptError(str(error)), agent="", text=text, connection=named)
        raise


def may_be_no_agent(words: list[str], names: dict[str, Any]) -> bool:
    """Return whether the words of a line must be looked up in the agent catalogue.

    Several words are always looked up. A single word is looked up if it looks like a file name, has
    a capital letter, or is the name of a DataFrame.

    Args:
        words: the words of the line that stand for agents.
        names: a dict that maps the names of the user's variables to values.
    """
    if len(words) != 1:
        return len(words) > 1
    [word] = words
    dotted = "." in word and word.rpartition(".")[2].isalpha()
    path = dotted or "/" in word or "\\" in word
    return path or word != word.lower() or hasattr(names.get(word), "columns")


def _check_prompt(text: str, hint: str) -> None:
    """Raise an error if the prompt has a magic, or only comments.

    Args:
        text: the prompt.
        hint: the end of the error message.

    Raises:
        UsageError: a line of the prompt begins with a magic, or all lines are comments.
    """
    if found := _MAGIC.search(text):
        magic = found[0].split()[0]
        raise UsageError(
            f"a line of the prompt begins with {magic}; give it a cell of its own{hint}"
        )
    marked = text.lstrip()[:1] in {"#", "<"} and "{{" not in text
    if marked and all(map(_COMMENT.fullmatch, text.splitlines())):
        raise UsageError(f"the prompt has only comments{hint}")


def _interpolate(context: NotebookContext, text: str) -> tuple[str, tuple[str, ...]]:
    """Replace the `{{…}}` fields of a prompt with the values of the user's variables.

    Returns:
        The new prompt, and remarks for the footer. For example, a remark says which rows of a table
        are missing in the prompt.

    Raises:
        PromptError: a variable does not exist, or a value can't be written in full.
    """
    from swiftask_jupyter.prompts.templates import expression_warnings, interpolate

    filled, remarks = interpolate(text, context.names)
    if remarks:
        from swiftask_jupyter.prompts.unknown_names import check_fields

        check_fields(text, context.names, remarks)
    return filled, remarks + expression_warnings(text)


def _ask_options(context: NotebookContext, line: MagicLine) -> dict[str, Any]:
    """Return the options of a line as keyword arguments for `Session.ask`.

    Files that the line attaches are loaded.

    Raises:
        PromptError: an `-o` option is invalid, or a file can't be attached.
    """
    asked = request_options(line, AskOptions)
    if "files" in asked:
        from swiftask_jupyter.prompts.attachments import load_attachments

        asked["files"] = load_attachments(asked["files"], context.names)
    if context.client.runtime.cache != "off":
        asked.pop("cache", None)  # `--cache` means `on`, which must not replace `strict`
    return asked


class Previews(list[RequestPreview]):
    """The request previews of a `--dry-run` cell for several agents, one preview per agent.

    IPython prints the previews one below another.
    """

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002, FBT001 - IPython's
        printer.text("\n\n".join(str(preview) for preview in self))


def _show_previews(
    previews: list[RequestPreview], line: MagicLine, names: dict[str, Any]
) -> RequestPreview | Previews | None:
    """Return the value of a `--dry-run` cell: one preview, or `Previews` for several agents.

    If the line names a variable, the value is also assigned to the variable. With `NAME <<`, the
    function returns `None`.
    """
    result = Previews(previews) if len(previews) > 1 else previews[0]
    if line.target is not None:
        names[line.target] = result
    return result if line.shown else None


def _watcher(
    context: NotebookContext, streams: list[Stream], line: MagicLine, remarks: tuple[str, ...]
) -> Callable[[], object]:
    """Return a function without arguments that runs the rest of a cell.

    The returned function sends the requests, shows the answers and returns the value of the cell.
    """
    for each in streams:
        each.reply.remarks += remarks
    if len(streams) > 1:
        from swiftask_jupyter.notebook.compare import compare

        return partial(compare, context.shell, streams, line)
    [stream] = streams
    stream.reply.format = line.options.get("format", "md")
    display = display_for(context.shell, stream.reply, shown=line.shown)
    return partial(_watch, context, stream, display, line)


def _watch(
    context: NotebookContext, stream: Stream, display: ReplyDisplay, line: MagicLine
) -> Answer | None:
    """Send one request, show the answer while its text arrives, and return the answer.

    If the line assigns the answer to a variable, the function returns `None`.

    Raises:
        Interrupted: the user interrupted the cell. Text that had arrived is kept.
        SwiftaskError: the request failed, or an answer in the format `json` contains no JSON.
    """
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
        answer.json()  # if the answer has no JSON, this error makes the cell fail
    return answer if line.target is None else None


def check_nesting(ipykernel: Any) -> None:
    """Check that Python and ipykernel are compatible with the setting `nested`.

    With `nested`, the kernel's own tasks run while a cell waits for an answer.

    Args:
        ipykernel: the imported module `ipykernel`, or `None` outside of a kernel.

    Raises:
        ConfigurationError: the version of Python or ipykernel is too new for `nested`.
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
