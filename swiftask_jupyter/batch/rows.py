"""Fills a prompt template with the values of each row of a DataFrame."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.errors import ConfigurationError, PromptError
from swiftask_jupyter.prompts.templates import field_pattern, interpolate, text_in_full
from swiftask_jupyter.support.suggest import closest

if TYPE_CHECKING:
    import pandas as pd

# The name of the whole row in a template: `{{row["any column"]}}` reaches a column whatever its
# name, and `{{row}}` writes out all columns.
ROW_NAME = "row"
# All that may have been meant as a field; a pair of empty braces is not.
_BRACES = re.compile(r"\{\{([^{}\n]*[^{}\s][^{}\n]*)\}\}")
_HOW_TO_SEND_BRACES = "to send such braces, put them into a variable and write its name"


class RowTemplate:
    """A prompt template, and the DataFrame whose rows fill the template.

    In all methods, `row` is the position of a row, counted from 0.

    Args:
        frame: the DataFrame.
        template: the prompt, with `{{column}}` where the row's value is inserted.
        files: the name of the column with the files to attach. A value in this column is a path, a
            URL, or a list of paths and URLs.
        names: values for other names in the template. If a column has the same name, the column is
            used.

    Raises:
        PromptError: the template is not a string, a name in the template is unknown, or several
            columns have a name that is in the template.
        ConfigurationError: `frame` is not a DataFrame, or the column for `files` is missing.
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
            reason, advice = "has no rows", "give a DataFrame"
            if callable(getattr(frame, "to_pandas", None)):  # a frame of polars, say
                reason, advice = "has no index", "give a pandas DataFrame: frame.to_pandas()"
            raise ConfigurationError(f"{type(frame).__name__} {reason}", advice=advice)
        if not isinstance(template, str):
            raise PromptError(
                f"the prompt is a text, not {type(template).__name__}",
                advice='such as "Sum up {{column}}"',
            )
        self.frame = frame
        self._template = template
        self._names = names or {}
        # The values of each column that was used, and which of them are missing.
        self._columns: dict[Any, tuple[Any, Any]] = {}
        # The columns by the text of their labels, which need be no texts: `{{2020}}`.
        self._labels: dict[str, Any] = {}
        for label in frame.columns:
            seen = self._labels.setdefault(str(label), label)
            if seen is not label and seen != label:
                self._labels[str(label)] = _AMBIGUOUS
        self._pattern = _pattern(template, self._labels)
        self._check_fields()
        if files is not None and files not in frame.columns:
            raise ConfigurationError(
                f"no column {files!r} of files{_suggestion(files, self._labels)}"
            )
        self._files = files

    def __len__(self) -> int:
        return len(self.frame)

    def text(self, row: int) -> str:
        """Return the prompt of a row: the template, with the values of the row in the fields.

        Args:
            row: the position of the row, counted from 0.

        Raises:
            PromptError: a field has no value in this row, or a value can't be written in full.
        """
        text, problems = interpolate(
            self._template, _Row(self, row), pattern=self._pattern, partial=False
        )
        if problems:
            raise PromptError("; ".join(problems))
        return text

    def files(self, row: int) -> tuple[Any, ...]:
        """Return the paths and URLs of the files to attach to a row's prompt; empty if none."""
        if self._files is None:
            return ()
        value = self.value(self._files, row)
        # A list that was read from a Parquet file is an array.
        if isinstance(value, list | tuple) or getattr(value, "ndim", 0) == 1:
            return tuple(value)
        return (value,) if value else ()

    def value(self, column: Any, row: int) -> Any:
        """Return the value of a row in a column; `None` for a missing value, such as NaN.

        Raises:
            PromptError: the frame has several columns of this name.
        """
        if column not in self._columns:
            series = self.frame[column]
            if series.ndim != 1:
                raise PromptError(f"{column!r} is the name of several columns")
            self._columns[column] = series.array, series.isna().to_numpy()
        values, missing = self._columns[column]
        return None if missing[row] else values[row]

    def lookup(self, name: str, row: int) -> Any:
        """Return the value that a name in the template has for a row.

        If a column has this name, the value comes from the column. Otherwise the name `row` stands
        for the whole row, and all other names are keys of the argument `names`.

        Raises:
            KeyError: the name is unknown, or the row has no value in the column.
        """
        label = self._labels.get(name, name)
        if label in self.frame.columns:
            if (value := self.value(label, row)) is None:
                raise KeyError(name)
            return value
        return _Row(self, row) if name == ROW_NAME else self._names[name]

    def _check_fields(self) -> None:
        """Raise an error if the template has a field that no row can fill.

        Raises:
            PromptError: a field names no column, or several columns. For an unknown column, the
                message suggests a similar column.
        """
        for name in dict.fromkeys(
            field["name"] for field in self._pattern.finditer(self._template)
        ):
            self._check_name(name)
        if braces := _BRACES.search(self._pattern.sub("\n", self._template)):
            name = braces[1].strip()
            near = _suggestion(name, self._labels)
            raise PromptError(f"no column {name!r} for {braces[0]}{near}; {_HOW_TO_SEND_BRACES}")

    def _check_name(self, name: str) -> None:
        label = self._labels.get(name, name)
        if label is _AMBIGUOUS or (label in self.frame.columns and self.frame[label].ndim != 1):
            raise PromptError(f"{name!r} is the name of several columns")
        if label not in self.frame.columns and name != ROW_NAME and name not in self._names:
            near = _suggestion(name, self._labels, self._names)
            raise PromptError(f"no column {name!r} for {{{{{name}}}}}{near}")


class _Row(Mapping[str, Any]):
    """One row of a DataFrame, as a mapping from the names in a template to values."""

    def __init__(self, rows: RowTemplate, row: int) -> None:
        self._rows = rows
        self._row = row

    def __getitem__(self, name: str) -> Any:
        return self._rows.lookup(name, self._row)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows.frame.columns)

    def __len__(self) -> int:
        return len(self._rows.frame.columns)

    def __str__(self) -> str:
        values = {name: self._rows.value(name, self._row) for name in self}
        found = {name: value for name, value in values.items() if value is not None}
        return "\n".join(f"{name}: {text_in_full(value, name)}" for name, value in found.items())


# Stands for several columns whose labels differ, but not as texts: `2020` and `"2020"`.
_AMBIGUOUS = object()


def _pattern(template: str, labels: Iterable[str]) -> re.Pattern[str]:
    """Return a regular expression that finds the fields of a template.

    Args:
        template: the prompt with fields.
        labels: the labels of the columns. A label may contain spaces, such as `unit price`.
    """
    return field_pattern(
        label
        for label in labels
        if label.strip() and not label.isidentifier() and label in template
    )


def field_names(template: str, columns: Iterable[Any] = ()) -> tuple[str, ...]:
    """Return the names of the columns and variables in the fields of a template.

    For example, the template `{{a.year}} {{b["key"]}}` has the names `a` and `b`.

    Args:
        template: the prompt with fields.
        columns: the labels of the columns. A label may contain spaces, such as `unit price`.
    """
    pattern = _pattern(template, map(str, columns))
    return tuple(dict.fromkeys(field["name"] for field in pattern.finditer(template)))


def _suggestion(name: str, labels: Iterable[str], names: Iterable[str] = ()) -> str:
    """Return the end of an error message about an unknown column.

    The text suggests a similar name. If no name is similar, the text lists up to 10 columns.

    Args:
        name: the unknown name.
        labels: the labels of the columns.
        names: the names of other values. One of these names is suggested only if no column is
            similar.
    """
    known = [*labels]
    others = (each for each in names if each[:1] != "_")
    if near := closest(name, known, cutoff=0.5) or closest(name, others):
        return f"; did you mean {near!r}?"
    return f"; there is: {', '.join(known[:10])}" if known else "; it has no columns"
