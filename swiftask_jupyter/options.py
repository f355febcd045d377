"""All options of the public methods and of the `%swiftask` magics.

Each option is one field of a `TypedDict`, annotated with an `Option`. These fields define the
keyword arguments for type checkers, the signatures in `help()`, the flags of the magics, the
tables in the README, and the suggestions for misspelt names. The classes and their users:

    CallOptions                 all methods and magics that send prompts
    ├── RequestOptions          Swiftask.ask, stream, dry_run …
    │   └── AskOptions          Session.ask, stream, dry_run …
    │       └── CellOptions     %%swiftask
    └── BatchOptions            Swiftask.map, map_async, and %%swiftask --over
    UsageOptions                Swiftask.usage and %swiftask usage
    PurgeOptions                Swiftask.purge and %swiftask purge
    ChatOptions                 Swiftask.chat
"""

# No `from __future__ import annotations` here: it would turn the annotations into strings, and
# parsing these at run time would slow down loading the extension.

from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from inspect import Parameter, Signature, signature
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple, TypedDict, TypeVar, cast

from swiftask_jupyter.errors import ConfigurationError

CACHE_MODES = ("off", "on", "strict")
DOCS_MODES = ("simple", "advanced")
FORMATS = ("md", "text", "json", "code")  # how a cell shows an answer


class Option(NamedTuple):
    """The description of one option.

    Attributes:
        help: what the keyword does, in one line.
        flags: the flags for a magic line; empty if a line sets the option by `-o NAME=VALUE`.
        metavar: the word that stands for the flag's value in the help, such as `SECONDS`.
        default: the default value, as `help()` shows it.
        const: the option's value if no word follows the flag; `None` if a word must follow.
        flag_help: what the flag does; empty if the flag does what `help` says.
        parse: converts the word behind the flag to the option's value.
        choices: the words that may follow the flag; empty if any word may follow.
        repeats: whether the flag may be repeated. The option's value is then a list of all words.
        by_row: whether the flag can be combined with `--over`.
        is_field: whether the request to the service has a field with the option's name.
        method: the Python call to use instead of the flag, for a flag without a keyword.
    """

    help: str
    flags: tuple[str, ...] = ()
    metavar: str = ""
    default: object = None
    const: object = None
    flag_help: str = ""
    parse: Callable[[str], object] = str
    choices: tuple[str, ...] = ()
    repeats: bool = False
    by_row: bool = True
    is_field: bool = False
    method: str = ""


# The agent is a parameter of every method, and the first word of a magic line.
AGENT = Option("the agent's slug, or several to compare; default: the connection's")

# One short paragraph for each option, which the formatter would spread over eight lines.
# fmt: off


class CallOptions(TypedDict, total=False):
    """The keyword options that `Swiftask.ask`, `Session.ask` and `Swiftask.map` all accept."""

    connection: Annotated[str | None, Option(
        "a connection of pyproject.toml or config.toml", ("-c", "--connection"), "NAME")]
    dialect: Annotated[str | None, Option(
        "the wire API: auto (default), openai, native, widget, chat, agencii, or a plugin's",
        ("--dialect",), "NAME")]
    system: Annotated[str | None, Option(
        "a system message before the prompt", ("--system",), "TEXT")]
    docs: Annotated[Literal["simple", "advanced"] | None, Option(
        "how the service reads attached files: simple or advanced (default)",
        ("--docs",), "MODE", choices=DOCS_MODES)]
    timeout: Annotated[float | None, Option(
        "the seconds of silence, or twice as many of mere comments, before an error; default: 120",
        ("--timeout",), "SECONDS", parse=float)]
    stream: Annotated[bool | None, Option(
        "whether to request the answer piece by piece",
        ("--no-stream",), default=True, const=False, flag_help="request the answer in one piece")]
    cache: Annotated[Literal["off", "on", "strict"] | None, Option(
        '"on": show an earlier answer to the same request again; "strict": and send nothing',
        ("--cache",), const="on", by_row=False,
        flag_help="show an earlier answer to the same request again")]
    temperature: Annotated[float | None, Option(
        "how random the answer may be; 0: as little as possible", is_field=True)]
    max_tokens: Annotated[int | None, Option("the most tokens of the answer", is_field=True)]
    stateless: Annotated[bool | None, Option(
        "request that /v1 does not store the turn", ("--stateless",), const=True, is_field=True)]
    fields: Annotated[Mapping[str, object] | None, Option(
        "other fields of the request by name, sent unchanged",
        ("-o", "--option"), "KEY=VALUE", repeats=True,
        flag_help="a field of the request, such as temperature=0; repeat it")]


class RequestOptions(CallOptions, total=False):
    """The keyword options of a question outside of any conversation, as in `Swiftask.ask`."""

    files: Annotated[Iterable[object], Option(
        "files to attach: paths, URLs, DataFrames, figures, (name, bytes)",
        ("-a", "--attach"), "FILE", default=(), repeats=True, by_row=False,
        flag_help="a file, folder, pattern, URL or variable (DataFrame, figure); repeat it")]


class AskOptions(RequestOptions, total=False):
    """The keyword options of a question in a conversation, as in `Session.ask`."""

    fresh: Annotated[bool, Option(
        "send no earlier turns", ("--fresh",), default=False, const=True, by_row=False)]
    last: Annotated[int | None, Option(
        "send only the last N earlier turns", ("--last",), "N", parse=int, by_row=False)]
    history: Annotated[bool, Option(
        "whether to send earlier turns, and to keep this one",
        ("--no-history",), default=True, const=False, by_row=False,
        flag_help="send no earlier turns, and do not keep this one")]
    share_history: Annotated[bool, Option(
        "send earlier turns to this service although they were said at another one",
        ("--share-history",), default=False, const=True, by_row=False)]
    replay: Annotated[bool, Option(
        "send a service that keeps conversations itself the turns that it lacks",
        ("--replay",), default=False, const=True, by_row=False)]


class CellOptions(AskOptions, total=False):
    """The options of a `%%swiftask` cell: all of `AskOptions`, and options only for cells."""

    session: Annotated[str | None, Option(
        "the conversation of that name; default: the notebook's current one",
        ("-s", "--session"), "NAME", by_row=False, method="swiftask.session(name).ask(…)")]
    format: Annotated[Literal["md", "text", "json", "code"], Option(
        "show the answer as md (default), text (unchanged), json or code",
        ("-f", "--format"), "FORMAT", default="md", choices=FORMATS)]
    raw: Annotated[bool, Option(
        "send the prompt as written, {{…}} included",
        ("--raw",), default=False, const=True, by_row=False)]
    dry_run: Annotated[bool, Option(
        "show the request and what the last calls cost; send nothing",
        ("--dry-run",), default=False, const=True, by_row=False, method="swiftask.dry_run(…)")]
    over: Annotated[str | None, Option(
        "ask once for each row of this DataFrame; {{column}} is the row's value",
        ("--over",), "FRAME", method="swiftask.map(frame, …)")]


class BatchOptions(CallOptions, total=False):
    """The options of `Swiftask.map`: options for each request, and options for the whole batch."""

    concurrency: Annotated[int, Option("the most requests in flight at once", default=8)]
    schema: Annotated[str | Mapping[str, object] | type | None, Option(
        'columns to read out of each answer: "label: str, score: float"',
        ("--schema",), "FIELDS")]
    files: Annotated[str | None, Option("the column that holds paths or URLs to attach")]
    prefix: Annotated[str, Option("what the names of the new columns begin with", default="")]
    retry: Annotated[Literal["errors", "all"] | None, Option(
        '"errors": send failed rows again; "all": every row')]
    pilot: Annotated[int, Option("how many rows to send first, before asking to go on", default=0)]
    confirm: Annotated[bool | None, Option(
        "whether to ask before sending; default: above 1,000 rows")]
    tries: Annotated[int, Option("the most requests for one row", default=4)]
    progress: Annotated[bool, Option("whether to show a summary and a progress bar", default=True)]
    names: Annotated[Mapping[str, object] | None, Option(
        "values for names in the prompt that are no columns")]


class UsageOptions(TypedDict, total=False):
    """The options of `Swiftask.usage` and `%swiftask usage`: which calls to return."""

    since: Annotated[str | float | timedelta | date | None, Option(
        "only calls since then: 7d, 12h, a date or a time", ("--since",), "TIME")]
    agent: Annotated[str | None, Option("only calls of this agent", ("--agent",), "SLUG")]
    notebook: Annotated[str | Path | None, Option(
        "only calls of the notebook at this path; `.`: this one; `all`: every one",
        ("--notebook",), "PATH")]
    session: Annotated[str | None, Option(
        "only calls of the session with this id", ("--session",), "ID")]
    text: Annotated[bool, Option(
        "add prompts and answers, ratings and comments", ("--text",), default=False, const=True)]
    sandbox: Annotated[bool | None, Option(
        "whether sums and plots include calls to the sandbox; default: no", ("--sandbox",),
        const=True, flag_help="include calls to the sandbox in sums and plots")]


class PurgeOptions(TypedDict, total=False):
    """The options of `Swiftask.purge` and `%swiftask purge`, which choose the turns to purge."""

    session: Annotated[str | None, Option(
        "the turns of a conversation of this notebook, or of the session with this id",
        ("--session",), "NAME", const="", flag_help="the current one, or that of this name or id")]
    before: Annotated[str | float | timedelta | date | None, Option(
        "the turns before then: 30d, 12h, a date or a time", ("--before",), "TIME")]
    everything: Annotated[bool, Option(
        "all turns of this ledger", ("--all",), default=False, const=True)]


class ChatOptions(TypedDict, total=False):
    """The options of `Swiftask.chat`, which creates a chat panel."""

    session: Annotated[str | None, Option(
        "the conversation to show; default: the notebook's current one")]
    enter_sends: Annotated[bool, Option(
        "Enter sends and Shift+Enter breaks the line; else Ctrl+Enter sends", default=True)]
    transcript: Annotated[bool, Option(
        "whether a readable copy below the panel is saved with the notebook", default=True)]


# fmt: on

# The methods with options of their own, and the advice if a call of another method has one.
_OWNERS: tuple[tuple[str, Any, str], ...] = (
    ("Session.ask", AskOptions, "write swiftask.session(name).ask(…)"),
    ("Swiftask.map", BatchOptions, "write swiftask.map(frame, text, …)"),
)
# Names of internal parameters: neither an option nor a field of a request has such a name.
INTERNAL = frozenset(("aside", "needs_token", "origin", "self", "slot", "superseded", "surface"))
# A keyword at least this similar to an option counts as misspelt, and is refused before sending.
MISSPELT = 0.8

_Method = TypeVar("_Method", bound=Callable[..., Any])


def options_of(kind: Any) -> dict[str, Option]:
    """Return a dict that maps the name of each option in `kind` to the option.

    `kind` is a `TypedDict` of this module. Inherited options come first.
    """
    return {name: hint.__metadata__[0] for name, hint in kind.__annotations__.items()}


def type_of(kind: Any, name: str) -> Any:
    """Return the type of an option, such as `str | None`.

    Raises:
        KeyError: `kind` has no option with this name.
    """
    return kind.__annotations__[name].__origin__


def check_options(given: Iterable[str], kind: Any) -> None:
    """Raise an error if a keyword of a call is misspelt or is an option of another method.

    Any other unknown keyword is accepted, because it becomes a field of the request.

    Args:
        given: the names of the keyword arguments.
        kind: the `TypedDict` that lists the options of the called method.

    Raises:
        ConfigurationError: a keyword is not accepted; the message says what to write instead.
    """
    known = kind.__annotations__
    for name in given:
        if name not in known:
            _refuse_misplaced(name)
            _refuse_misspelt(name, kind)


def check_known(given: Iterable[str], kind: Any) -> None:
    """Check the keyword arguments of a method that sends no request, such as `Swiftask.usage`.

    Args:
        given: the names of the keyword arguments.
        kind: the `TypedDict` that lists the options of the method.

    Raises:
        ConfigurationError: a keyword is not an option. The message suggests or lists options.
    """
    from swiftask_jupyter.support.suggest import closest

    known = list(kind.__annotations__)
    for name in given:
        if name not in known:
            meant = closest(name, known)
            advice = f"did you mean {meant}?" if meant else f"options: {', '.join(known)}"
            raise ConfigurationError(f"no option {name}", advice=advice)


def _refuse_misplaced(name: str) -> None:
    if name in INTERNAL:
        raise ConfigurationError(f"{name} is no option", advice="leave it out")
    option = options_of(CellOptions).get(name)
    if option is not None and option.method:
        flag = f"{option.flags[0]} {option.metavar}".rstrip()
        raise ConfigurationError(
            f"{name} is no keyword", advice=f"write {option.method}, or {flag} in a cell"
        )
    for owner, kind, advice in _OWNERS:
        if name in kind.__annotations__:
            raise ConfigurationError(f"{name} is an option of {owner}", advice=advice)


def _refuse_misspelt(name: str, kind: Any) -> None:
    from swiftask_jupyter.support.suggest import closest

    listed = options_of(AskOptions) | options_of(kind)
    ours = ["agent", *(each for each, option in listed.items() if not option.is_field)]
    if meant := closest(name, ours, cutoff=MISSPELT):
        raise ConfigurationError(f"no option {name}", advice=f"did you mean {meant}?")


def with_options(kind: Any) -> Callable[[_Method], _Method]:
    """Return a decorator that shows the options of `kind` in a method's signature and docstring.

    `help()` and Tab completion then show these options instead of `**options`. The decorator
    returns the method itself, with a new `__signature__` and docstring. In the docstring, one line
    for each option replaces the line that begins with `**options:`.

    Args:
        kind: the `TypedDict` that the method's annotation `Unpack[…]` names.
    """

    def decorate(method: _Method) -> _Method:
        described = cast("Any", method)
        described.__signature__ = _LazySignature(method, kind)
        described.__doc__ = _described(method.__doc__, kind)
        return method

    return decorate


def _described(docstring: str | None, kind: Any) -> str | None:
    if not docstring or "**options:" not in docstring:
        return docstring
    before, _, after = docstring.partition("**options:")
    indent = before.rpartition("\n")[2]
    lines = [f"{name}: {option.help}." for name, option in options_of(kind).items()]
    return before + f"\n{indent}".join(lines) + "\n" + after.partition("\n")[2]


class _LazySignature(Signature):
    """A method's signature that is computed on first access, so that the module is imported fast.

    The computed signature then replaces this object as the method's `__signature__`.
    """

    def __init__(self, method: Callable[..., Any], kind: Any) -> None:
        self._method, self._kind = method, kind

    def _made(self) -> Signature:
        own: dict[str, Any] = self._method.__dict__
        own.pop("__signature__", None)  # else `signature` would find this very object
        own["__signature__"] = made = _expanded(self._method, self._kind)
        return made

    @property
    def parameters(self) -> MappingProxyType[str, Parameter]:
        return self._made().parameters

    @property
    def return_annotation(self) -> Any:
        return self._made().return_annotation

    def replace(self, **changes: Any) -> Signature:  # type: ignore[override]  # not a lazy one
        return self._made().replace(**changes)


class _Text(str):
    """A string annotation whose repr has no quotes, so that signatures are easy to read."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _readable(annotation: Any) -> Any:
    return _Text(annotation) if isinstance(annotation, str) else annotation


def _expanded(method: Callable[..., Any], kind: Any) -> Signature:
    """Return the method's signature, with one keyword parameter for each option of `kind`.

    The new parameters replace `**options`. If `kind` has the option `fields`, a parameter
    `**request_fields` is added.
    """
    plain, listed = signature(method), options_of(kind)
    named = [
        each.replace(annotation=_readable(each.annotation))
        for each in plain.parameters.values()
        if each.kind is not Parameter.VAR_KEYWORD
    ]
    named += [
        Parameter(
            name, Parameter.KEYWORD_ONLY, default=option.default, annotation=type_of(kind, name)
        )
        for name, option in listed.items()
    ]
    if "fields" in listed:
        rest = Parameter("request_fields", Parameter.VAR_KEYWORD, annotation=_Text("object"))
        named.append(rest)
    return Signature(named, return_annotation=_readable(plain.return_annotation))
