"""The usage frame with OpenTelemetry's column names."""

import pandas as pd

from swiftask_jupyter.answers.turn import Usage
from swiftask_jupyter.usage.query import usage
from tests.support.usage import add_turn


def test_traces_renames_the_columns_and_lists_the_finish_reason(ledger):
    add_turn(ledger, usage=Usage(1, 2, 3, source="api"), finish_reason="stop")
    add_turn(ledger)

    first, second = usage(ledger.usage_queries).swiftask.traces().to_dict("records")

    assert (first["gen_ai.usage.input_tokens"], first["gen_ai.usage.output_tokens"]) == (1, 2)
    assert first["gen_ai.response.finish_reasons"] == ["stop"]
    assert first["gen_ai.agent.id"] == "a"
    assert first["swiftask.status"] == "ok"
    assert pd.isna(second["gen_ai.usage.input_tokens"])
