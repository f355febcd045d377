"""The connection that settings describe, and which token may go where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.settings.addresses import base_root, is_loopback, service_of
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.settings.sources import ResolvedSetting, Sources
from swiftask_jupyter.support.structs import Redacted, Struct, field

# The documented addresses: one for the OpenAI-compatible service, one for all else.
OPENAI_ROOT = "https://api.swiftask.fr"
SWIFTASK_ROOT = "https://graphql.swiftask.ai"
DOCUMENTED = frozenset(("api.swiftask.fr", "graphql.swiftask.ai", "swiftask.com"))

AUTO = "auto"

HOW_TO_GET_IN = "try without one: %swiftask sandbox; or set SWIFTASK_API_KEY, or %swiftask login"
HOW_TO_NAME_ONE = "name one (%%swiftask my-agent) or set SWIFTASK_AGENT_SLUG"


class ConnectionOverrides(Redacted, frozen=True):
    """What a call, a client or `%config` names itself; `None` leaves it to the settings.

    Attributes:
        by: who named which of these, where it was not who named the rest.
    """

    unshown = frozenset(("token",))

    base_url: str | None = None
    token: str | None = None
    agent: str | None = None
    dialect: str | None = None
    connection: str | None = None
    by: Mapping[str, str] = field(default_factory=dict)

    def checked(self) -> ConnectionOverrides:
        """Return this, if it can be what a caller meant.

        Raises:
            ConfigurationError: a value is no text, or is an empty one that would quietly stand
                for the default.
        """
        for key in ("base_url", "token", "agent", "dialect", "connection"):
            value = getattr(self, key)
            if value is not None and not isinstance(value, str):
                raise ConfigurationError(f"{key} must be text, not {type(value).__name__}")
            if value is not None and key != "agent" and not value.strip():
                raise ConfigurationError(f"{key} is empty", advice="name one, or leave it out")
        return self

    def found(self, origin: str) -> dict[str, ResolvedSetting]:
        """Return what is named, as the settings of one place."""
        return {
            key: ResolvedSetting(value, self.by.get(key, origin))
            for key in ("base_url", "token", "agent", "dialect", "connection")
            if (value := getattr(self, key))
        }


class Connection(Struct, frozen=True):
    """A service, a token for it, and the agent asked when none is named.

    Attributes:
        base_url: the one root from which `/api`, `/v1`, `/public` and `/widget` derive; `None`
            for the documented addresses.
        token: an API key or an agent's client token.
        agent: the default slug.
        dialect: the protocol's name, or `auto`.
        name: of a named connection.
        origins: where each setting stands.
        tokenless: why it has no token, where a named connection is the reason.
    """

    base_url: str | None = None
    token: Secret = field(default_factory=lambda: Secret(""))
    agent: str | None = None
    dialect: str = AUTO
    name: str | None = None
    origins: Mapping[str, str] = field(default_factory=dict)
    tokenless: str = ""

    @property
    def host(self) -> str:
        """The host that the token is for."""
        return urlsplit(self.base_url or SWIFTASK_ROOT).hostname or ""

    @property
    def service(self) -> str:
        """What a login is kept for."""
        return service_of(self.base_url or SWIFTASK_ROOT)

    @property
    def realm(self) -> str:
        """The host, whose agents are its own; this machine is one, whatever the port."""
        return "loopback" if is_loopback(self.host) else self.host

    def root(self, family: str) -> str:
        """Return the address of a family of routes, such as `/v1`, without a slash at its end."""
        documented = OPENAI_ROOT if family == "/v1" else SWIFTASK_ROOT
        return (self.base_url or documented) + family


def resolve(
    sources: Sources,
    wanted: Mapping[str, ConnectionOverrides],
    known_token: Callable[[str], str | None] = lambda _: None,
) -> Connection:
    """Return the connection that all the settings together describe.

    Args:
        sources: the environment and the files.
        wanted: what was named on the way here, by its origin; the first counts most.
        known_token: a token kept for a host by `login`, asked when nothing else names one.

    Raises:
        ConfigurationError: a setting is unusable, or a token would go where its owner did not
            send it.
    """
    named = [each.found(origin) for origin, each in wanted.items()]
    name, layers = _layers(sources, named)
    found = {key: value for key in ("base_url", "token", "agent", "dialect")
             if (value := _first(layers, key))}  # fmt: skip
    base = found.get("base_url")
    root = base_root(base.value) if base else None
    token = found.get("token")
    if token is None and (kept := known_token(service_of(root or SWIFTASK_ROOT))):
        token = found["token"] = ResolvedSetting(kept, "login")
    elif token is not None and base is not None:
        _bind(base, token, root or SWIFTASK_ROOT)
    return Connection(
        base_url=root,
        token=sendable(token.value if token else ""),
        agent=found["agent"].value if "agent" in found else None,
        dialect=found["dialect"].value if "dialect" in found else AUTO,
        name=name.value if name else None,
        origins={key: value.origin for key, value in found.items()}
        | ({"connection": name.origin} if name else {}),
        tokenless=sources.tokenless(name.value) if name and token is None else "",
    )


def _layers(
    sources: Sources, named: list[dict[str, ResolvedSetting]]
) -> tuple[ResolvedSetting | None, list[dict[str, ResolvedSetting]]]:
    """Return the connection that counts, if one is named, and the settings in their order.

    Of what was said less closely than its name, a connection takes only the agent that it has
    none of, and not from whoever names another service.
    """
    for n, layer in enumerate(named):
        if "connection" in layer:
            name = layer["connection"]
            farther = [*named[n + 1 :], *sources.layers()]
            return name, [*named[: n + 1], sources.connection(name.value), *_agents(farther)]
        if "base_url" in layer:
            return None, [*named, *sources.layers()]
    layers = [*named, *sources.layers()]
    if (found := _first(layers, "connection")) is not None:
        layers = [*named, sources.connection(found.value), *_agents(sources.layers())]
    return found, layers


def _agents(layers: Iterable[dict[str, ResolvedSetting]]) -> list[dict[str, ResolvedSetting]]:
    return [{"agent": each["agent"]} for each in layers
            if "agent" in each and "base_url" not in each]  # fmt: skip


def _first(layers: list[dict[str, ResolvedSetting]], key: str) -> ResolvedSetting | None:
    return next((layer[key] for layer in layers if key in layer), None)


def _bind(base: ResolvedSetting, token: ResolvedSetting, root: str) -> None:
    """Refuse to send a token from elsewhere to a service that only a project's file names."""
    host = service_of(root)  # no name of a host where the token would travel in the open
    if not base.file or base.file == token.file or host in DOCUMENTED or is_loopback(host):
        return
    raise ConfigurationError(
        f"{base.origin} names the host {host}, and the token comes from {token.origin}",
        advice="if it may go there, set SWIFTASK_BASE_URL in the environment yourself",
    )


def sendable(token: str) -> Secret:
    """Return the token, if it can stand in an HTTP header.

    Raises:
        ConfigurationError: it can't; the message does not repeat it.
    """
    token = token.strip()
    if not token.isascii() or any(each <= " " or each in '"\\\x7f' for each in token):
        raise ConfigurationError(
            "the token holds characters that no token has", advice="copy it again, whole"
        )
    return Secret(token)


def shown(connection: Connection) -> Iterator[tuple[str, str, str]]:
    """Yield each setting as its name, its value (a token masked) and where it stands."""
    values = {
        "connection": connection.name or "default",
        "base_url": connection.base_url or f"{SWIFTASK_ROOT}, {OPENAI_ROOT}/v1",
        "token": "set" if connection.token else "none",
        "agent": connection.agent or "none",
        "dialect": connection.dialect,
    }
    for name, value in values.items():
        yield name, value, connection.origins.get(name, "default")
