"""What `%config SwiftaskMagics` may say, and how it stands to what is said in other ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics
from traitlets import Bool, Enum, Int, TraitError, Unicode, observe, validate

if TYPE_CHECKING:
    from swiftask_jupyter.client import Swiftask

PLACES = ("base_url", "connection")
CHOICES = (*PLACES, "agent", "dialect")  # what can be said of a connection


class Choices(Magics):
    """The settings of one shell. What was said last counts, by `%config` or by a command."""

    agent = Unicode("", help="the agent asked when a cell names none").tag(config=True)
    base_url = Unicode("", help="the service's address").tag(config=True)
    connection = Unicode("", help="a connection of pyproject.toml or config.toml").tag(config=True)
    dialect = Unicode("", help="auto, openai, native, widget, chat or agencii").tag(config=True)
    cache = Enum(
        ("", "off", "on", "strict"), "", help="off, on (an earlier answer is shown again) or strict"
    ).tag(config=True)
    history_limit = Int(
        0, min=0, help="the most tokens of history to send, roughly; 0 for all"
    ).tag(config=True)
    nested = Bool(
        default_value=False, help="let the kernel's own tasks go on while a cell waits"
    ).tag(config=True)

    _client: Swiftask | None = None

    @validate("dialect")
    def _known(self, proposal: Any) -> str:
        from swiftask_jupyter.dialects import choices

        name: str = proposal["value"]
        if name and name not in choices():
            raise TraitError(f"no dialect {name!r}; there is: {', '.join(choices())}")
        return name

    @observe(*CHOICES)
    def _said_last(self, change: Any) -> None:
        """Let what is said now count before what `%swiftask use` and `sandbox` said."""
        if self._client is None or not change["new"]:
            return
        if change["name"] in PLACES:  # no token of the former place goes along
            from swiftask_jupyter.settings import Wanted

            self._client.wanted = Wanted()
        else:
            from swiftask_jupyter.values import replace

            forgotten: dict[str, Any] = {change["name"]: None}
            self._client.wanted = replace(self._client.wanted, **forgotten)
