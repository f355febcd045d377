"""Prompts out of the rows of a DataFrame."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.errors import ConfigurationError, PromptError
from swiftask_jupyter.prompts.templates import fill

if TYPE_CHECKING:
    import pandas as pd

WHOLE = "row"  # `{{row["any column"]}}`, for names that are no identifiers


class Rows:
    """A template and the frame that fills it, row by row.

    Args:
        frame: the rows.
        template: the prompt, with a `{{column}}` wherever a row's own value belongs.
        files: the column of the files that go along: a path or URL, or a list of them.
        names: what else a `{{name}}` may be; a column of that name comes first.

    Raises:
        PromptError: that is no template, or it names what there is not.
        ConfigurationError: that is no frame, or there is no such column.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        template: str,
        *,
        files: str | None = None,
        names: Mapping[str, Any] | None = None,
    ) -> None:
        if not hasattr(frame, "columns") or not hasattr(frame, "index"):
            raise ConfigurationError(
                f"{type(frame).__name__} has no rows", advice="give a DataFrame"
            )
        if not isinstance(template, str):
            raise PromptError(
                f"the prompt is a text, not {type(template).__name__}",
                advice='such as "Sum up {{column}}"',
            )
        self.frame = frame
        self._template = template
        self._names = names or {}
        self._columns: dict[Any, tuple[Any, Any]] = {}
        for name in named_in(template):
            self._expect(name)
        if files is not None and files not in frame.columns:
            raise ConfigurationError(f"no column {files!r} of files{_near(files, frame)}")
        self._files = files

    def __len__(self) -> int:
        return len(self.frame)

    def text(self, at: int) -> str:
        """Return the prompt of a row, counted from 0.

        Raises:
            PromptError: the row lacks what the prompt needs.
        """
        text, wrong = fill(self._template, _Row(self, at))
        if wrong:
            raise PromptError("; ".join(wrong))
        return text

    def files(self, at: int) -> tuple[Any, ...]:
        """Return the files that go along with a row."""
        if self._files is None:
            return ()
        value = self.value(self._files, at)
        if isinstance(value, list | tuple) or getattr(value, "ndim", 0) == 1:  # Parquet's lists
            return tuple(value)
        return (value,) if value else ()

    def value(self, column: Any, at: int) -> Any:
        """Return the value of a row, `None` if it is missing."""
        if column not in self._columns:
            series = self.frame[column]
            if series.ndim != 1:
                raise PromptError(f"{column!r} is the name of several columns")
            self._columns[column] = series.array, series.isna().to_numpy()
        values, missing = self._columns[column]
        return None if missing[at] else values[at]

    def named(self, name: str, at: int) -> Any:
        """Return what a `{{name}}` stands for in a row.

        Raises:
            KeyError: nothing, or what is missing.
        """
        if name in self.frame.columns:
            if (value := self.value(name, at)) is None:
                raise KeyError(name)
            return value
        return _Row(self, at) if name == WHOLE else self._names[name]

    def _expect(self, name: str) -> None:
        if name in self.frame.columns:
            if self.frame[name].ndim != 1:
                raise PromptError(f"{name!r} is the name of several columns")
        elif name != WHOLE and name not in self._names:
            raise PromptError(f"no column {name!r} for {{{{{name}}}}}{_near(name, self.frame)}")


class _Row(Mapping[str, Any]):
    """One row, as a template looks at it."""

    def __init__(self, rows: Rows, at: int) -> None:
        self._rows = rows
        self._at = at

    def __getitem__(self, name: str) -> Any:
        return self._rows.named(name, self._at)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows.frame.columns)

    def __len__(self) -> int:
        return len(self._rows.frame.columns)

    def __str__(self) -> str:
        values = {name: self._rows.value(name, self._at) for name in self}
        return "\n".join(f"{name}: {value}" for name, value in values.items() if value is not None)


class _Asked(dict[str, Any]):
    """Notes which names a template asks for."""

    def __missing__(self, name: str) -> Any:
        self[name] = None
        raise KeyError(name)


def named_in(template: str) -> tuple[str, ...]:
    """Return the names at the beginning of a template's fields."""
    asked = _Asked()
    fill(template, asked)
    return tuple(asked)


def _near(name: str, frame: pd.DataFrame) -> str:
    known = [column for column in frame.columns if isinstance(column, str)]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there is: {', '.join(known[:10])}" if known else "; it has no named columns"
