"""Slips of a cell: each stops it with one line that says what to write, and nothing is sent.

The last table is the other side: what looks like a slip but is none is sent unchanged.
"""

import types

import pandas as pd
import pytest
from IPython.core.error import UsageError

from swiftask_jupyter import errors
from swiftask_jupyter.sandbox.faults import Fault
from tests.support.cells import contents, ledger_frame, posts


@pytest.fixture
def shell_with_names(connected, tmp_path, monkeypatch):
    """A shell that asks the sandbox, with variables, a file and a named connection."""
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "pyproject.toml").write_text("[tool.swiftask.connections.team]\nagent = 'echo'")
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"text": ["a"], "first name": ["b"], 2020: [3], "😀": [4], "a.b": [5]})
    connected.user_ns.update(
        name="Ada",
        df=frame,
        d={"key": 1},
        user=types.SimpleNamespace(first="Grace", _secret="s"),
        items=[1, 2],
        pi=3.14159,
        ans="earlier",
    )
    return connected


LINES = {
    # The slips that the issue names.
    "echo temperature=0": "-o temperature=0",
    "echo > ans": "end the line with NAME <<",
    "echo temperature=0 # cold": "-o temperature=0",
    # An option without its dashes, or with other ones.
    "echo max_tokens=5": "-o max_tokens=5",
    "echo timeout=5": "write --timeout 5",
    "echo stream=false": "write --no-stream",
    "echo session=x": "write -s x",
    "agent=echo": "%%swiftask echo",
    "echo temperature: 0": "-o temperature=VALUE",
    "echo temperature\uff1d0": "-o temperature=0",
    "echo fresh": "write --fresh",
    "echo —over df": "write --over",
    "echo \u2013fresh": "write --fresh",
    "echo --Fresh": "did you mean --fresh?",
    "echo -fresh": "write --fresh",
    "echo -stateless": "write --stateless",
    "echo -session=x": "write --session",
    "echo --temperature 0": "-o temperature=VALUE",
    "--model echo": "%%swiftask AGENT",
    "echo -o temperature 0": "-o temperature=VALUE",
    "echo -o temperature = 0": "-o temperature=VALUE",
    "echo --fresh=yes": "ignored explicit argument 'yes'",
    # An option without its value, or given twice.
    "echo -a": "expected one argument",
    'echo -a ""': "nothing to attach",
    'echo -s ""': "-s is empty",
    "echo --last": "expected one argument",
    "echo --last two": "invalid int value",
    "echo --last 2 --last 3": "--last is given twice",
    "echo -c team --connection team": "--connection is given twice",
    "echo -o a=1 -o a=2": "-o a is given twice",
    "echo --dialect": "expected one argument",
    # The variable for the answer, in the ways of other languages.
    "echo -> ans": "NAME <<",
    "echo = ans": "NAME <<",
    "ans = echo": "NAME <<",
    "echo >> ans": "NAME <<",
    "echo >ans": "NAME <<",
    "echo <<ans": "NAME <<",
    "echo ans <": "NAME <<",
    "echo | ans": "NAME <<",
    "echo --fresh > ans": "NAME <<",
    "echo ans": "ans <<",
    # What belongs to an option.
    "df": "--over df",
    "echo df": "--over df",
    "echo notes.txt": "-a notes.txt",
    "notes.txt": "-a notes.txt",
    "echo report.pdf": "-a report.pdf",
    "echo ./data": "-a ./data",
    "echo https://example.org/a.pdf": "-a https://example.org/a.pdf",
    "echo team": "-c team",
    "echo --over nope": "there is: df",
    "echo --over name": "name is no DataFrame; there is: df",
    "echo --over fd": "did you mean df?",
    # The prompt on the line.
    "echo What is this?": "below the line",
    'echo "What is this"': "below the line",
    "echo what is this": "below the line",
    "echo {name}": "takes no variables",
    "echo $name": "takes no variables",
    # Agents.
    "Echo": "did you mean echo?",
    "echo lroem": "did you mean lorem?",
    "echo,lorem": "by spaces",
    "echo, lorem": "by spaces",
    "echo & lorem": "by spaces",
    "echo: hello": "below the line",
    "\uff45\uff43\uff48\uff4f lorem": "did you mean echo?",
    "“echo”": "straight quotes",
    "ec\u200bho": "invisible",
    '""': "empty quotes",
    "echo \\": "in one line",
    "echo -": "is no agent",
    "echo -1": "is no agent",
    "echo --raw lorem": "side by side",
    "echo --raw temperature=0": "-o temperature=0",
}


@pytest.mark.parametrize("line", LINES)
def test_a_slip_on_the_line_stops_the_cell_with_what_to_write(shell_with_names, box, line):
    with pytest.raises((UsageError, errors.Refused)) as caught:
        shell_with_names.run_cell_magic("swiftask", line, "hello\n")

    said = str(caught.value)
    assert LINES[line] in said
    assert "\n" not in said
    assert not posts(box)


PROMPTS = {
    "{{nmae}}": "no variable nmae; did you mean {{name}}? --raw sends it as written",
    "{{ Name }}": "did you mean {{name}}?",
    "{{nmae:.2f}}": "did you mean {{name}}?",
    "{{nmae:all}}": "did you mean {{name}}?",
    "{{xyzzy}}": "no variable xyzzy; --raw sends it as written",
    "{{name}} and {{nmae}}": "did you mean {{name}}?",
    "```\n{{nmae}}\n```": "did you mean {{name}}?",
    "{{user.frist}}": "no attribute frist in user; did you mean {{user.first}}?",
    "{{usr.first}}": "did you mean {{user.first}}?",
    "{{user._secret}}": "user._secret is private",
    '{{user["first"]}}': "did you mean {{user.first}}?",
    '{{d["ky"]}}': 'did you mean {{d["key"]}}?',
    "{{d.key}}": 'did you mean {{d["key"]}}?',
    "{{df.txt}}": "did you mean {{df.text}}?",
    '{{df["first nam"]}}': 'did you mean {{df["first name"]}}?',
    "{{items[5]}}": "no item 5 in items, which has 2",
    "{{name:.2f}}": "can't be written (ValueError)",
    "{{name:abc}}": "can't be written (ValueError)",
    "{{df:head}}": "can't be written (TypeError)",
    "{{df:al}}": "did you mean {{df:all}}?",
    "{{df:ALL}}": "did you mean {{df:all}}?",
    "{{df: all}}": "did you mean {{df:all}}?",
    "{{df.head}}": "is a method",
    "{{name.upper}}": "says nothing of it",
    "{{#if x}}{{name}} {{nmae}}{{/if}}": "did you mean {{name}}?",
    "hello\n%%swiftask lorem\nhello": "a cell of its own",
    "%swiftask use lorem\nhello": "a cell of its own",
    "# a comment\n# another": "only comments",
    "<!-- a comment -->": "only comments",
    "": "the prompt is empty",
    "  \n\n": "the prompt is empty",
}


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_slip_in_the_prompt_stops_the_cell_with_what_to_write(shell_with_names, box, prompt):
    with pytest.raises((UsageError, errors.Refused)) as caught:
        shell_with_names.run_cell_magic("swiftask", "echo", f"{prompt}\n")

    assert PROMPTS[prompt] in str(caught.value)
    assert not posts(box)
    assert set(ledger_frame()["status"]) == {"refused"}


ROWS = {
    "{{txt}}": "did you mean 'text'?",
    "{{2021}}": "did you mean '2020'?",
    "{{frist name}}": "did you mean 'first name'?",
    "{{🙂}}": "there is: text, first name, 2020, 😀",
    "{{text.upper()}}": "did you mean 'text'?",
    "{{ text | upper }}": "did you mean 'text'?",
    "{{#if text}}": "no column '#if text'",
    "{{text}} {{first nme:>5}}": "did you mean 'first name'?",
    "{{text.frist}}": "no value for {{text.frist}}",
}


@pytest.mark.parametrize("prompt", ROWS)
def test_a_field_that_no_row_can_fill_stops_the_batch(shell_with_names, box, prompt):
    with pytest.raises(errors.PromptError) as caught:
        shell_with_names.run_cell_magic("swiftask", "echo --over df", f"{prompt}\n")

    assert ROWS[prompt] in str(caught.value)
    assert not posts(box)


CELLS = {
    "x = 1\n%%swiftask echo\nhello": "belongs at the top of its own cell",
    "# a note\n%%swiftask echo\nhello": "belongs at the top of its own cell",
    "%%swiftask sandbox": "one percent sign: %swiftask sandbox",
    "%%swiftask use echo # now\n\n": "one percent sign: %swiftask use echo",
    "%swiftask histroy": "did you mean history?",
    "%swiftask echo hello": "to ask: %%swiftask echo",
    "%swiftask use temperature=0": "-o temperature=0",
    "%swiftask use “echo”": "straight quotes",
    "%swiftask chat temperature=0": "-o temperature=0",
    "%swiftask ask hello echo lorem": "takes 1 to 2 words",
    '%swiftask ask "{{nmae}}" echo': "did you mean {{name}}?",
    '%swiftask ask "hello" temperature=0': "-o temperature=0",
}


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_that_is_no_prompt_says_so_and_sends_nothing(shell_with_names, box, cell):
    result = shell_with_names.run_cell(cell)

    assert CELLS[cell] in str(result.error_in_exec)
    assert not posts(box)


@pytest.mark.parametrize(
    "line",
    [
        "echo # first",
        "echo #first lorem temperature=0",
        "echo --fresh # --last 2 > ans",
        "echo ans << # keep it",
        "echo # it's \"unclosed",
        'echo --system "a # b" # c',
        "echo -s a#b",
        "# only a comment",
        "echo --",
        "  echo  ",
        "echo\u00a0--fresh",
        "'echo'",
        '"echo" --dialect openai',
        "echo --dry-run --fresh --fresh # nothing",
    ],
)
def test_a_line_that_looks_odd_but_is_right_asks_one_agent(shell_with_names, box, line):
    shell_with_names.run_line_magic("swiftask", "use echo")

    shell_with_names.run_cell_magic("swiftask", line, "hello\n")

    assert len(posts(box)) == ("--dry-run" not in line)


@pytest.mark.parametrize(
    "prompt",
    [
        "{{ user.name | upper }}",
        "{{#if missing}}yes{{else}}no{{/if}}",
        "{{ 1+1 }} {{2020}} {{name()}} {{missing + 1}} {{missing!r}}",
        "{% for item in things %}{{ item }}{% endfor %}",
        "{{#people}}{{firstname}}{{/people}} {{{body}}}",
        "{{range .Items}}{{.Name}}{{end}}",
        "{{- if .Values.x -}} {{ .Values.y }} {{ end }}",
        "runs-on: ${{ matrix.os }}\nwith: ${{ secrets.TOKEN }}",
        "<div style={{color: 'red', flex: 1}}>",
        "<div style={{color: 'red'}}> <div style={{flex: 1}}>",
        "<div style={{color:red}}>",
        "<li v-for='x in xs'>{{ x.name | upper }}</li>",
        r"\frac{{a}^2}{{b}_1} {{\bf x}} x_{{i+1}}",
        '{{"a": 1}} {"a":{"b":{}}} {"a": {"b": 1}}',
        "title = {{Deep Learning}}",
        "{{}} {{ }} {single} ${HOME} $(ls) `{{`",
        "{{else}} {{None}} {{True}} {{if}}",
        "awk '{{print $1}}' | sed 's/{{//'",
        "# A heading\nand a text",
        "#hashtag",
        "## Summarise",
        "<!-- a --> text",
        "# {{'x'}}",
        "use %%swiftask echo in a cell, and %swiftask usage",
        "%%time\n%%swiftaskish\n%swiftasks",
        "1 << 4; ans << # not a comment > ans temperature=0",
        "smart “quotes” — and dashes, \\",
    ],
)
def test_a_prompt_that_looks_odd_but_is_right_is_sent_unchanged(shell_with_names, box, prompt):
    shell_with_names.run_cell_magic("swiftask", "echo --dialect openai", f"{prompt}\n")

    assert contents(box) == [prompt]


def test_raw_sends_every_slip_of_a_prompt_as_written(shell_with_names, box):
    for prompt in filter(str.strip, PROMPTS):
        shell_with_names.run_cell_magic(
            "swiftask", "echo --raw --fresh --dialect openai", f"{prompt}\n"
        )

        assert contents(box) == [prompt]


@pytest.mark.parametrize(
    "line",
    [
        "org/model:Q4_K_M",
        "@cf/meta/llama-3.1-8b",
        "hf.co/org/model.gguf",
        "/models/llama.gguf",
        "ft:gpt-4o:org::id",
        "GPT-4.1",
        "df",
        "gpt-4.1 meta-llama/llama-3:free",
        "notes.txt ans",
    ],
)
def test_a_service_without_a_catalogue_is_asked_for_any_possible_id(shell_with_names, box, line):
    box.fail(Fault(status=404), path="/public/bots", times=None)

    with pytest.raises(errors.AgentNotFound):
        shell_with_names.run_cell_magic("swiftask", f"{line} --dialect openai", "hello\n")

    assert {seen.json["model"] for seen in posts(box)} == {*line.split()}
