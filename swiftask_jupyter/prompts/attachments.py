"""Makes Attachments of what a user names or holds: path, URL, bytes, DataFrame, figure, image.

Everything is read once, here, and kept in memory; a URL is passed on and never fetched. What a
foreign object is shows in what it can do: no library is imported to find out. Text is a path
only where the user wrote it; what a variable holds is never guessed at.
"""

from __future__ import annotations

import base64
import difflib
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
from swiftask_jupyter.prompts.templates import LOOKUP, look_up

MAX_BYTES = 100_000_000
MAX_NAME = 200
_TYPES = {  # those that mimetypes lacks, or that a machine's own tables get wrong
    ".csv": "text/csv",
    ".gz": "application/gzip",
    ".ipynb": "application/x-ipynb+json",
    ".json": "application/json",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
}
_ANY_TYPE = "application/octet-stream"
_SUPPORTED = "attach a path, http(s) URL, (name, bytes) pair, DataFrame, Series, figure or image"
_ACTS = ("to_csv", "head", "save", "_repr_png_")
_SPACES = re.compile(r"[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://|(data):", re.IGNORECASE)
_LOOKUP = re.compile(LOOKUP)


def gather(
    values: Iterable[object], names: Mapping[str, Any], directory: Path | None = None
) -> tuple[Attachment, ...]:
    """Return the attachments that the values stand for, in their order.

    Args:
        values: texts as written behind `-a` (URL, path, glob, folder, variable), or objects.
        names: the variables a text may name. A file of that name comes before the variable,
            and the variable before a folder (which can be written `name/`).
        directory: where relative paths begin; the current directory if None.

    Raises:
        PromptError: one of them cannot be attached.
    """
    start = directory or Path()
    found: list[Attachment] = []
    for value in values:
        if isinstance(value, str):
            found += _written(value, names, start)
        else:
            found.append(_held(value, "", start))
    return tuple(found)


def _written(text: str, names: Mapping[str, Any], start: Path) -> list[Attachment]:
    """Attach what the user wrote."""
    if not text.strip():
        raise PromptError("there is nothing to attach", advice=_SUPPORTED)
    if scheme := _SCHEME.match(text.strip()):
        return [_referenced(text.strip(), (scheme[1] or scheme[2]).lower())]
    place = os.path.expanduser(text)  # noqa: PTH111 - unlike Path's, it leaves ~nobody alone
    mode = _mode(start / place)
    if not mode or stat.S_ISDIR(mode):
        for value in _looked_up(text, names):
            return [_held(value, text, start)]
    if stat.S_ISDIR(mode):
        return _from_pattern(f"{glob.escape(place)}/*", text, start)
    if not mode and glob.has_magic(place):
        return _from_pattern(place, text, start)
    return [_from_file(start / place)]


def _looked_up(text: str, names: Mapping[str, Any]) -> list[Any]:
    """Return the one value that the text names, or none."""
    with suppress(Exception):  # a property may raise anything: its value is not there
        if lookup := _LOOKUP.fullmatch(text):
            return [look_up(names, lookup["name"], lookup["path"])]
    return []


def _referenced(url: str, scheme: str) -> Attachment:
    """Attach a URL by reference. No message repeats it: it may hold a password."""
    if scheme not in {"http", "https"}:
        raise PromptError(f"{scheme}: cannot be attached", advice="give an http(s) URL or a path")
    if "@" in re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]:
        advice = "take them out, or download the file and attach its path"
        raise PromptError("a URL with user name or password cannot be attached", advice=advice)
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.hostname and parts.port != 0 and url.isprintable() and " " not in url:
            last = unquote(PurePosixPath(parts.path).name)
            name = _clean(last or parts.hostname)
            return Attachment(name, _type(name) if last else _ANY_TYPE, 0, url=url)
    raise PromptError("the URL is malformed", advice="write it like https://host/report.pdf")


def _from_pattern(pattern: str, text: str, start: Path) -> list[Attachment]:
    files: list[Path] = []
    with suppress(ValueError):  # unlike Path.glob, glob.glob leaves hidden files out
        found = {start / match for match in glob.glob(pattern, root_dir=start, recursive=True)}  # noqa: PTH207 - a root apart from the pattern
        files = sorted(path for path in found if stat.S_ISREG(_mode(path)))
    if not files:
        advice = "hidden files and folders in it do not count: name a file"
        raise PromptError(f"there is no file in {_shown(text)}", advice=advice)
    return [_from_file(path) for path in files]


def _from_file(path: Path) -> Attachment:
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            with path.open("rb") as file:
                return _attachment(path.name, file.read(MAX_BYTES + 1))
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(path) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        advice = "check the path, and that you may read it"
        raise PromptError(f"{_shown(path)} cannot be read ({why})", advice=advice) from None
    kind = "folder" if stat.S_ISDIR(mode) else "device or pipe"
    advice = 'name a file; all files of a folder are meant by text, as in "data/"'
    raise PromptError(f"{_shown(path)} is a {kind}, where a file is meant", advice=advice)


def _held(value: Any, variable: str, start: Path) -> Attachment:
    """Attach an object, which the user may have named by a variable."""
    called = f"{variable or 'the object'} ({type(value).__name__})"
    match value:
        case Attachment():
            return value
        case os.PathLike():
            return _from_file(start / os.path.expanduser(os.fsdecode(value)))  # noqa: PTH111 - bytes paths too
        case (str() as name, bytes() | bytearray() as content):
            return _attachment(name, bytes(content))
        case bytes() | bytearray():
            raise PromptError(f"{called} needs a name", advice='attach ("report.pdf", content)')
        case str():
            advice = 'attach Path(text), or ("note.txt", text.encode())'
            raise PromptError(f"{called} holds text: a path or a content?", advice=advice)
    name, write = _way(value)
    if write is None:
        raise PromptError(f"{called} cannot be attached", advice=_SUPPORTED)
    file = _Bounded()
    try:
        write(file)
        if name.endswith(".png") and not file.getvalue().startswith(b"\x89PNG\r\n\x1a\n"):
            raise ValueError("it shows no PNG picture")  # noqa: TRY301 - one except tells all that went wrong
    except Exception as error:  # a foreign object raises what it likes
        message = f"{called} could not be written as {name[-3:].upper()} ({error})"
        raise PromptError(message, advice="save it, or a part of it, as a file") from error
    stem = re.sub(r"\W+", "-", variable).strip("-")
    return _attachment(stem + name[-4:] if stem else name, file.getvalue())


class _Bounded(BytesIO):  # stops who writes too much into it, while they write
    def write(self, block: Any, /) -> int:
        if self.tell() + len(block) > MAX_BYTES:
            raise OverflowError(f"over {MAX_BYTES / 1e6:g} MB")
        return super().write(block)


def _way(value: Any) -> tuple[str, Callable[[BytesIO], object] | None]:
    """Return how this object is named and written into a file."""
    if isinstance(value, type):
        return "", None
    can = {act for act in _ACTS if callable(getattr(value, act, None))}
    if {"to_csv", "head"} <= can:
        return "table.csv", partial(value.to_csv, mode="wb", encoding="utf-8", lineterminator="\n")
    whole = getattr(value, "figure", None)  # of axes; axes in a part of a figure lead on from there
    for figure in (value, whole, getattr(whole, "figure", None)):
        if callable(save := getattr(figure, "savefig", None)):
            return "figure.png", partial(save, format="png")
    if "save" in can and hasattr(value, "size") and hasattr(value, "mode"):
        return "image.png", lambda file: value.save(file, "PNG")
    if "_repr_png_" in can:
        return "image.png", lambda file: _show(value._repr_png_(), file)
    return "", None


def _show(shown: Any, file: BytesIO) -> None:  # bytes or base64, and perhaps metadata
    picture = shown[0] if isinstance(shown, tuple) else shown
    file.write(base64.b64decode(picture) if isinstance(picture, str) else picture or b"")


def _attachment(name: str, content: bytes) -> Attachment:
    name = _clean(name)
    if len(content) > MAX_BYTES:
        message = f"{name!r} is over {MAX_BYTES / 1e6:g} MB"
        raise PromptError(message, advice="attach a part of it, or a URL")
    return Attachment(name, _type(name), len(content), content)


def _clean(name: str) -> str:
    """Return the base name, in printable characters, short enough, its ending kept."""
    name = "".join(filter(str.isprintable, _SPACES.sub(" ", name))).rstrip("/\\ ")
    name = re.split(r"[/\\]", name)[-1].strip()
    ending = PurePosixPath(name).suffix
    if len(name) > MAX_NAME and len(ending) <= 20:
        name = name[: MAX_NAME - len(ending)] + ending
    return name[:MAX_NAME].rstrip() if name.strip(".") else "attachment"


def _type(name: str) -> str:
    ending = PurePosixPath(name).suffix.lower()
    guessed, packing = mimetypes.guess_type(f"_{ending}")
    return _TYPES.get(ending) or (None if packing else guessed) or _ANY_TYPE


def _mode(path: Path) -> int:
    with suppress(OSError, ValueError):
        return path.stat().st_mode
    return 0  # it leads to nothing


def _missing(path: Path) -> PromptError:
    names: dict[str, str] = {}
    with suppress(OSError):
        there = [entry.name for entry in path.parent.iterdir()]
        names = {name.lower(): name for name in there[:2000] if name != path.name}
    close = difflib.get_close_matches(path.name.lower(), names, n=1)
    advice = f"did you mean {_shown(names[close[0]])}?" if close else "check folder and spelling"
    return PromptError(f"there is no file or variable {_shown(path)}", advice=advice)


def _shown(what: object) -> str:
    text = str(what)
    return repr(text if len(text) <= 200 else f"{text[:99]}…{text[-99:]}")
