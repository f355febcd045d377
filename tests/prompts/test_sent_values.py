"""What a server receives for a value equals the value, or the user is told what is missing."""

import csv
import datetime as dt
import io
import math

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

from swiftask_jupyter import Sandbox, Swiftask
from swiftask_jupyter.errors import PromptError
from tests.support.cells import contents, posts
from tests.support.frames import received_prompts
from tests.support.values import shortening_displays

THIRDS = np.arange(1500) / 3
often = settings(
    max_examples=30, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


@pytest.fixture
def send(connected, box):
    """`send(value, field)` returns what the server received for a field of a cell."""

    def send(value, field="{{x}}"):
        connected.user_ns["x"] = value
        with shortening_displays():
            connected.run_cell_magic("swiftask", "echo --fresh --dialect openai", f"<{field}>")
        return contents(box)[-1][1:-1]

    return send


@pytest.fixture
def attach(connected, box):
    """`attach(value)` returns the content of the file that the server received for `-a`."""

    def attach(value):
        connected.user_ns["x"] = value
        with shortening_displays():
            connected.run_cell_magic("swiftask", "echo --fresh -a x", "look")
        return next(seen.body for seen in reversed(box.requests) if seen.method == "PUT").decode()

    return attach


@pytest.fixture
def refused(connected, box):
    """`refused(value, field)` returns the error of a cell that sent nothing."""

    def refused(value, field="{{x}}", line="echo"):
        connected.user_ns["x"] = value
        with pytest.raises(PromptError) as error:
            connected.run_cell_magic("swiftask", line, field)
        assert not posts(box)
        assert "\n" not in str(error.value)
        return str(error.value)

    return refused


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=9)
    | st.datetimes()
)  # fmt: skip
arrays = st.lists(st.floats(), max_size=30).map(np.array) | st.lists(
    st.integers(-(2**63), 2**63 - 1), max_size=30
).map(lambda items: np.array(items, dtype="int64"))
values = st.recursive(
    scalars | arrays,
    lambda inner: (
        st.lists(inner, max_size=8)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
        | st.tuples(inner, inner)
    ),
    max_leaves=20,
)


def comparable(value):
    """Return a value with arrays as lists, and floats so that NaN equals itself."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(comparable(item) for item in value)
    return repr(value) if isinstance(value, float) else value


@often
@given(values)
def test_any_nested_value_is_received_as_a_text_that_reads_back_as_the_value(send, value):
    received = send([value])
    names = {"nan": math.nan, "inf": math.inf, "datetime": dt}
    assert comparable(eval(received, names)) == [comparable(value)]


cell_kinds = {
    "float": st.floats(allow_nan=False), "int": st.integers(-(2**63), 2**63 - 1),
    "text": st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    "list": st.lists(st.floats(allow_nan=False), max_size=9), "array": arrays,
}  # fmt: skip


@st.composite
def frames(draw):
    """Return a frame of up to 60 rows with a column of each kind."""
    rows = draw(st.integers(1, 60))
    columns = {
        kind: draw(st.lists(cells, min_size=rows, max_size=rows))
        for kind, cells in cell_kinds.items()
    }
    return pd.DataFrame(columns)


def as_written(cell):
    """Return the text that a cell of a CSV file is expected to have."""
    return str(cell.tolist()) if isinstance(cell, np.ndarray) else str(cell)


def expected_rows(frame):
    """Return the rows of a frame's CSV file, below the header."""
    return [[str(row[0]), *map(as_written, row[1:])] for row in frame.itertuples(name=None)]


def read_csv(text):
    """Return the rows of a CSV text, below the header."""
    return list(csv.reader(io.StringIO(text, newline="")))[1:]


@often
@given(frames())
def test_any_frame_is_received_whole_or_the_footer_says_what_is_missing(
    send, connected, capsys, frame
):
    assert read_csv(send(frame, "{{x:all}}")) == expected_rows(frame)
    assert "rows of x" not in capsys.readouterr().out

    received = send(frame).removesuffix(f"(20 of {len(frame)} rows)\n")

    assert read_csv(received) == expected_rows(frame)[:20]
    told = f"20 of {len(frame)} rows of x sent; {{{{x:all}}}} or -a x sends all"
    assert (told in capsys.readouterr().out) == (len(frame) > 20)


@settings(often, max_examples=10)
@given(frames())
def test_any_frame_that_is_attached_is_received_whole(attach, frame):
    assert read_csv(attach(frame)) == expected_rows(frame)


@settings(often, max_examples=10)
@given(frames())
def test_any_cell_of_a_row_is_received_whole(frame):
    quiet = {"progress": False, "retry": "all"}
    with Sandbox() as box, Swiftask(base_url=box.url, token=box.token, dialect="openai") as client:
        with shortening_displays():
            out = client.map(frame, "<{{float}} {{list}} {{array}}>", "echo", **quiet)
        received = received_prompts(box)

    assert set(out["status"]) == {"ok"}
    expected = frame[["float", "list", "array"]].itertuples(name=None, index=False)
    assert set(received) == {f"<{' '.join(map(as_written, row))}>" for row in expected}


def test_a_frame_of_25000_rows_is_sent_in_part_and_the_footer_says_how_to_send_all(
    send, attach, capsys
):
    frame = pd.DataFrame({"n": range(25_000)})

    assert send(frame).endswith("19,19\n(20 of 25000 rows)\n")
    assert "20 of 25,000 rows of x sent; {{x:all}} or -a x sends all" in capsys.readouterr().out
    assert read_csv(send(frame, "{{x:all}}")) == expected_rows(frame)
    assert read_csv(attach(frame)) == expected_rows(frame)
    assert "rows of x" not in capsys.readouterr().out


def test_several_agents_and_a_dry_run_say_what_a_prompt_leaves_out(connected, box, capsys):
    connected.user_ns["df"] = pd.DataFrame({"n": range(25)})

    connected.run_cell("%%swiftask --dry-run echo\n{{df}}")
    assert not posts(box)
    assert "20 of 25 rows of df sent; {{df:all}} or -a df sends all" in capsys.readouterr().out
    connected.run_cell("%%swiftask echo mirror\n{{df}}")
    assert capsys.readouterr().out.count("20 of 25 rows of df sent") == 2


def test_the_remark_is_part_of_the_answer_and_names_no_attachment_where_none_is_possible(
    connected,
):
    connected.user_ns["d"] = {"k": pd.Series(range(25))}

    answer = connected.run_cell_magic("swiftask", "echo", '{{d["k"]}}')

    assert answer.reply.remarks == ['20 of 25 rows of d["k"] sent; {{d["k"]:all}} sends all']


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_a_table_of_another_library_is_sent_in_part_or_whole_and_attached_whole(
    send, attach, capsys, library
):
    module = pytest.importorskip(library)
    make = module.DataFrame if library == "polars" else module.table
    table = make({"x": THIRDS[:25].tolist(), "l": [[n / 3] * 40 for n in range(25)]})
    expected = [[str(n / 3), str([n / 3] * 40)] for n in range(25)]

    assert read_csv(send(table).removesuffix("(20 of 25 rows)\n")) == expected[:20]
    assert "20 of 25 rows of x sent" in capsys.readouterr().out
    assert read_csv(send(table, "{{x:all}}")) == expected
    assert read_csv(attach(table)) == expected


@pytest.mark.parametrize(
    "value",
    ["x" * 100_001, list(range(40_000)), np.arange(10**6), pd.DataFrame({"t": ["x" * 99_999]})],
    ids=["text", "list", "array", "frame"],
)
def test_a_value_above_the_limit_stops_the_cell_unless_all_of_it_is_asked_for(send, refused, value):
    message = refused(value)

    assert message.startswith("{{x}} has over 100,000 characters; {{x:all}}")
    assert ("or -a x" in message) == isinstance(value, pd.DataFrame)
    if not isinstance(value, np.ndarray):
        assert len(send(value, "{{x:all}}")) > 100_000


def test_a_value_without_a_text_of_its_own_stops_the_cell(refused):
    assert refused(n for n in ()).startswith("{{x}} is a generator, whose text says nothing of it;")
    frame = pd.DataFrame({"c": [object()]})
    assert "has a column 'c' that is an object" in refused(frame)
    assert "x (DataFrame) has a column 'c'" in refused(frame, "look", "echo -a x")


def test_a_refused_value_is_a_refused_turn_of_the_ledger(refused, connected):
    refused(object())

    with Swiftask() as client:
        assert list(client.usage()["status"]) == ["refused"]


def test_a_row_with_a_value_that_cannot_be_sent_in_full_is_not_sent(client, box):
    frame = pd.DataFrame({"n": [1, 2], "cell": [[1], object()]})
    names = {"df": pd.DataFrame({"x": range(25)})}

    out = client.map(frame, "{{n}} {{cell}}", progress=False)
    whole = client.map(frame, "{{n}} {{df:all}}", progress=False, names=names)

    assert list(out["status"]) == ["ok", "refused"]
    assert "is an object, whose text says nothing of it" in out["error"][1]
    assert list(whole["answer"]) == [f"{n} {names['df'].to_csv()}" for n in (1, 2)]
    with pytest.raises(
        PromptError, match=r"only 20 of 25 rows of df would be sent; \{\{df:all\}\} sends"
    ):
        client.map(frame, "{{n}} {{df}}", progress=False, names=names)
    assert len(received_prompts(box)) == 3


def test_a_list_cell_of_a_parquet_file_is_sent_whole(client, box, connected, tmp_path):
    path = tmp_path / "cells.parquet"
    pd.DataFrame({"cell": [THIRDS.tolist()], "k": ["v"]}).to_parquet(path)
    frame = pd.read_parquet(path)
    whole = str(THIRDS.tolist())

    client.map(frame, "{{cell}}", progress=False)
    client.map(frame, "{{row}}", progress=False)
    connected.user_ns["df"] = frame
    connected.run_cell_magic("swiftask", "echo --over df --dialect openai", "over {{cell}}")

    assert received_prompts(box) == [whole, f"cell: {whole}\nk: v", f"over {whole}"]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT])
def test_a_missing_cell_is_never_sent_as_a_text(client, box, missing):
    frame = pd.DataFrame({"a": [missing, [1]], "b": ["x", "y"]}, dtype=object)

    out = client.map(frame, "{{a}} {{b}}", progress=False)
    client.map(frame, "{{row}}", progress=False)

    assert list(out["status"]) == ["refused", "ok"]
    assert sorted(received_prompts(box)) == ["[1] y", "a: [1]\nb: y", "b: x"]


def test_a_frame_of_polars_as_rows_is_an_error_that_says_what_to_do(client):
    pl = pytest.importorskip("polars")

    with pytest.raises(Exception, match="DataFrame has no index; give a pandas DataFrame"):
        client.map(pl.DataFrame({"a": [1]}), "{{a}}")
