"""Finds the class of a dialect by the dialect's name, which is the value of `--dialect`.

Some dialects are built in. Another package registers its dialect as an entry point. The docstring
of the package `protocols` shows how to write the class.

    [project.entry-points."swiftask_jupyter.protocols"]
    acme = "acme_swiftask:Acme"          # a subclass of Protocol

Reading the entry points takes time. So the built-in dialects are searched first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.protocols.base import Protocol

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINT_GROUP = "swiftask_jupyter.protocols"


class _BuiltInProtocols(Mapping[str, type[Protocol]]):
    """A mapping from the names of the built-in dialects to their classes.

    The module of a dialect is imported when the dialect's class is first read. Importing all five
    modules at once would make the first notebook cell slower.
    """

    _class_names: ClassVar = {
        "openai": "OpenAI",
        "native": "Native",
        "widget": "Widget",
        "chat": "Chat",
        "agencii": "Agencii",
    }

    def __getitem__(self, name: str) -> type[Protocol]:
        module = import_module(f"{__package__}.{name}")
        protocol: Any = getattr(module, self._class_names[name])
        return protocol  # type: ignore[no-any-return]  # getattr has no type

    def __contains__(self, name: object) -> bool:
        return name in self._class_names  # the inherited method would import the module

    def __iter__(self) -> Iterator[str]:
        return iter(self._class_names)

    def __len__(self) -> int:
        return len(self._class_names)


PROTOCOLS: Mapping[str, type[Protocol]] = _BuiltInProtocols()


def protocol_names() -> tuple[str, ...]:
    """Return the names of all dialects; the names of the built-in dialects come first."""
    return tuple(dict.fromkeys((*PROTOCOLS, *sorted(_entry_points()))))


def find_protocol(name: str) -> type[Protocol]:
    """Return the class of the dialect with this name.

    If another package registers the name of a built-in dialect, the built-in dialect is returned.

    Raises:
        ConfigurationError: no dialect has this name, or another package's dialect cannot be loaded.
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    entry = _entry_points().get(name)
    if entry is None:
        raise ConfigurationError(
            f"no dialect {name!r}", advice=f"there is: auto, {', '.join(protocol_names())}"
        )
    try:
        protocol = entry.load()
    except Exception as error:  # whatever the package's module raises
        raise _unusable(entry, f"{type(error).__name__}: {error}") from error
    if not (isinstance(protocol, type) and issubclass(protocol, Protocol)):
        raise _unusable(entry, "it is not a subclass of swiftask_jupyter.protocols.Protocol")
    return protocol


def _entry_points() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}


def _unusable(entry: EntryPoint, reason: str) -> ConfigurationError:
    """Return the exception for another package's dialect that cannot be used.

    Args:
        entry: the entry point by which the package registers the dialect.
        reason: why the dialect cannot be used.
    """
    package = entry.dist.name if entry.dist is not None else entry.value
    return ConfigurationError(
        f"the dialect {entry.name!r} of {package} can't be used ({reason})",
        advice="repair that package, or choose another --dialect",
    )
