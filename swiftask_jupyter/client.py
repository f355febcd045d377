"""`Swiftask`: the client class that cells, the chat panel and scripts use."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

from swiftask_jupyter.answers.answer import Answer
from swiftask_jupyter.answers.turn import Event
from swiftask_jupyter.conversation.notebook_file import NotebookFile, serves_visitors
from swiftask_jupyter.conversation.running_turn import Stream
from swiftask_jupyter.conversation.session import ClientRuntime, Session
from swiftask_jupyter.errors import ConfigurationError, Refused
from swiftask_jupyter.ledger import Ledger
from swiftask_jupyter.ledger.budgets import Budgets
from swiftask_jupyter.ledger.opening import open_store
from swiftask_jupyter.options import (
    BatchOptions,
    ChatOptions,
    PurgeOptions,
    RequestOptions,
    UsageOptions,
    check_known,
    check_options,
    with_options,
)
from swiftask_jupyter.settings.connection import ConnectionOverrides
from swiftask_jupyter.support.sanitize import sanitize_line
from swiftask_jupyter.turns.connections import Connections

if TYPE_CHECKING:
    import pandas as pd

    from swiftask_jupyter.batch.batch import Batch
    from swiftask_jupyter.notebook.panel.panel import ChatPanel
    from swiftask_jupyter.turns.request_preview import RequestPreview
    from swiftask_jupyter.widget_api import WidgetAPI


class Swiftask:
    """A client of the Swiftask service: sends prompts to agents and records each call in a ledger.

    Args:
        base_url: the root URL of the service; it may end in `/api` or `/v1`. Default:
            `SWIFTASK_BASE_URL`, else the addresses in Swiftask's documentation.
        token: an API key or an agent's client token. Default: `SWIFTASK_API_KEY`, else the token
            that `%swiftask login` stored.
        agent: the slug of the agent to ask if a call names none. Default: `SWIFTASK_AGENT_SLUG`.
        dialect: the service's API to use: `openai`, `native`, `widget`, `chat`, `agencii`, or
            `auto` to choose `openai` or `native`. Default: `SWIFTASK_DIALECT`, else `auto`.
        connection: the name of a connection in `pyproject.toml` or the user's `config.toml`.
        store: the ledger's file, or `postgresql://…`. Default: `SWIFTASK_STORE`, else a file in
            the user's data directory.
        notebook: the notebook's path; default: none.
        session: the name of the conversation to continue. Default: `main` in a notebook, else a
            new conversation. Outside of a notebook, later scripts can continue only the
            conversation with this name, and no other conversation of this client.

    Attributes:
        connections: the settings and the network connections.
        runtime: the objects that the client's conversations and batches share.
        current: the name of the conversation that cells continue.
        store: the path of the ledger's file, or the URL of its server with the password masked.

    Raises:
        ConfigurationError: the base URL, the token, the dialect or the store is unusable.

    Example:
        >>> from swiftask_jupyter import Sandbox, Swiftask
        >>> with Sandbox() as box, Swiftask(base_url=box.url, token=box.token) as swiftask:
        ...     print(swiftask.ask("hello", "echo"))
        hello
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        token: str | None = None,
        agent: str | None = None,
        dialect: str | None = None,
        connection: str | None = None,
        store: str | Path | None = None,
        notebook: str | Path | None = None,
        session: str | None = None,
    ) -> None:
        overrides = ConnectionOverrides(base_url, token, agent, dialect, connection).validated()
        self.connections = Connections(overrides)
        self._ledger = Ledger(open_store(store, os.environ), self.connections.keeps_texts)
        self.store = self._ledger.store.path or str(self._ledger.store)
        cache = os.environ.get("SWIFTASK_CACHE") or "off"
        self.runtime = ClientRuntime(self._ledger, self.connections, cache=cache)
        self.current = session or ("main" if notebook else f"python-{secrets.token_hex(4)}")
        visitors = serves_visitors(os.environ)
        kernel = f"kernel-{secrets.token_hex(8)}" if visitors or not notebook else None
        self._file = NotebookFile(
            notebook, kernel=kernel, shared_name=None if visitors else self.current
        )
        self._sessions: dict[str, Session] = {}
        if base_url or token or connection:
            self.connections.resolve()  # raises now if these arguments are invalid

    def __repr__(self) -> str:
        try:
            connection = self.connections.resolve()
        except ConfigurationError as error:
            return f"<{type(self).__name__}: {error}>"
        agent = sanitize_line(connection.agent or "none named")
        return f"<{type(self).__name__} {connection.host}, agent: {agent}>"

    def session(self, name: str | None = None) -> Session:
        """Return the conversation with this name; default: the conversation named by `current`."""
        name = name or self.current
        if name not in self._sessions:
            self._sessions[name] = Session(self.runtime, self._file, name)
        return self._sessions[name]

    def sessions(self) -> list[str]:
        """Return the names of the notebook's conversations, the newest last.

        Without a notebook, return the names of this client's conversations.

        Raises:
            StoreError: the ledger can't be read.
        """
        return self.session().log.names()

    @with_options(RequestOptions)
    def ask(self, text: str, agent: str | None = None, **options: Unpack[RequestOptions]) -> Answer:
        """Ask an agent one question, outside of any conversation, and return the whole answer.

        Args:
            text: the prompt.
            agent: the agent's slug; default: the connection's agent.
            **options: see `RequestOptions`.

        Raises:
            Refused: nothing was sent; the message says why.
            ConnectionFailed: no response arrived.
            ServiceError: the service responded with an error.
            StreamError: the answer broke off or could not be decoded.
            StoreError: the ledger can't be written.
        """
        return self.stream(text, agent, **options).answer

    @with_options(RequestOptions)
    def stream(
        self, text: str, agent: str | None = None, **options: Unpack[RequestOptions]
    ) -> Stream:
        """Ask one question, outside of any conversation; return a `Stream` of the answer's events.

        The request is sent when the iteration begins. Raises the same errors as `ask`.

        Args:
            text: the prompt.
            agent: the agent's slug; default: the connection's agent.
            **options: see `RequestOptions`.
        """
        check_options(options, RequestOptions)
        return self.session().stream(text, agent, history=False, **options)

    @with_options(RequestOptions)
    async def ask_async(
        self, text: str, agent: str | None = None, **options: Unpack[RequestOptions]
    ) -> Answer:
        """Ask one question as `ask` does, without blocking the caller's event loop.

        Args:
            text: the prompt.
            agent: the agent's slug; default: the connection's agent.
            **options: see `RequestOptions`.
        """
        check_options(options, RequestOptions)
        return await self.session().ask_async(text, agent, history=False, **options)

    @with_options(RequestOptions)
    def stream_async(
        self, text: str, agent: str | None = None, **options: Unpack[RequestOptions]
    ) -> AsyncIterator[Event]:
        """Ask one question and yield the answer's events, without blocking the caller's event loop.

        Raises the same errors as `ask`.

        Args:
            text: the prompt.
            agent: the agent's slug; default: the connection's agent.
            **options: see `RequestOptions`.
        """
        check_options(options, RequestOptions)
        return self.session().stream_async(text, agent, history=False, **options)

    @with_options(RequestOptions)
    def dry_run(
        self, text: str, agent: str | None = None, **options: Unpack[RequestOptions]
    ) -> RequestPreview:
        """Return a printable preview of the request that `ask` would send; send nothing.

        Args:
            text: the prompt.
            agent: the agent's slug; default: the connection's agent.
            **options: see `RequestOptions`.
        """
        check_options(options, RequestOptions)
        return self.session().dry_run(text, agent, history=False, **options)

    @with_options(BatchOptions)
    def map(
        self,
        frame: pd.DataFrame,
        text: str,
        agent: str | None = None,
        **options: Unpack[BatchOptions],
    ) -> pd.DataFrame:
        """Send a prompt for each row of a DataFrame; return a copy with the answers as new columns.

        If a row fails, the other rows are still sent. Answered rows are not sent again: after an
        interruption, the same call sends only the remaining rows. Rows with equal prompts share one
        request; only the first of these rows has the cost. New columns: `answer`, `status` (ok,
        error, refused, not sent), `error`, `tokens`, `credits`, `seconds`, `attempts`.

        Args:
            frame: the rows. A Dask DataFrame gives a lazy Dask DataFrame: the cluster's workers
                send the prompts with the token in their environment, and share `concurrency`.
            text: the prompt; `{{column}}` inserts the row's value, `{{row}}` the whole row.
            agent: the agent's slug; default: the connection's agent.
            **options: see `BatchOptions`.

        Raises:
            Refused: nothing was sent, or a budget is used up; the message says why.
            Unauthorized: the service does not accept the token; the ledger keeps answered rows.
            Interrupted: the user pressed Ctrl-C; the ledger keeps answered rows.
            StoreError: the ledger can't be read or written.
        """
        from swiftask_jupyter.batch.dask import is_dask_frame, map_dask_frame

        if is_dask_frame(frame):
            made: pd.DataFrame = map_dask_frame(self, frame, text, {"agent": agent, **options})
            return made
        return self._batch(frame, text, agent, options).run()

    @with_options(BatchOptions)
    async def map_async(
        self,
        frame: pd.DataFrame,
        text: str,
        agent: str | None = None,
        **options: Unpack[BatchOptions],
    ) -> pd.DataFrame:
        """Do the same as `map`, but never ask for confirmation and never block the event loop.

        More than 1,000 prompts require `confirm=False` or `pilot`. Otherwise, `ConfigurationError`
        is raised.

        Args:
            frame: the rows.
            text: the prompt; `{{column}}` inserts the row's value, `{{row}}` the whole row.
            agent: the agent's slug; default: the connection's agent.
            **options: see `BatchOptions`.
        """
        from swiftask_jupyter.batch.dask import is_dask_frame

        if is_dask_frame(frame):
            return self.map(frame, text, agent, **options)  # computed later, by the workers
        batch = await asyncio.to_thread(self._batch, frame, text, agent, options)
        return await batch.run_async()

    def _batch(
        self, frame: pd.DataFrame, text: str, agent: str | None, options: Mapping[str, Any]
    ) -> Batch:
        from swiftask_jupyter.batch.batch import Batch
        from swiftask_jupyter.batch.options import BatchSettings

        return Batch(
            self.runtime, self.notebook, frame, text, BatchSettings.from_options(agent, options)
        )

    @with_options(ChatOptions)
    def chat(self, agent: str | None = None, **options: Unpack[ChatOptions]) -> ChatPanel:
        """Return a chat panel; a cell shows the panel if the panel is the cell's last expression.

        Args:
            agent: the agent's slug; default: the connection's agent.
            **options: see `ChatOptions`.

        Raises:
            ConfigurationError: an option is unknown, or no panel can be shown here.
        """
        from swiftask_jupyter.notebook.panel.panel import ChatPanel

        check_known(options, ChatOptions)
        return ChatPanel(self, agent, **options)

    @with_options(UsageOptions)
    def usage(self, by: str | Sequence[str] = (), **options: Unpack[UsageOptions]) -> pd.DataFrame:
        """Return the turns in the ledger, one row each, oldest first; with `by`, totals by group.

        Args:
            by: groups: `day`, `agent`, `session`, `cell`, `notebook`, `surface`, `status`, `host`,
                `connection`, or several. Totals leave out the sandbox unless `sandbox` is true.
            **options: see `UsageOptions`.

        Raises:
            ConfigurationError: an option, a group or a time is invalid.
            StoreError: the ledger can't be read.
        """
        from swiftask_jupyter.usage.query import usage

        check_known(options, UsageOptions)
        return usage(self._ledger.usage_queries, by, current=self.notebook, **options)

    @with_options(PurgeOptions)
    def purge(self, **options: Unpack[PurgeOptions]) -> int:
        """Erase the texts of turns from the ledger; return how many turns lost texts.

        The turns keep their counts. Repeats of a turn, such as an answer from the cache, lose their
        texts too. Texts in notebooks and at services stay; `%swiftask privacy` lists these places.

        Args:
            **options: exactly one option of `PurgeOptions`.

        Raises:
            ConfigurationError: not exactly one option is given, or the conversation is unknown.
            StoreError: the ledger can't be read or written.
        """
        from swiftask_jupyter.usage.purge import purge_scope

        names = (*self.sessions(), self.current)
        return self._ledger.erasure.erase(**purge_scope(options, names, self.session))

    def agents(self, pattern: str = "") -> pd.DataFrame:
        """Return the service's public agents as a DataFrame with `slug`, `name` and `chat`.

        The column `chat` says whether an agent is a chat agent; the value may be missing.

        Args:
            pattern: a part of a slug or a name, or a pattern with `*`; case is ignored. Default:
                all agents.

        Raises:
            SwiftaskError: the service did not return its list of agents.
        """
        from swiftask_jupyter.usage.frames import agents_frame

        return agents_frame(self.connections.catalogue(), pattern)

    def download(self, file: str | Mapping[str, Any]) -> bytes:
        """Download a file that an answer links to, and return the content; no token is sent.

        Args:
            file: an item of `Answer.files`, or any http or https URL; at most 200 MB.

        Raises:
            SwiftaskError: the file can't be downloaded, for example because its URL has expired.
        """
        from swiftask_jupyter.widget_api import download

        url = file if isinstance(file, str) else str(file["url"])
        return self.connections.thread.run(download(self.connections.transport, url))

    @property
    def widget(self) -> WidgetAPI:
        """Methods for the chat widget's API: ratings, stored conversations and appearance."""
        from swiftask_jupyter.widget_api import WidgetAPI

        connections = self.connections
        return WidgetAPI(connections.thread, connections.transport, connections.resolve)

    @property
    def notebook(self) -> str | None:
        """The current path of the notebook, even after a rename; `None` outside of a notebook."""
        return self._file.path

    @property
    def budgets(self) -> Budgets:
        """The budgets, which limit the calls, tokens or credits of a period; see `Budgets`."""
        return self._ledger.budgets

    def refuse(self, error: Refused, *, connection: str | None = None, **prompt: str) -> None:
        """Store a refused prompt in the ledger. `prompt` has the keys `agent` and `text`."""
        self.session().refuse(error, connection=connection, **prompt)

    def warm(self) -> None:
        """Load TLS certificates and the agent catalogue in the background, for a faster start."""
        if self.runtime.cache != "strict":  # strict mode sends nothing
            self.connections.warm()

    def close(self) -> None:
        """Cancel the running requests, and close all connections and the ledger."""
        self.connections.thread.close()
        self._ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
