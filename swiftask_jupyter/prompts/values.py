"""Writes the value of a variable as complete text.

Values are written as in Python code, and arrays as lists. Numbers keep all digits. The display
options of NumPy and pandas have no effect. A value without a complete text is refused.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from io import IOBase
from types import ModuleType
from typing import Any, Self

# The characters that one value may add to a prompt; `{{x:all}}` lifts the limit.
MAX_CHARACTERS = 100_000
# Types, and packages with types, whose text is short and complete.
_SIMPLE = (bool, int, float, complex, str, bytes, bytearray, range, type(None), type(...))
_SIMPLE_PACKAGES = {"datetime", "decimal", "fractions", "ipaddress", "pathlib", "uuid", "zoneinfo"}
_NUMPY_TIMES = ("datetime64", "timedelta64")
_PANDAS_SCALARS = {"Timestamp", "Timedelta", "Period", "Interval", "NAType", "NaTType"}
_TABLES = {
    "pandas": ("DataFrame", "Series"),
    "polars": ("DataFrame", "Series"),
    "pyarrow": ("Table", "RecordBatch"),
}
# Text that stands for an object without saying what is in it.
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]|<[\w.]+ object\b")
_ELLIPSIS = re.compile(r"\.\.\.|…")
_HOW_TO_CONVERT = "turn it into a text, a list or a DataFrame first"


class NotWritable(Exception):
    """Raised if a value can't be written as complete text.

    Args:
        reason: the end of a sentence that begins with the value's name, such as "is a generator".
        advice: what the user can do.
    """

    def __init__(self, reason: str, advice: str = _HOW_TO_CONVERT) -> None:
        super().__init__(reason)
        self.reason = reason
        self.advice = advice


class TooLong(Exception):
    """Raised if the text of a value is longer than the limit."""


def is_a(value: object, package: str, *types: str) -> bool:
    """Return whether a value is an instance of a package's types. The package is not imported.

    Args:
        value: the value.
        package: the name of the package.
        types: the names of the types in the package.
    """
    module = sys.modules.get(package)
    found = (getattr(module, name, None) for name in types) if module else ()
    return isinstance(value, tuple(kind for kind in found if isinstance(kind, type)))


def is_table(value: object) -> bool:
    """Return whether a value is a table of pandas, polars or pyarrow."""
    return any(is_a(value, package, *types) for package, types in _TABLES.items())


def is_simple(value: object) -> bool:
    """Return whether `str(value)` is always complete, as for numbers, dates and paths."""
    kind = type(value)
    if kind in _SIMPLE:
        return True
    package = kind.__module__.partition(".")[0]
    return package in _SIMPLE_PACKAGES or (package == "pandas" and kind.__name__ in _PANDAS_SCALARS)


def write_value(value: object, limit: int | None = None) -> tuple[str, bool]:
    """Return the text of a value, and whether the text may be incomplete.

    The text may be incomplete if the value's class shortens its own texts.

    Args:
        value: any value but a table.
        limit: the maximum number of characters; `None` for no limit.

    Raises:
        NotWritable: the value can't be written as complete text.
        TooLong: the text is longer than `limit`.
    """
    if isinstance(value, str) or is_simple(value) or _is_ours(value):
        text = str(value)
        if limit is not None and len(text) > limit:
            raise TooLong
        return text, False
    with _Writer(limit) as writer:
        writer.write_outermost(value)
        return "".join(writer.parts), writer.shortened


class _Writer:
    """Writes one value as text, part by part.

    Attributes:
        parts: the parts of the text that are written so far.
        shortened: whether the text may be incomplete.
    """

    def __init__(self, limit: int | None) -> None:
        self.parts: list[str] = []
        self.shortened = False
        self._limit = sys.maxsize if limit is None else limit
        self._length = 0
        self._open: set[int] = set()  # the ids of the containers that are being written
        self._stack = ExitStack()
        self._displays_are_set = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, text: str) -> None:
        """Append a part to the text, if the text does not exceed the limit then."""
        self._length += len(text)
        if self._length > self._limit:
            raise TooLong
        self.parts.append(text)

    def write_outermost(self, value: Any) -> None:
        """Write a value that is in no container: a string without quotes, an object with `str`."""
        if is_a(value, "pyarrow", "Scalar"):
            value = _arrow_values(value, value.as_py)
        if is_a(value, "numpy", "ndarray") and value.ndim == 0 and not _is_masked(value):
            value = value[()]
        if isinstance(value, str) or is_simple(value) or is_a(value, "numpy", *_NUMPY_TIMES):
            self.add(str(value))
        elif is_a(value, "numpy", "generic") and (text := _scalar_text(value)) is not None:
            self.add(text)
        else:
            self._write_contents(value, str)

    def _write_inner(self, value: Any) -> None:
        """Write an item of a container: a string with quotes, an object with `repr`."""
        if is_simple(value):
            self.add(repr(value))
        elif is_a(value, "numpy", "generic") and (text := _scalar_text(value)) is not None:
            self.add(text)
        elif is_table(value):
            kind = type(value).__name__
            raise NotWritable(f"has a {kind} in it", 'name it alone: {{name[0]}}, {{name["key"]}}')
        else:
            self._write_contents(value, repr)

    def _write_contents(self, value: Any, write: Callable[[Any], str]) -> None:
        """Write the items of a container, or else the text that `write(value)` returns."""
        if id(value) in self._open:
            raise NotWritable("contains itself")
        self._open.add(id(value))
        if is_a(value, "numpy", "ndarray"):
            self._write_array(value)
        elif is_a(value, "numpy", "void"):
            self._write_dict({name: value[name] for name in value.dtype.names})
        elif is_a(value, "pandas", "RangeIndex"):
            self.add(repr(value))  # which is complete, and shorter than a list
        elif (items := _listed(value)) is not None:
            self._write_items("[]", items)
        elif write is str and _defines_str(value):
            self._write_own_text(value, write)
        else:
            self._write_container(value, write)
        self._open.discard(id(value))

    def _write_container(self, value: Any, write: Callable[[Any], str]) -> None:
        if isinstance(value, dict):
            self._write_dict(value)
        elif isinstance(value, list):
            self._write_items("[]", value)
        elif isinstance(value, tuple):
            self._write_tuple(value)
        elif isinstance(value, set | frozenset):
            self._write_set(value)
        else:
            self._write_own_text(value, write)

    def _write_items(self, brackets: str, items: Iterable[Any]) -> None:
        self.add(brackets[0])
        for number, item in enumerate(items):
            if number:
                self.add(", ")
            self._write_inner(item)
        self.add(brackets[1])

    def _write_dict(self, value: dict[Any, Any]) -> None:
        self.add("{")
        for number, (key, item) in enumerate(value.items()):
            if number:
                self.add(", ")
            self._write_inner(key)
            self.add(": ")
            self._write_inner(item)
        self.add("}")

    def _write_tuple(self, value: tuple[Any, ...]) -> None:
        if names := getattr(value, "_fields", None):  # a named tuple
            self.add(f"{type(value).__name__}(")
            for number, (name, item) in enumerate(zip(names, value, strict=True)):
                self.add(f"{', ' if number else ''}{name}=")
                self._write_inner(item)
            self.add(")")
        elif len(value) == 1:
            self.add("(")
            self._write_inner(value[0])
            self.add(",)")
        else:
            self._write_items("()", value)

    def _write_set(self, value: set[Any] | frozenset[Any]) -> None:
        name = "" if isinstance(value, set) else "frozenset"
        if not value:
            self.add(f"{name or 'set'}()")
            return
        self.add(f"{name}(" if name else "")
        self._write_items("{}", value)
        self.add(")" if name else "")

    def _write_array(self, array: Any) -> None:
        """Write a NumPy array as nested lists. A masked item is written as `None`."""
        array = _without_mask(array)
        if 3 * array.size > self._limit:  # an item is a digit, a comma and a space at least
            raise TooLong
        if array.ndim == 0:
            self._write_inner(array[()])
        elif array.ndim > 1:
            self.add("[")
            for number, part in enumerate(array):
                self.add(", " if number else "")
                self._write_array(part)
            self.add("]")
        elif array.dtype.kind in "biu" or array.dtype.char in "dD":
            self.add(repr(array.tolist()))
        else:
            self._write_items("[]", array)

    def _write_own_text(self, value: Any, write: Callable[[Any], str]) -> None:
        """Write an object with `str` or `repr`. Meanwhile, NumPy and pandas shorten no texts.

        Args:
            value: the object.
            write: `str` or `repr`.

        Raises:
            NotWritable: the text of the object does not contain its values.
        """
        if _is_opaque(value):
            kind = type(value)
            package = kind.__module__.partition(".")[0]
            raise NotWritable(f"is {_article(kind)} of {package}, whose text leaves values out")
        if not self._displays_are_set:
            self._stack.enter_context(_complete_displays())
            self._displays_are_set = True
        if isinstance(value, re.Pattern):
            self.add(_pattern_text(value))
            return
        if inspect.isroutine(value) or isinstance(value, type | ModuleType | IOBase):
            raise NotWritable(f"is {_article(type(value))}, whose text says nothing of it")
        text = write(value)
        if write is repr or not _defines_str(value):
            if _ADDRESS.search(text):
                raise NotWritable(f"is {_article(type(value))}, whose text says nothing of it")
            self.shortened = self.shortened or _ELLIPSIS.search(text) is not None
        self.add(text)


def _pattern_text(pattern: re.Pattern[Any]) -> str:
    """Return a compiled pattern as Python writes it, also if it is longer than 200 characters."""
    flags = re.RegexFlag(pattern.flags & ~re.UNICODE)
    return f"re.compile({pattern.pattern!r}{f', {flags!s}' if flags else ''})"


def _is_ours(value: object) -> bool:
    """Return whether a value's class belongs to this package and defines `__str__`."""
    return type(value).__module__.startswith("swiftask_jupyter.") and _defines_str(value)


def _article(kind: type) -> str:
    return f"{'an' if kind.__name__[:1] in 'AEIOUaeiou' else 'a'} {kind.__name__}"


def _defines_str(value: Any) -> bool:
    """Return whether a value's class defines `__str__`; `False` for pandas, polars and pyarrow."""
    method: Any = type(value).__str__
    return method is not object.__str__ and type(value).__module__.partition(".")[0] not in _TABLES


def _is_opaque(value: Any) -> bool:
    """Return whether a value's type looks like an array, a table or a plot of an unknown library.

    The value's attributes are not read, because a lazy frame would then compute its columns.
    """
    kind = type(value)
    if kind is type:
        return False
    array = hasattr(kind, "shape") and (hasattr(kind, "dtype") or hasattr(kind, "columns"))
    table = hasattr(kind, "columns") and (hasattr(kind, "dtypes") or hasattr(kind, "schema"))
    return array or table or hasattr(kind, "savefig")


def _listed(value: Any) -> Iterable[Any] | None:
    """Return the items of a pandas index, a pandas array or a pyarrow array; else return `None`."""
    if is_a(value, "pandas", "Index") or is_a(value, "pandas.api.extensions", "ExtensionArray"):
        return list(value)
    if is_a(value, "pyarrow", "Array", "ChunkedArray"):
        found: Iterable[Any] = _arrow_values(value, value.to_pylist)
        return found
    return None


def _arrow_values(value: Any, convert: Callable[[], Any]) -> Any:
    """Convert a pyarrow array or scalar to Python values.

    Args:
        value: the array or scalar.
        convert: returns the Python values of `value`.
    """
    check_time_unit(str(value.type))
    return convert()


def check_time_unit(dtype: str) -> None:
    """Refuse a pyarrow type with times of day in nanoseconds. Python's times lack nanoseconds.

    Args:
        dtype: the name of the type.

    Raises:
        NotWritable: the type has times of day in nanoseconds.
    """
    if "time64[ns]" in dtype:
        raise NotWritable("has times in nanoseconds", "cast them to string")


def _is_masked(array: Any) -> bool:
    return is_a(array, "numpy.ma", "MaskedArray")


def _without_mask(array: Any) -> Any:
    """Convert an array to a plain NumPy array. A masked item becomes `None`."""
    numpy: Any = sys.modules["numpy"]
    if not _is_masked(array):
        return numpy.asarray(array)
    items = numpy.empty(array.size, dtype=object)
    hidden = numpy.ma.getmaskarray(array)
    if array.dtype.names is not None:
        hidden = [all(mask) for mask in hidden.ravel().tolist()]
    else:
        hidden = hidden.ravel()
    for number, item in enumerate(numpy.asarray(array).ravel()):
        items[number] = None if hidden[number] else item
    return items.reshape(array.shape)


def _scalar_text(value: Any) -> str | None:
    """Return the text of a NumPy scalar without its type; `None` for a scalar with fields."""
    if value.dtype.names is not None:
        return None
    if value.dtype.kind in "Mm":
        return repr(str(value))
    if value.dtype.kind in "fc" and value.dtype.char not in "dD":
        with _complete_arrays():
            return str(value)
    return repr(value.item())


def _float_text(number: float) -> str:
    return repr(float(number))


def _complete_arrays() -> Any:
    """Return a context manager. Inside it, NumPy writes all items and all digits of an array."""
    numpy: Any = sys.modules["numpy"]
    return numpy.printoptions(threshold=sys.maxsize, floatmode="unique", legacy=False)


@contextmanager
def _complete_displays() -> Iterator[None]:
    """Return a context manager. Inside it, NumPy and pandas write all rows, columns and digits."""
    with ExitStack() as stack:
        if "numpy" in sys.modules:
            stack.enter_context(_complete_arrays())
        if pandas := sys.modules.get("pandas"):
            unlimited = ("max_rows", "max_columns", "max_colwidth", "max_seq_items", "width")
            options = {f"display.{name}": None for name in unlimited}
            pairs = [each for item in options.items() for each in item]
            stack.enter_context(pandas.option_context(*pairs, "display.float_format", _float_text))
        yield
