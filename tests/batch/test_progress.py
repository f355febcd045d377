"""What a user sees of a batch: the summary before it, and the result line after it."""

import pandas as pd


def test_the_summary_counts_the_rows_by_kind(client, box, capsys):
    client.map(pd.DataFrame({"n": range(3)}), "bad {{n}}", agent="choosy", progress=False)
    client.map(pd.DataFrame({"n": range(4)}), "say {{n}}", agent="choosy", progress=False)
    assert capsys.readouterr().out == ""

    client.map(pd.DataFrame({"t": ["say 0", "bad 0", "new", "new", None]}), "{{t}}", agent="choosy")

    assert capsys.readouterr().out == (
        '5 rows, 1 answered before, 1 failed before (retry="errors" sends them again),'
        " 1 equal to another, 1 that can't be sent, 1 to send\n"
        "1 answered\n"
    )


def test_the_summary_estimates_credits_from_the_last_calls(client, capsys):
    client.map(pd.DataFrame({"n": range(3)}), "{{n}}", dialect="native", progress=False)
    spent = client.usage()["credits"].median()

    client.map(pd.DataFrame({"n": range(3, 13)}), "{{n}}", dialect="native")

    estimate = (
        f"10 to send, about {10 * spent:,.6g} credits (median of the last 3 calls of this agent)"
    )
    assert estimate in capsys.readouterr().out


def test_if_every_row_fails_the_result_line_names_the_commonest_error(client, capsys):
    client.map(pd.DataFrame({"text": ["bad", "worse than bad"]}), "{{text}}", agent="choosy")

    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("0 answered, 2 failed; why: ")
    assert "not this one" in line
