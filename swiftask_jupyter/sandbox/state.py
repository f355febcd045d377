"""What every dialect of one sandbox shares: its agents, its token, its faults, its records."""

import random
import secrets
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from .agents import Agent, agent_from
from .builtin_agents import BUILT_IN
from .faults import USAGES, Faults
from .faults import agents as faulty_agents
from .integrations import Integration, integrations_of
from .llama import Llama
from .rate_limit import RateLimit
from .requests import Requests
from .sessions import Sessions
from .uploads import Uploads


@dataclass
class SandboxState:
    """The one thing handed to the dialects."""

    agents: dict[str, Agent]
    llama: Llama
    usage: str
    random: random.Random
    token: str = field(repr=False)
    client_tokens: dict[str, str] = field(repr=False)
    """By agent: what opens this one and no other."""
    agencii_token: str = field(repr=False)
    allowance: RateLimit
    integrations: dict[str, Integration]
    faults: Faults = field(default_factory=Faults)
    requests: Requests = field(default_factory=Requests)
    threads: ThreadPoolExecutor | None = field(default=None, repr=False)
    """Where agents run that may wait; there while the sandbox is started."""
    sessions: Sessions = field(default_factory=Sessions)
    visits: Sessions = field(default_factory=Sessions)
    """The conversations of widgets, whose ids are their clients'."""
    chats: Sessions = field(default_factory=Sessions)
    """The conversations that the service itself keeps, for `chat` and `agencii`."""
    uploads: Uploads = field(default_factory=Uploads)
    stopping: bool = False

    @property
    def usage_seen(self) -> str:
        """How usage is reported, without a fault, where the zeros of /v1 were never seen."""
        return "counted" if self.usage == "zero" else self.usage

    def letters(self, length: int) -> str:
        """A made-up id, the same ones in the same order for the same seed."""
        return "".join(self.random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=length))


def room_for(
    agents: Mapping[str, Any] | None, usage: str, seed: int | None, threads: int, rate_limit: int
) -> SandboxState:
    """A room with the built-in agents and the caller's own (which may replace them)."""
    if usage not in USAGES:
        raise ValueError(f"usage must be one of {', '.join(USAGES)}, not {usage!r}")
    llama = Llama(threads=threads, seed=seed)
    given = {slug: agent_from(each) for slug, each in (agents or {}).items()}
    everyone = {**faulty_agents(), **BUILT_IN, "smollm2": llama.agent(), **given}
    # The tokens are never seeded: they are what keeps others on this machine out.
    tokens = {slug: str(uuid.uuid4()) for slug in everyone}
    chance = random.Random(seed)  # noqa: S311 - made-up ids, not secrets
    return SandboxState(
        agents=everyone,
        llama=llama,
        usage=usage,
        random=chance,
        token=str(uuid.uuid4()),
        client_tokens=tokens,
        agencii_token=f"sk-agencii-{secrets.token_urlsafe(32)}",
        allowance=RateLimit(rate_limit),
        integrations=integrations_of(everyone),
        faults=Faults(random.Random(seed)),  # noqa: S311 - as above
    )
