"""Define the state that all request handlers of one sandbox share.

The state includes the agents, tokens, sessions and files.
"""

import random
import secrets
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from .agents import Agent, to_agent
from .builtin_agents import BUILT_IN
from .faults import USAGES, FaultQueue, fault_agents
from .integrations import Integration, integrations_for
from .llama import LlamaServer
from .rate_limit import HourlyRateLimiter
from .request_log import RequestLog
from .sessions import SessionStore
from .uploads import UploadStore


@dataclass
class SandboxState:
    """The state that all request handlers of one sandbox share."""

    agents: dict[str, Agent]
    llama: LlamaServer
    usage: str
    """How usage is reported: one of `USAGES`."""
    random: random.Random
    token: str = field(repr=False)
    """The account's API key."""
    client_tokens: dict[str, str] = field(repr=False)
    """The client token of each agent, by slug."""
    agencii_token: str = field(repr=False)
    rate_limit: HourlyRateLimiter
    """The hourly limit of `/v1/api/chat/{slug}`."""
    integrations: dict[str, Integration]
    """The integrations of `/get_completion`, by id."""
    faults: FaultQueue = field(default_factory=FaultQueue)
    requests: RequestLog = field(default_factory=RequestLog)
    agent_threads: ThreadPoolExecutor | None = field(default=None, repr=False)
    """The threads in which blocking agents run; None before the sandbox is started."""
    native_sessions: SessionStore = field(default_factory=SessionStore)
    widget_sessions: SessionStore = field(default_factory=SessionStore)
    """The sessions of the `widget` dialect; clients may choose the ids."""
    chats: SessionStore = field(default_factory=SessionStore)
    """The conversations of the dialects `chat` and `agencii`."""
    uploads: UploadStore = field(default_factory=UploadStore)
    stopping: bool = False

    @property
    def usage_outside_v1(self) -> str:
        """How routes other than `/v1/chat/completions` report token usage: one of `USAGES`.

        The setting "zero" becomes "counted", because the real service reports zeros only on
        `/v1/chat/completions`.
        """
        return "counted" if self.usage == "zero" else self.usage

    def random_id(self, length: int) -> str:
        """Return a random id of lower-case letters and digits.

        If the sandbox has a seed, each run generates the same sequence of ids.
        """
        return "".join(self.random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=length))


def create_state(
    agents: Mapping[str, Any] | None, usage: str, seed: int | None, threads: int, rate_limit: int
) -> SandboxState:
    """Create the state of a new sandbox from the arguments of `Sandbox`.

    Raises:
        ValueError: `usage` or `rate_limit` is invalid.
        TypeError: an agent is not an `Agent`, a string or a callable.
    """
    if usage not in USAGES:
        raise ValueError(f"usage must be one of {', '.join(USAGES)}, not {usage!r}")
    llama = LlamaServer(threads=threads, seed=seed)
    user_agents = {slug: to_agent(each) for slug, each in (agents or {}).items()}
    all_agents = {**fault_agents(), **BUILT_IN, "smollm2": llama.agent(), **user_agents}
    # Tokens are never seeded: they keep other users of this machine out.
    client_tokens = {slug: str(uuid.uuid4()) for slug in all_agents}
    return SandboxState(
        agents=all_agents,
        llama=llama,
        usage=usage,
        random=random.Random(seed),  # noqa: S311 - ids, not secrets
        token=str(uuid.uuid4()),
        client_tokens=client_tokens,
        agencii_token=f"sk-agencii-{secrets.token_urlsafe(32)}",
        rate_limit=HourlyRateLimiter(rate_limit),
        integrations=integrations_for(all_agents),
        faults=FaultQueue(random.Random(seed)),  # noqa: S311 - chance, not security
    )
