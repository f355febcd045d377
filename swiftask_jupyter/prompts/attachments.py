"""Makes `Attachment`s from paths, URLs, bytes, DataFrames, figures and images.

This module reads a file or an object once and keeps the content in memory. A URL is passed to the
service and never downloaded. An object is recognized by its methods, so no library is imported.

A string is read as a path only if the user typed the string after `-a` or in `files`. A variable
with a string value is refused, because the string could be a path or the content of a file.
"""

from __future__ import annotations

import base64
import glob
import mimetypes
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from swiftask_jupyter.errors import PromptError
from swiftask_jupyter.prompts.prompt import Attachment
from swiftask_jupyter.prompts.tables import write_csv
from swiftask_jupyter.prompts.templates import VARIABLE_PATH, resolve_variable
from swiftask_jupyter.prompts.values import NotWritable, is_table
from swiftask_jupyter.support.suggest import closest

MAX_BYTES = 100_000_000
MAX_NAME = 200  # characters of a file name
MAX_NEIGHBOURS = 2000  # files of a folder among which a misspelt name is looked for
_TYPES = {  # types that mimetypes lacks, or that differ between machines
    ".csv": "text/csv",
    ".gz": "application/gzip",
    ".ipynb": "application/x-ipynb+json",
    ".json": "application/json",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
}
_UNKNOWN_TYPE = "application/octet-stream"
_SUPPORTED = "attach a path, http(s) URL, (name, bytes) pair, DataFrame, Series, figure or image"
_METHODS = ("save", "_repr_png_")
_SPACES = re.compile(r"[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://|(data):", re.IGNORECASE)
_VARIABLE = re.compile(VARIABLE_PATH)


def load_files(files: object) -> tuple[Attachment, ...]:
    """Return the attachments for the value of the option `files`.

    Args:
        files: an iterable of paths, URLs, DataFrames, figures and `(name, bytes)` pairs.

    Raises:
        PromptError: `files` is not a list or a similar iterable, or a file can't be read.
    """
    # A text, bytes and a DataFrame can be iterated over too, but not file by file.
    single = isinstance(files, str | bytes) or hasattr(files, "shape")
    if single or not isinstance(files, Iterable):
        raise PromptError(
            f"files must be a list, not {type(files).__name__}",
            advice='write files=["report.pdf"]',
        )
    return load_attachments(files, {}) if files else ()


def load_attachments(
    values: Iterable[object], names: Mapping[str, Any], directory: Path | None = None
) -> tuple[Attachment, ...]:
    """Return the attachments for a list of values, in the order of the values.

    Args:
        values: strings and other objects. A string is a URL, a path, a glob pattern, a folder or
            the name of a variable.
        names: a dict that maps the names of variables to values. If a file and a variable have the
            same name, the file is attached. If a folder and a variable have the same name, the
            variable is attached. A name with a final `/` always means a folder.
        directory: the directory for relative paths; `None` for the current directory.

    Raises:
        PromptError: a value cannot be attached.
    """
    base = directory or Path()
    found: list[Attachment] = []
    for value in values:
        if isinstance(value, str):
            found += _from_text(value, names, base)
        else:
            found.append(_from_object(value, "", base))
    return tuple(found)


def _from_text(text: str, names: Mapping[str, Any], base: Path) -> list[Attachment]:
    """Return the attachments for a URL, a path, a glob pattern, a folder or a variable's name."""
    if not text.strip():
        raise PromptError("there is nothing to attach", advice=_SUPPORTED)
    if scheme := _SCHEME.match(text.strip()):
        return [_from_url(text.strip(), (scheme[1] or scheme[2]).lower())]
    path = os.path.expanduser(text)  # noqa: PTH111 - Path.expanduser raises for an unknown user
    mode = _file_mode(base / path)
    if not mode or stat.S_ISDIR(mode):
        for value in _variable(text, names):
            return [_from_object(value, text, base)]
    if stat.S_ISDIR(mode):
        return _from_pattern(f"{glob.escape(path)}/*", text, base)
    if not mode and glob.has_magic(path):
        return _from_pattern(path, text, base)
    return [_from_file(base / path)]


def _variable(text: str, names: Mapping[str, Any]) -> list[Any]:
    """Return a list with the value of the variable that the text names.

    If the variable does not exist, the list is empty.
    """
    with suppress(Exception):  # a user's property may raise anything
        if found := _VARIABLE.fullmatch(text):
            return [resolve_variable(names, found["name"], found["path"])]
    return []


def _from_url(url: str, scheme: str) -> Attachment:
    """Return an attachment that refers to a URL. The URL is not downloaded.

    Error messages do not contain the URL, because the URL may contain a password.
    """
    if scheme not in {"http", "https"}:
        raise PromptError(f"{scheme}: cannot be attached", advice="give an http(s) URL or a path")
    if "@" in re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]:
        advice = "take them out, or download the file and attach its path"
        raise PromptError("a URL with user name or password cannot be attached", advice=advice)
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.hostname and parts.port != 0 and url.isprintable() and " " not in url:
            last = unquote(PurePosixPath(parts.path).name)
            name = _safe_name(last or parts.hostname)
            return Attachment(name, _mime_type(name) if last else _UNKNOWN_TYPE, 0, url=url)
    raise PromptError("the URL is malformed", advice="write it like https://host/report.pdf")


def _from_pattern(pattern: str, text: str, base: Path) -> list[Attachment]:
    """Return the attachments for all regular files that match a glob pattern.

    If no file matches, raise a `PromptError`. The error message contains `text`, the user's input.
    """
    files: list[Path] = []
    with suppress(ValueError):  # unlike Path.glob, glob.glob leaves hidden files out
        found = {base / match for match in glob.glob(pattern, root_dir=base, recursive=True)}  # noqa: PTH207 - Path.glob has no separate root
        files = sorted(path for path in found if stat.S_ISREG(_file_mode(path)))
    if not files:
        advice = "hidden files and folders in it do not count: name a file"
        raise PromptError(f"there is no file in {_quoted(text)}", advice=advice)
    return [_from_file(path) for path in files]


def _from_file(path: Path) -> Attachment:
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            with path.open("rb") as file:
                return _from_bytes(path.name, file.read(MAX_BYTES + 1))
    except (FileNotFoundError, NotADirectoryError):
        raise _not_found(path) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        advice = "check the path, and that you may read it"
        raise PromptError(f"{_quoted(path)} cannot be read ({why})", advice=advice) from None
    kind = "folder" if stat.S_ISDIR(mode) else "device or pipe"
    advice = 'name a file; all files of a folder are meant by text, as in "data/"'
    raise PromptError(f"{_quoted(path)} is a {kind}, where a file is meant", advice=advice)


def _from_object(value: Any, variable: str, base: Path) -> Attachment:
    """Return the attachment for an object.

    Args:
        value: the object.
        variable: the name of the object's variable, or an empty string. The name appears in error
            messages and in the attachment's name.
        base: the directory for relative paths.
    """
    label = f"{variable or 'the object'} ({type(value).__name__})"
    match value:
        case Attachment():
            return value
        case os.PathLike():
            return _from_file(base / os.path.expanduser(os.fsdecode(value)))  # noqa: PTH111 - bytes paths too
        case (str() as name, bytes() | bytearray() as content):
            return _from_bytes(name, bytes(content))
        case bytes() | bytearray():
            raise PromptError(f"{label} needs a name", advice='attach ("report.pdf", content)')
        case str():
            advice = 'attach Path(text), or ("note.txt", text.encode())'
            raise PromptError(f"{label} holds text: a path or a content?", advice=advice)
    name, write = _writer(value)
    if write is None:
        raise PromptError(f"{label} cannot be attached", advice=_SUPPORTED)
    file = _LimitedBuffer()
    try:
        write(file)
        if name.endswith(".png") and not file.getvalue().startswith(b"\x89PNG\r\n\x1a\n"):
            raise ValueError("it shows no PNG picture")  # noqa: TRY301 - reported by the except below
    except NotWritable as error:
        raise PromptError(f"{label} {error.reason}", advice=error.advice) from None
    except Exception as error:  # the object's own method may raise anything
        message = f"{label} could not be written as {name[-3:].upper()} ({error})"
        raise PromptError(message, advice="save it, or a part of it, as a file") from error
    stem = re.sub(r"\W+", "-", variable).strip("-")
    return _from_bytes(stem + name[-4:] if stem else name, file.getvalue())


class _LimitedBuffer(BytesIO):
    """A memory buffer that raises an `OverflowError` if more than `MAX_BYTES` are written."""

    def write(self, block: Any, /) -> int:
        if self.tell() + len(block) > MAX_BYTES:
            raise OverflowError(f"over {MAX_BYTES / 1e6:g} MB")
        return super().write(block)


def _writer(value: Any) -> tuple[str, Callable[[BytesIO], object] | None]:
    """Return a file name for an object, and a function that writes the object to a file.

    If the object's type is not supported, return an empty name and `None`.
    """
    if isinstance(value, type):
        return "", None
    methods = {name for name in _METHODS if callable(getattr(value, name, None))}
    if is_table(value):
        return "table.csv", partial(write_csv, value)
    parent = getattr(value, "figure", None)  # of matplotlib axes; in a subfigure, another level up
    for figure in (value, parent, getattr(parent, "figure", None)):
        if callable(save := getattr(figure, "savefig", None)):
            return "figure.png", partial(save, format="png")
    if "save" in methods and hasattr(value, "size") and hasattr(value, "mode"):
        return "image.png", lambda file: value.save(file, "PNG")
    if "_repr_png_" in methods:
        return "image.png", lambda file: _write_png(value._repr_png_(), file)
    return "", None


def _write_png(png: Any, file: BytesIO) -> None:
    """Write a PNG to a file. `png` is the return value of an object's method `_repr_png_`.

    `png` is bytes, base64 text or a tuple. The first item of a tuple is bytes or base64 text.
    """
    data = png[0] if isinstance(png, tuple) else png
    file.write(base64.b64decode(data) if isinstance(data, str) else data or b"")


def _from_bytes(name: str, content: bytes) -> Attachment:
    name = _safe_name(name)
    if len(content) > MAX_BYTES:
        message = f"{name!r} is over {MAX_BYTES / 1e6:g} MB"
        raise PromptError(message, advice="attach a part of it, or a URL")
    return Attachment(name, _mime_type(name), len(content), content)


def _safe_name(name: str) -> str:
    """Return the last part of a path, without unprintable characters.

    A name of more than `MAX_NAME` characters is shortened, and the extension is kept. An empty name
    becomes `attachment`.
    """
    name = "".join(filter(str.isprintable, _SPACES.sub(" ", name))).rstrip("/\\ ")
    name = re.split(r"[/\\]", name)[-1].strip()
    extension = PurePosixPath(name).suffix
    if len(name) > MAX_NAME and len(extension) <= 20:
        name = name[: MAX_NAME - len(extension)] + extension
    return name[:MAX_NAME].rstrip() if name.strip(".") else "attachment"


def _mime_type(name: str) -> str:
    extension = PurePosixPath(name).suffix.lower()
    guessed, compression = mimetypes.guess_type(f"_{extension}")
    return _TYPES.get(extension) or (None if compression else guessed) or _UNKNOWN_TYPE


def _file_mode(path: Path) -> int:
    """Return the `st_mode` of a path, or 0 if the path can't be read."""
    with suppress(OSError, ValueError):
        return path.stat().st_mode
    return 0


def _not_found(path: Path) -> PromptError:
    """Return the error for a path that does not exist. The message suggests a similar name."""
    names: list[str] = []
    with suppress(OSError):
        names = [entry.name for entry in path.parent.iterdir()][:MAX_NEIGHBOURS]
    name = closest(path.name, (name for name in names if name != path.name))
    advice = f"did you mean {_quoted(name)}?" if name else "check folder and spelling"
    return PromptError(f"there is no file or variable {_quoted(path)}", advice=advice)


def _quoted(what: object) -> str:
    text = str(what)
    return repr(text if len(text) <= 200 else f"{text[:99]}…{text[-99:]}")
