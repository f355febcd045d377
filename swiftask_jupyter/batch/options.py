"""Validates the options of a batch, and separates them from the options of each request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.options import BatchOptions, check_options
from swiftask_jupyter.support.structs import Struct, field

RETRY_MODES = (None, "errors", "all")


class BatchSettings(Struct, frozen=True):
    """The validated options of one call of `Swiftask.map`.

    Attributes:
        agent: the agent's slug; `None`: the default agent of the connection.
        concurrency: the highest number of requests in flight.
        schema: the fields to extract from each answer, in a form that `parse_schema` accepts.
        files: the name of the column with the paths or URLs of the files to attach.
        prefix: the text in front of the name of each new column.
        retry: which prompts of an earlier run to send again: `None` (no prompt), `"errors"` (failed
            prompts) or `"all"`.
        pilot: how many prompts to send before the user is asked about the rest; 0: no pilot.
        confirm: whether to ask the user before sending; `None`: only above 1,000 prompts.
        tries: the highest number of requests for one prompt.
        progress: whether to show a summary and a progress bar.
        names: a dict that maps names in the template to values, for names without a column.
        cache: the cache mode; `None`: the client's mode. With `"strict"`, nothing is sent, and a
            row without an answer in the ledger raises an error. `"on"` and `"off"` have the same
            effect in a batch.
        options: the options and additional fields of each request.
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
        for name, minimum in (("concurrency", 1), ("tries", 1), ("pilot", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
                raise ConfigurationError(
                    f"{name} must be a whole number of at least {minimum}, not {value!r}"
                )
        if not isinstance(self.prefix, str):
            raise ConfigurationError(f"prefix must be a text, not {self.prefix!r}")
        if not isinstance(self.files, str | None):
            raise ConfigurationError(f"files must be the name of a column, not {self.files!r}")
        if self.confirm is not None and not isinstance(self.confirm, bool):
            raise ConfigurationError(f"confirm must be true, false or null, not {self.confirm!r}")
        if self.retry not in RETRY_MODES:
            raise ConfigurationError(
                f"no retry {self.retry!r}", advice='there is: None, "errors", "all"'
            )

    @classmethod
    def from_options(cls, agent: str | None, given: Mapping[str, Any]) -> BatchSettings:
        """Create the settings from the keyword arguments of `Swiftask.map`.

        Keywords that are no options of the batch are stored in the field `options`.

        Args:
            agent: the agent's slug; `None`: the default agent of the connection.
            given: the keyword arguments.

        Raises:
            ConfigurationError: a value is invalid, a keyword is misspelt, or a keyword is an option
                of conversations only.
        """
        check_options(given, BatchOptions)
        own = {*cls.__struct_fields__} - {"agent", "options"}
        options = {name: value for name, value in given.items() if name not in own}
        return cls(agent, options=options, **{name: given[name] for name in given if name in own})
