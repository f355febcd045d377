"""`Swiftask`: the one object that cells, panel and scripts share."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from swiftask_jupyter.answers.answer import Answer
from swiftask_jupyter.answers.reply import Event
from swiftask_jupyter.conversation.notebook_file import NotebookFile, address
from swiftask_jupyter.conversation.session import Means, Session
from swiftask_jupyter.conversation.stream import Stream
from swiftask_jupyter.errors import ConfigurationError, Refused
from swiftask_jupyter.ledger import Ledger
from swiftask_jupyter.ledger.budgets import Budgets
from swiftask_jupyter.ledger.opening import open_store
from swiftask_jupyter.ledger.turns import Place
from swiftask_jupyter.settings.connection import ConnectionOverrides
from swiftask_jupyter.turns.connections import Connections

if TYPE_CHECKING:
    import pandas as pd

    import swiftask_jupyter
    from swiftask_jupyter.turns.request_preview import RequestPreview


class Swiftask(Connections):
    """A client: ask agents, watch their answers, read what they cost.

    Args:
        base_url: one root from which the routes of all dialects derive; one that ends in
            `/api` or `/v1` is understood. Default: `SWIFTASK_BASE_URL`, else the documented
            addresses.
        token: an API key or an agent's client token. Default: `SWIFTASK_API_KEY`, else what
            `%swiftask login` kept.
        agent: the slug asked when none is named. Default: `SWIFTASK_AGENT_SLUG`.
        dialect: `openai`, `native`, `widget`, `chat`, `agencii`, or `auto`, which chooses
            between the first two. Default: `SWIFTASK_DIALECT`, else
            `auto`.
        connection: the name of a connection in `pyproject.toml` or the user's `config.toml`.
        store: the ledger's file, or `postgresql://…`. Default: `SWIFTASK_STORE`, else a file in
            the user's data directory.
        notebook: the notebook's path, where there is one.
        session: the name of the conversation to go on with. Default: `main` in a notebook,
            else a new one.

    Raises:
        ConfigurationError: the base URL, the token or the dialect is unusable.
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
        super().__init__(
            ConnectionOverrides(base_url, token, agent, dialect, connection).validated()
        )
        self._ledger = Ledger(open_store(store, os.environ))
        self.store = self._ledger.store.path or str(self._ledger.store)
        self.means = Means(
            self._ledger, self._transport, self._thread, self._prepared, self._masked,
            cache=os.environ.get("SWIFTASK_CACHE") or "off",
        )  # fmt: skip
        self._file = NotebookFile(notebook)
        self.current = session or ("main" if notebook else f"python-{secrets.token_hex(4)}")
        self._sessions: dict[str, Session] = {}
        if base_url or token or connection:
            self.connection()  # what was written here is wrong here, not at the first prompt

    def session(self, name: str | None = None) -> Session:
        """Return the conversation of that name; without one, the one that cells go on with."""
        name = name or self.current
        if name not in self._sessions:
            self._sessions[name] = Session(self.means, self._file, name)
        return self._sessions[name]

    def sessions(self) -> list[str]:
        """Return the names of this notebook's conversations, the newest last."""
        return self._ledger.sessions.names(self.place.notebook)

    def ask(self, text: str, agent: str | None = None, **options: Any) -> Answer:
        """Ask an agent one question, outside of any conversation, and return its whole answer.

        Args:
            text: the prompt.
            agent: the slug; default: the connection's.
            options: for this call alone: `dialect`, `connection`, `system` (a message before
                the prompt), `files` (paths, URLs, DataFrames, figures, `(name, bytes)`),
                `timeout` (the seconds the service may be silent), `stream=False` (an answer in
                one piece) and `cache`. All others are fields of the request, such as
                `temperature` or `stateless`.

        Raises:
            Refused: nothing was sent, and the message says why.
            ConnectionFailed: no answer came.
            ServiceError: the service answered with an error.
            StreamError: the answer broke off or made no sense.
            StoreError: the ledger can't be written.
        """
        return self.session().ask(text, agent, history=False, **options)

    def stream(self, text: str, agent: str | None = None, **options: Any) -> Stream:
        """Ask an agent and return its answer's events as they come; all else as `ask`."""
        return self.session().stream(text, agent, history=False, **options)

    async def ask_async(self, text: str, agent: str | None = None, **options: Any) -> Answer:
        """Ask from a running loop; all else as `ask`."""
        return await self.session().ask_async(text, agent, history=False, **options)

    def stream_async(
        self, text: str, agent: str | None = None, **options: Any
    ) -> AsyncIterator[Event]:
        """Yield the events of an answer in a running loop; all else as `ask`."""
        return self.session().stream_async(text, agent, history=False, **options)

    def dry_run(self, text: str, agent: str | None = None, **options: Any) -> RequestPreview:
        """Return what `ask` would send, and send nothing; `print` shows it."""
        return self.session().dry_run(text, agent, history=False, **options)

    def map(
        self, frame: pd.DataFrame, text: str, agent: str | None = None, **options: Any
    ) -> pd.DataFrame:
        """Ask an agent once for each row of a frame; return it with the columns of the answers.

        A row that fails is a row with an error. What was answered before is not sent again: run
        it once more, after whatever stopped it, and only what is missing is sent. Columns:
        `answer`, `status` (ok, error, refused, not sent), `error`, `tokens`, `credits`,
        `seconds`, `attempts`; what a prompt cost stands at the first of the rows that share it.

        Args:
            frame: the rows; order and index stay as they are. A Dask DataFrame is asked for
                when it is computed, by the workers of its cluster, each with its share of the
                concurrency; token and ledger are those of the workers' environment.
            text: the prompt; `{{column}}` is the row's value, `{{row}}` the whole row.
            agent: the slug; default: the connection's.
            options: `concurrency=8` (requests at once), `schema` (typed columns:
                `"label: str, score: float"`, a dict of dtypes or a pydantic model), `files` (a
                column of paths), `prefix=""` (of the new columns), `retry` (`"errors"` sends
                failed rows again, `"all"` every row), `pilot=5` (sends five first), `confirm`
                (`False` never asks; above 1,000 rows it asks), `tries=4` (requests a row),
                `progress=True`, `names` (what else a `{{name}}` may be); and all that `ask` takes.

        Raises:
            Refused: nothing was sent, and the message says why.
            Unauthorized: the service does not take the token; what was answered is kept.
            Interrupted: the user stopped it; what was answered is kept.
            StoreError: the ledger can't be read or written.
        """
        from swiftask_jupyter.batch.batch import Batch
        from swiftask_jupyter.batch.dask import is_dask_frame, map_dask_frame
        from swiftask_jupyter.batch.options import BatchSettings

        if is_dask_frame(frame):
            made: pd.DataFrame = map_dask_frame(self, frame, text, {"agent": agent, **options})
            return made
        return Batch(self.means, self.notebook, frame, text, BatchSettings.from_options(agent, options)).run()

    async def map_async(
        self, frame: pd.DataFrame, text: str, agent: str | None = None, **options: Any
    ) -> pd.DataFrame:
        """Do the same from a running loop; above 1,000 rows it wants `confirm=False`."""
        from swiftask_jupyter.batch.batch import Batch
        from swiftask_jupyter.batch.dask import is_dask_frame
        from swiftask_jupyter.batch.options import BatchSettings

        if is_dask_frame(frame):
            return self.map(frame, text, agent, **options)  # computed by others, later
        wishes = BatchSettings.from_options(agent, options)
        batch = await asyncio.to_thread(Batch, self.means, self.notebook, frame, text, wishes)
        return await batch.run_async()

    def chat(self, agent: str | None = None, **options: Any) -> swiftask_jupyter.ChatPanel:
        """Return a chat panel, which a notebook shows; the options are those of `ChatPanel`."""
        import swiftask_jupyter

        return swiftask_jupyter.ChatPanel(self, agent, **options)

    def usage(
        self, by: str | Sequence[str] = (), *, notebook: str | Path | None = None, **wanted: Any
    ) -> pd.DataFrame:
        """Return the ledger, one row a call, oldest first, or with `by` one row a group.

        Args:
            by: `day`, `agent`, `session`, `cell`, `notebook`, `surface`, `status`, or several.
            notebook: only this notebook's calls; `.` is the client's own, `all` every one's.
            wanted: `since="7d"`, `agent=`, `session=`, `text=True`; as `usage.ledger.usage` says.

        Raises:
            ConfigurationError: a group or a time is none.
            StoreError: the ledger can't be read.
        """
        from swiftask_jupyter.usage.query import usage

        path = self.notebook
        if notebook != ".":
            path = None if notebook in (None, "all") else address(notebook)
        elif path is None:
            raise ConfigurationError(
                "which notebook this is, is not known", advice="name its path, or leave it out"
            )
        return usage(self._ledger.accounts, by, notebook=path, **wanted)

    @property
    def notebook(self) -> str | None:
        """The path of the notebook, also after it was renamed; `None` outside of one."""
        return self._file.path

    @property
    def budgets(self) -> Budgets:
        """What may be spent; `set`, `increase`, `drop`, `all`, `spent`."""
        return self._ledger.budgets

    def refuse(self, error: Refused, *, agent: str | None, text: str) -> None:
        """Record a prompt that was refused before it was sent, without any token in it."""
        self.session().refuse(error, agent=agent or "", text=text)

    @property
    def place(self) -> Place:
        """The notebook and the session that turns belong to."""
        return self.session().place

    def warm(self) -> None:
        """Load what the first answer needs, on the I/O thread, without waiting for it."""
        if self.means.cache != "strict":  # which opens no connection
            super().warm()

    def close(self) -> None:
        """Cancel what runs, close every connection and the ledger."""
        self._thread.close()
        self._ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
