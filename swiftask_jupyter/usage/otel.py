"""Renames the columns of a usage frame as in OpenTelemetry's conventions for generative AI.

The names are defined at https://opentelemetry.io/docs/specs/semconv/gen-ai/. With these names, a
usage frame can be joined with the traces of other systems.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# All other columns keep their names, with the prefix `swiftask.`.
NAMES = {
    "session": "gen_ai.conversation.id",
    "agent": "gen_ai.agent.id",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "first_token_seconds": "gen_ai.response.time_to_first_chunk",
    "seconds": "gen_ai.client.operation.duration",
    "user": "user.id",
}


def traces(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a copy of a usage frame with OpenTelemetry's column names.

    The values of `gen_ai.response.finish_reasons` are lists. In every row, `gen_ai.operation.name`
    is `invoke_agent`, and `gen_ai.provider.name` is `swiftask`.
    """
    renamed = frame.rename(columns=lambda name: NAMES.get(name, f"swiftask.{name}"))
    renamed.insert(0, "gen_ai.operation.name", "invoke_agent")
    renamed.insert(1, "gen_ai.provider.name", "swiftask")
    if "swiftask.finish_reason" in renamed:
        reasons = renamed.pop("swiftask.finish_reason")
        renamed["gen_ai.response.finish_reasons"] = reasons.astype("object").map(
            lambda reason: [reason], na_action="ignore"
        )
    return renamed
