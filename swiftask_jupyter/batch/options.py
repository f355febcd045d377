"""How a batch is to be done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swiftask_jupyter.batch.plan import RETRY
from swiftask_jupyter.conversation.session import CACHES
from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.options import BatchOptions, check_options
from swiftask_jupyter.support.structs import Struct, field

# What `Session.ask` takes beside: rows stand outside of any conversation.
OF_CONVERSATIONS = frozenset(("fresh", "history", "last", "replay"))


class BatchSettings(Struct, frozen=True):
    """What a caller of `map` may set.

    Attributes:
        agent: the slug; default: the connection's.
        concurrency: how many requests are under way at once, at most.
        schema: what each answer must hold.
        files: the column of the files that go along.
        prefix: stands before the name of each new column.
        retry: which prompts sent before are sent again: `None`, `"errors"` or `"all"`.
        pilot: how many are sent first.
        confirm: whether to ask before sending; `None` asks above 1,000 rows.
        tries: how often a prompt is sent at most.
        progress: whether anything is shown.
        names: what else a `{{name}}` may be.
        cache: `strict` sends nothing; `off` and `on` are one here, as a row that was answered
            is never sent again; default: the client's.
        options: all else that `Swiftask.ask` takes.
    """

    agent: str | None = None
    concurrency: int = 8
    schema: Any = None
    files: str | None = None
    prefix: str = ""
    retry: str | None = None
    pilot: int = 0
    confirm: bool | None = None
    tries: int = 4
    progress: bool = True
    names: Mapping[str, Any] | None = None
    cache: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, least in (("concurrency", 1), ("tries", 1), ("pilot", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigurationError(f"{name} is a number from {least} on, not {value!r}")
        if not isinstance(self.prefix, str):
            raise ConfigurationError(f"prefix is a text, not {self.prefix!r}")
        if not isinstance(self.files, str | None):
            raise ConfigurationError(f"files is the name of a column, not {self.files!r}")
        if self.confirm is not None and not isinstance(self.confirm, bool):
            raise ConfigurationError(f"confirm is true, false or null, not {self.confirm!r}")
        if self.cache not in (None, *CACHES):
            raise ConfigurationError(
                f"no cache {self.cache!r}", advice=f"there is: {', '.join(CACHES)}"
            )
        if self.retry not in RETRY:
            raise ConfigurationError(
                f"no retry {self.retry!r}", advice='there is: None, "errors", "all"'
            )

    @classmethod
    def of(cls, agent: str | None, given: Mapping[str, Any]) -> BatchSettings:
        """Return what is given, sorted into what is ours and what is a request's.

        Raises:
            ConfigurationError: a value makes no sense, or a name is all but one of ours.
        """
        ours = {*cls.__struct_fields__} - {"agent", "options"}
        options = {name: value for name, value in given.items() if name not in ours}
        for name in options:
            if name in OF_CONVERSATIONS:
                raise ConfigurationError(
                    f"{name} is for conversations", advice="rows stand outside of any"
                )
        check_options(options, BatchOptions)
        return cls(agent, options=options, **{name: given[name] for name in given if name in ours})
