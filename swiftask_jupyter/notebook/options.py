"""The options of `%%swiftask`, in the order in which its help lists them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from IPython.core.magic_arguments import argument

# How an answer may be shown, see `notebook.forms`.
FORMS = ("md", "text", "json", "code")

_OPTIONS = (
    argument("agent", nargs="*", help="the agent's slug, or several to compare"),
    argument("-s", "--session", help="the conversation of that name"),
    argument("--fresh", action="store_true", help="send nothing of what was said before"),
    argument("--no-history", action="store_true", help="neither send nor remember anything"),
    argument("--last", type=int, help="send only so many turns of what was said before"),
    argument("--cache", action="store_true", help="show an earlier answer to the same again"),
    argument("--replay", action="store_true", help="tell a service the talk it has not kept"),
    argument("--dialect", help="auto, openai, native, widget, chat, agencii, or a package's"),
    argument("-c", "--connection", help="a connection of pyproject.toml or config.toml"),
    argument("-a", "--attach", action="append", default=[], help="a file, URL or variable"),
    argument("-o", "--option", action="append", default=[], help="a request's field: KEY=VALUE"),
    argument("--docs", choices=["simple", "advanced"], help="how files are read"),
    argument("--system", help="a system message before the prompt"),
    argument("-f", "--format", choices=FORMS, default="md", help="how the answer is shown"),
    argument("--timeout", type=float, help="the seconds the service may be silent; default: 120"),
    argument("--no-stream", action="store_true", help="ask for the answer in one piece"),
    argument("--stateless", action="store_true", help="ask /v1 not to keep the turn"),
    argument("--dry-run", action="store_true", help="show what would be sent, and send nothing"),
    argument("--over", help="ask once for each row of this DataFrame; {{column}} is the row's"),
    argument("--schema", help='columns read out of each answer: "label: str, score: float"'),
    argument("--raw", action="store_true", help="send the prompt as it stands, {{…}} included"),
)


def takes_options(magic: Callable[..., Any]) -> Callable[..., Any]:
    """Declare the options of a magic; stands below `@magic_arguments()`."""
    for option in reversed(_OPTIONS):
        magic = option(magic)
    return magic


def for_client(options: Any) -> dict[str, Any]:
    """Return what the options say, by the names that `Swiftask.ask` has for it."""
    said = {
        "dialect": options.dialect,
        "connection": options.connection,
        "system": options.system,
        "documentAnalysisMode": options.docs and options.docs.upper(),
        "timeout": options.timeout,
        "stream": False if options.no_stream else None,
        "stateless": options.stateless or None,
    }
    return {name: value for name, value in said.items() if value is not None}
