"""Usage frames: columns, dtypes and exact values; and the frame of agents."""

import pandas as pd
import pytest

from swiftask_jupyter.answers.turn import Usage
from swiftask_jupyter.turns.catalogue import CatalogueAgent
from swiftask_jupyter.usage.frames import agents_frame
from swiftask_jupyter.usage.query import usage
from tests.support.usage import add_turn, column_names


def test_the_frame_of_an_empty_ledger_has_all_columns_and_dtypes(ledger):
    frame = usage(ledger.usage_queries)

    assert list(frame.columns) == column_names(ledger)
    assert frame.empty
    assert str(frame["at"].dtype) == "datetime64[us, UTC]"
    assert str(frame["input_tokens"].dtype) == "Int64"
    assert frame["agent"].dtype == "category"
    assert frame.swiftask.totals()["calls"].sum() == 0


def test_reported_values_are_exact_and_all_others_missing(ledger):
    add_turn(ledger, usage=Usage(1, 2**60, None, 2**53 + 1, 0.1, "api"), at=1.7e9 + 0.123457)
    add_turn(ledger)

    first, second = usage(ledger.usage_queries).to_dict("records")

    assert (first["output_tokens"], first["reported_total"]) == (2**60, 2**53 + 1)
    assert first["at"].timestamp() == 1.7e9 + 0.123457
    assert first["credits"] == 0.1
    assert pd.isna(second["input_tokens"])
    assert second["usage_source"] == "none"
    assert pd.isna(second["key"])


@pytest.mark.parametrize(
    ("pattern", "slugs"),
    [
        ("", ["echo", "eco-2"]),
        ("ECO", ["eco-2"]),
        ("e*o", ["echo"]),
        ("parrot", ["echo"]),
        ("x", []),
    ],
)
def test_agents_are_found_by_a_part_or_a_pattern_of_slug_or_name(pattern, slugs):
    catalogue = (
        CatalogueAgent("echo", "Parrot", chat=True),
        CatalogueAgent("eco-2", "Ecologist", chat=None),
    )

    frame = agents_frame(catalogue, pattern)

    assert frame["slug"].tolist() == slugs
    assert list(map(str, frame.dtypes)) == ["string", "string", "boolean"]
