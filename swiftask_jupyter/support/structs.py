"""What our values are made of: named fields, cheap to define, to make and to copy.

A frozen dataclass takes 0.9 ms to define, a `Struct` 0.02 ms, and a first cell meets forty.
"""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import Struct, field
from msgspec.structs import replace

__all__ = ["Redacted", "Struct", "field", "replace"]


class Redacted(Struct, frozen=True):
    """A value that keeps to itself what may be a secret, or a whole file.

    Attributes:
        unshown: the fields that stay out of its repr.
    """

    unshown: ClassVar[frozenset[str]] = frozenset()

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        shown = (name for name in self.__struct_fields__ if name not in self.unshown)
        return [(name, getattr(self, name)) for name in shown]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"
