"""The tables of options in the README, generated from the list of options.

`python -m tests.support.readme` writes them into the README.
"""

from pathlib import Path

from swiftask_jupyter.notebook.arguments import line_options
from swiftask_jupyter.options import AskOptions, BatchOptions, CallOptions, options_of

README = Path(__file__).parent.parent.parent / "README.md"


def options_table():
    """The options of a question, as a cell and as Python write them."""
    rows = ["| in a cell | in Python | |", "|---|---|---|"]
    for name, option in (options_of(AskOptions) | line_options()).items():
        meaning = option.flag_help or option.help
        rows.append(f"| {_in_cell(name, option)} | {_in_python(name, option)} | {meaning} |")
    return "\n".join(rows)


def _in_cell(name, option):
    flags = option.flags or ("-o",)
    value = option.metavar or ("" if option.flags else f"{name}=VALUE")
    return ", ".join(f"`{f'{flag} {value}'.rstrip()}`" for flag in flags)


def _in_python(name, option):
    if option.method:
        return f"`{option.method}`"
    if name not in options_of(AskOptions) | options_of(BatchOptions):
        return ""
    value = "" if option.const is None else f"{option.const!r}".replace("'", '"')
    return f"`{name}={value}`"


def batch_table():
    """The options that only `map` has, with their defaults."""
    rows = ["| option of `map` | |", "|---|---|"]
    for name, option in options_of(BatchOptions).items():
        if name not in options_of(CallOptions):
            default = f"{option.default!r}".replace("'", '"')
            rows.append(f"| `{name}={default}` | {option.help} |")
    return "\n".join(rows)


TABLES = {"options": options_table, "options of map": batch_table}


def updated(text):
    """The README's text with the tables as they are generated now."""
    for name, table in TABLES.items():
        before, begin, rest = text.partition(f"<!-- {name}, generated -->\n")
        _, end, after = rest.partition(f"\n<!-- end of {name} -->")
        assert end, f"the README has no markers for the {name}"
        text = before + begin + table() + end + after
    return text


if __name__ == "__main__":
    README.write_text(updated(README.read_text("utf-8")), "utf-8")
