"""The frame under the names of OpenTelemetry's GenAI conventions, to join with other traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# What the conventions have no name for keeps ours, under `swiftask.`.
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
    """Return the frame with OpenTelemetry's names.

    `gen_ai.response.finish_reasons` is a list, as there; `gen_ai.operation.name` is
    `invoke_agent` and `gen_ai.provider.name` is `swiftask` in every row.
    """
    made = frame.rename(columns=lambda name: NAMES.get(name, f"swiftask.{name}"))
    made.insert(0, "gen_ai.operation.name", "invoke_agent")
    made.insert(1, "gen_ai.provider.name", "swiftask")
    if "swiftask.finish_reason" in made:
        reasons = made.pop("swiftask.finish_reason")
        made["gen_ai.response.finish_reasons"] = reasons.astype("object").map(
            lambda reason: [reason], na_action="ignore"
        )
    return made
