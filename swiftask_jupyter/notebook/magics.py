"""`%%swiftask` asks an agent; `%swiftask COMMAND` is for all around it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import line_cell_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import magic_arguments

from swiftask_jupyter.errors import ConfigurationError, Interrupted, PromptError, SwiftaskError
from swiftask_jupyter.notebook.arguments import Line, fields, parse
from swiftask_jupyter.notebook.choices import Choices
from swiftask_jupyter.notebook.options import for_client, takes_options

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from swiftask_jupyter.answers import Answer
    from swiftask_jupyter.client import Swiftask
    from swiftask_jupyter.sandbox import Sandbox
    from swiftask_jupyter.settings import Wanted
    from swiftask_jupyter.streams import Stream

NO_WAIT = 1e-6  # seconds: what has come is taken, what has not is not waited for


@magics_class
class SwiftaskMagics(Choices):
    """The magics of one IPython shell, and the client they share."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.ipython = shell
        self.sandbox: Sandbox | None = None

    @property
    def client(self) -> Swiftask:
        """The client of this shell, made on first use; `%config` is read each time."""
        return self._connected()

    def _connected(self, *, warm: bool = True) -> Swiftask:
        """Return the client; a new one gets ready for the first prompt, if one is to come."""
        from swiftask_jupyter.settings import Wanted

        wanted = Wanted(self.base_url, None, self.agent, self.dialect, self.connection)
        if self._client is None:
            from swiftask_jupyter.client import Swiftask
            from swiftask_jupyter.notebook.identity import notebook_path, running_cell

            names = self.ipython.user_ns
            self._client = Swiftask(notebook=notebook_path(os.environ, names))
            self._client.means.where = lambda: running_cell(self.ipython)
            self._configure(self._client, wanted)
            if warm:
                self._client.warm()
        self._configure(self._client, wanted)
        return self._client

    def _configure(self, client: Swiftask, wanted: Wanted) -> None:
        client.configured = wanted
        client.means.cache = self.cache or os.environ.get("SWIFTASK_CACHE") or "off"
        client.means.history_limit = self.history_limit

    @no_var_expand
    @magic_arguments()
    @takes_options
    @line_cell_magic
    def swiftask(self, line: str, cell: str | None = None) -> object:
        """Ask an agent: the cell below the line is the prompt. `%swiftask help` tells more.

        `NAME <<` at the end of the line puts the answer into a variable, `NAME =<<` shows it
        too. `{{name}}`, `{{name.attribute}}`, `{{name["key"]}}` and `{{number:.2f}}` in the
        prompt are filled in.
        """
        from swiftask_jupyter.notebook.commands import HELP_WORDS, run

        if cell is None or line.strip() in HELP_WORDS:
            return run(self, line)
        return self.ask(line, cell.removesuffix("\n"))

    def ask(self, line: str, text: str) -> object:
        """Ask what a cell holds; `line` is what stands behind the magic's name."""
        try:
            parsed = parse(self.swiftask, line)
        except UsageError as error:
            self.client.refuse(PromptError(str(error)), agent=None, text=text)
            raise
        options = parsed.options
        if options.over is not None:
            from swiftask_jupyter.notebook.over import over

            return over(self, parsed, text)
        if options.schema is not None:
            raise UsageError("--schema names the columns of --over, which is not there")
        self._connected(warm=not options.dry_run)
        text, remarks = (text, ()) if options.raw else self._filled(text)
        try:
            asked = self._asked(options)
        except PromptError as error:
            self.client.refuse(error, agent=next(iter(options.agent), None), text=text)
            raise
        if self.nested:
            refuse_nesting(sys.modules.get("ipykernel"))
        session = self.client.session(options.session)
        if options.dry_run:
            from swiftask_jupyter.notebook.drafted import drafted

            drafts = [session.dry_run(text, each, **asked) for each in options.agent or [None]]
            return drafted(drafts, parsed, self.ipython.user_ns)
        if len(options.agent) > 1:
            if options.format != "md":
                raise UsageError(f"-f {options.format} is for one answer; name one agent")
            from swiftask_jupyter.notebook.compare import compare

            streams = [session.stream(text, each, aside=True, **asked) for each in options.agent]
            for each in streams:
                each.reply.remarks += remarks
            return compare(self.ipython, streams, parsed)
        stream = session.stream(text, next(iter(options.agent), None), **asked)
        stream.reply.form = options.format
        return self._watch(stream, parsed, remarks)

    def _filled(self, text: str) -> tuple[str, tuple[str, ...]]:
        """Return the prompt with its fields filled in, and what the footer is to say of them."""
        from swiftask_jupyter.templates import fill, left_as_written

        filled, remarks = fill(text, self.ipython.user_ns)
        return filled, remarks + left_as_written(text)

    def _asked(self, options: Any) -> dict[str, Any]:
        """Return what the options say of the question, by the names that Python gives them."""
        files: tuple[object, ...] = ()
        if options.attach:
            from swiftask_jupyter.attachments import gather

            files = gather(options.attach, self.ipython.user_ns)
        return {
            **fields(options.option),
            **for_client(options),
            "surface": "cell",
            "files": files,
            "history": not options.no_history,
            "fresh": options.fresh,
            "last": options.last,
            "cache": "on" if options.cache and self.client.means.cache == "off" else None,
            "replay": options.replay,
        }

    def _watch(self, stream: Stream, line: Line, remarks: tuple[str, ...]) -> Answer | None:
        from swiftask_jupyter.loops import keep_turning
        from swiftask_jupyter.notebook.display import TICK, display_for
        from swiftask_jupyter.notebook.interrupts import holding_interrupts

        display = display_for(self.ipython, stream.reply, shown=line.shown, remarks=remarks)
        watch, failed = stream.batches(NO_WAIT if self.nested else TICK), None
        with holding_interrupts(watch.wake) as held:
            try:
                for events in keep_turning(watch) if self.nested else watch:
                    if held:
                        break
                    display.show(events or ())
            except SwiftaskError as error:
                failed = error
            stream.close()
            display.finish()
            answer = stream.kept
            if line.target is not None and (answer.text or answer.status == "ok"):
                self.ipython.user_ns[line.target] = answer
        if held:
            raise Interrupted(f"stopped; {len(answer)} characters were kept")
        if failed is not None:
            raise failed
        if answer.reply.form == "json":
            answer.json()  # raises what the cell should fail with
        return answer if line.target is None else None

    def close(self) -> None:
        """Close the client and the sandbox."""
        if self._client is not None:
            self._client.close()
        if self.sandbox is not None:
            self.sandbox.stop()


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
        from swiftask_jupyter.loops import NOT_NESTED

        raise ConfigurationError(reason, advice=NOT_NESTED)


def load(shell: InteractiveShell) -> None:
    """Register the magics, their completion, and the way an `Answer` shows itself."""
    from swiftask_jupyter.notebook import answers, completion, verbatim

    magics = SwiftaskMagics(shell)
    shell.register_magics(magics)
    verbatim.register(shell)
    answers.register(shell)
    completion.register(shell, magics)


def unload(shell: InteractiveShell) -> None:
    """Undo `load`."""
    from swiftask_jupyter.notebook import answers, completion, verbatim

    registered: Any = shell.magics_manager.registry.pop(SwiftaskMagics.__name__, None)
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("swiftask", None)
    verbatim.unregister(shell)
    answers.unregister(shell)
    completion.unregister(shell)
    if registered is not None:
        if registered in shell.configurables:
            shell.configurables.remove(registered)
        registered.close()
