"""Base classes for value types: `Struct` (from msgspec) and `RedactedStruct`.

A `RedactedStruct` hides fields in the repr. Structs make the import fast. The definition of a
frozen dataclass takes 0.9 ms, and the definition of a `Struct` takes 0.02 ms. The first cell of a
kernel needs about forty value types.
"""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import Struct, field
from msgspec.structs import replace

__all__ = ["RedactedStruct", "Struct", "field", "replace"]


class RedactedStruct(Struct, frozen=True):
    """A struct that hides certain fields in the repr, such as a secret or the content of a file.

    Attributes:
        redacted_fields: the names of the fields that never appear in the repr.
    """

    redacted_fields: ClassVar[frozenset[str]] = frozenset()

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        names = (name for name in self.__struct_fields__ if name not in self.redacted_fields)
        return [(name, getattr(self, name)) for name in names]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({fields})"
