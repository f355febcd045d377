"""The dialects by name. Each says what to send and how to read what comes back; none does I/O.

Dialects of other packages: one file there, and one entry point of the group below.

    [project.entry-points."swiftask_jupyter.protocols"]
    other = "their_package.other:Other"          # a Protocol

They are looked for when a name is asked that is not one of ours, so that no one pays for it else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.protocols.base import Protocol

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class _Ours(Mapping[str, type[Protocol]]):
    """Our dialects, each imported when it is first asked for: most cells speak one of them."""

    _names: ClassVar = {
        "openai": "OpenAI",
        "native": "Native",
        "widget": "Widget",
        "chat": "Chat",
        "agencii": "Agencii",
    }

    def __getitem__(self, name: str) -> type[Protocol]:
        found: Any = getattr(import_module(f"{__package__}.{name}"), self._names[name])
        return found  # type: ignore[no-any-return]  # a module's attribute is anything

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


PROTOCOLS: Mapping[str, type[Protocol]] = _Ours()


GROUP = "swiftask_jupyter.protocols"


def names() -> tuple[str, ...]:
    """Return the name of every dialect: ours, then those of other packages."""
    return tuple(dict.fromkeys((*PROTOCOLS, *sorted(_installed()))))


def find(name: str) -> type[Protocol]:
    """Return the dialect of that name; ours come first.

    Raises:
        ConfigurationError: there is none, or another package's can't be used.
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    entry = _installed().get(name)
    if entry is None:
        raise ConfigurationError(
            f"no dialect {name!r}", advice=f"there is: auto, {', '.join(names())}"
        )
    try:
        kind = entry.load()
    except Exception as error:
        raise _unusable(entry, f"{type(error).__name__}: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, Protocol)):
        raise _unusable(entry, "it is no swiftask_jupyter.protocols.Protocol")
    return kind


def _installed() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _unusable(entry: EntryPoint, why: str) -> ConfigurationError:
    package = entry.dist.name if entry.dist is not None else entry.value
    return ConfigurationError(
        f"the dialect {entry.name!r} of {package} can't be used ({why})",
        advice="repair that package, or choose another --dialect",
    )
