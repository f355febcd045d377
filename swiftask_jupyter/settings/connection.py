"""Combines all settings into one connection: the service's address, token, agent and dialect."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.settings.sources import ALLOW_HTTP, ResolvedSetting, SettingsSources
from swiftask_jupyter.support.structs import RedactedStruct, Struct, field


def is_loopback(host: str) -> bool:
    """Return whether a host name or IP address, such as `127.0.0.1`, refers to this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_unencrypted(url: str) -> bool:
    """Return whether a URL uses http instead of https, and its host is not this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False  # no request can be sent there
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def parse_base_url(url: str) -> str:
    """Return a base URL without an API path such as `/v1` or `/api` at the end.

    For example, `https://api.swiftask.fr/v1/` gives `https://api.swiftask.fr`. Users may copy a URL
    with an API path from the API's documentation.

    Raises:
        ConfigurationError: the URL is not a plain http or https address. The message does not
            contain the URL, because the URL may contain a password.
    """
    url = url.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username or parts.password or any(mark in url for mark in "?#"):
        raise ConfigurationError(
            "the base URL is not a plain http(s) address",
            advice="write it like https://graphql.swiftask.ai",
        )
    for suffix in ("/v1/chat/completions", "/v1/api", "/api", "/v1"):
        if parts.path.endswith(suffix):
            return url.removesuffix(suffix).rstrip("/")
    return url


def token_host(root: str) -> str:
    """Return the key under which the token for the service at a root URL is stored.

    The key is the host name if the host is this machine, or if the URL has https and port 443.
    Otherwise the key also has scheme and port: `http://host` never gets a token for `https://host`.
    """
    parts = urlsplit(root)
    host = parts.hostname or ""
    if is_loopback(host) or (parts.scheme == "https" and parts.port in {None, 443}):
        return host
    return f"{parts.scheme}://{parts.netloc}"


def short_address(root: str) -> str:
    """Return a root URL without `https://` and without a default port. The host is in lower case.

    Example:
        >>> short_address("https://Gateway.example:443/team"), short_address("http://127.0.0.1:80")
        ('gateway.example/team', 'http://127.0.0.1')
    """
    parts = urlsplit(root)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    default = 443 if parts.scheme == "https" else 80
    port = "" if parts.port in {None, default} else f":{parts.port}"
    scheme = "" if parts.scheme == "https" else f"{parts.scheme}://"
    return f"{scheme}{host}{port}{parts.path.rstrip('/')}"


def service(address: str | None, *, sandbox: bool) -> str | None:
    """Return the identity of a service. Two addresses with equal identities are one service.

    All documented Swiftask hosts are one service. All sandboxes of the user are one service. Every
    other address is a separate service. The address `None` is unknown and has the identity `None`.

    Args:
        address: the result of `short_address`, or `None`.
        sandbox: whether a sandbox of this user listens at the address.
    """
    if sandbox:
        return "loopback"
    if address == "loopback":  # a host of that name is no sandbox
        return "https://loopback"
    return short_address(SWIFTASK_ROOT) if address in DOCUMENTED_HOSTS else address


# The documented addresses: the first for the OpenAI-compatible API, the second for all others.
OPENAI_ROOT = "https://api.swiftask.fr"
SWIFTASK_ROOT = "https://graphql.swiftask.ai"
# The hosts that a project's file may name although the token comes from elsewhere.
DOCUMENTED_HOSTS = frozenset(("api.swiftask.fr", "graphql.swiftask.ai", "swiftask.com"))

AUTO = "auto"

HOW_TO_AUTHENTICATE = (
    "try without one: %swiftask sandbox; or set SWIFTASK_API_KEY, or %swiftask login"
)
HOW_TO_NAME_AGENT = "name one (%%swiftask my-agent) or set SWIFTASK_AGENT_SLUG"


class ConnectionOverrides(RedactedStruct, frozen=True):
    """Settings that are given in code: by a call, a client or `%config`. `None` means not given.

    Attributes:
        base_url: the root URL of the service.
        token: an API key, or an agent's client token.
        agent: the agent's slug.
        dialect: the protocol's name, or `auto`.
        connection: the name of a configured connection.
        origins: a dict that maps a setting's name to the place where the setting was set.
    """

    redacted_fields = frozenset(("token",))

    base_url: str | None = None
    token: str | None = None
    agent: str | None = None
    dialect: str | None = None
    connection: str | None = None
    origins: Mapping[str, str] = field(default_factory=dict)

    def validated(self) -> ConnectionOverrides:
        """Return these settings unchanged, after a check of all values.

        Raises:
            ConfigurationError: a value is not a string, or a value is empty. Only `agent` may be
                empty.
        """
        for key in ("base_url", "token", "agent", "dialect", "connection"):
            value = getattr(self, key)
            if value is not None and not isinstance(value, str):
                raise ConfigurationError(f"{key} must be text, not {type(value).__name__}")
            # An empty value would select the default without a message.
            if value is not None and key != "agent" and not value.strip():
                raise ConfigurationError(f"{key} is empty", advice="name one, or leave it out")
        return self

    def settings(self, origin: str) -> dict[str, ResolvedSetting]:
        """Return a dict that maps the name of each given setting to the value and the origin.

        An origin is a text that says where a setting was set.

        Args:
            origin: the origin of each setting that is not in `origins`.
        """
        return {
            key: ResolvedSetting(value, self.origins.get(key, origin))
            for key in ("base_url", "token", "agent", "dialect", "connection")
            if (value := getattr(self, key))
        }


class Connection(Struct, frozen=True):
    """A service, a token for the service, and a default agent.

    Attributes:
        base_url: the root URL of the service, without a path such as `/api` or `/v1`; `None` for
            the documented addresses.
        token: an API key, or an agent's client token.
        agent: the slug of the default agent.
        dialect: the protocol's name, or `auto`.
        name: the connection's name in the configuration; `None` if there is no name.
        origins: a dict that maps each setting's name to a text that says where it was set.
        missing_token_reason: why a connection with a name has no token; empty otherwise.
        unencrypted: why no token may be sent to the service; empty if a token may be sent.
    """

    base_url: str | None = None
    token: Secret = field(default_factory=lambda: Secret(""))
    agent: str | None = None
    dialect: str = AUTO
    name: str | None = None
    origins: Mapping[str, str] = field(default_factory=dict)
    missing_token_reason: str = ""
    unencrypted: str = ""

    @property
    def host(self) -> str:
        """The host name of the service."""
        return urlsplit(self.base_url or SWIFTASK_ROOT).hostname or ""

    @property
    def token_host(self) -> str:
        """The key under which `%swiftask login` stores a token for this service."""
        return token_host(self.base_url or SWIFTASK_ROOT)

    @property
    def address(self) -> str:
        """The short address of the service (see `short_address`)."""
        return short_address(self.base_url or SWIFTASK_ROOT)

    @property
    def service(self) -> str | None:
        """The identity of the service (see the function `service`)."""
        return service(self.address, sandbox=self.is_sandbox)

    @property
    def is_sandbox(self) -> bool:
        """Whether the service is a sandbox of this user that is running on this machine."""
        parts = urlsplit(self.base_url or "")
        return parts.hostname == "127.0.0.1" and is_sandbox(parts.port)

    def root(self, family: str) -> str:
        """Return the root URL of the API whose paths begin with `family`, such as `/v1`."""
        documented = OPENAI_ROOT if family == "/v1" else SWIFTASK_ROOT
        return (self.base_url or documented) + family


def resolve(
    sources: SettingsSources,
    overrides: Mapping[str, ConnectionOverrides],
    login_token: Callable[[str], str | None] = lambda _: None,
    on_token: Callable[[Secret], object] = lambda _: None,
) -> Connection:
    """Combine all settings into one connection. Each token that is sent comes from this function.

    Args:
        sources: the environment and the files with settings.
        overrides: a dict that maps origins to the settings given in code. The first origin takes
            precedence over the next, and all of them over `sources`.
        login_token: returns the token that `login` stored for a host; called only if no other
            setting gives a token.
        on_token: called with the token, which must be masked, even if the token is refused.

    Raises:
        ConfigurationError: a setting is invalid, a project's file names a host for a token from
            elsewhere, or the token would be sent unencrypted.
    """
    given = [each.settings(origin) for origin, each in overrides.items()]
    name, layers = _layers(sources, given)
    settings = {key: value for key in ("base_url", "token", "agent", "dialect")
                if (value := _first(layers, key))}  # fmt: skip
    base = settings.get("base_url")
    root = parse_base_url(base.value) if base else None
    token = settings.get("token")
    if token is None and (stored := login_token(token_host(root or SWIFTASK_ROOT))):
        token = settings["token"] = ResolvedSetting(stored, "login")
    on_token(secret := parse_token(token.value if token else ""))
    unencrypted = _unencrypted(sources, name.value if name else None, base, root)
    if token is not None and base is not None:
        _check_redirection(base, token, root or SWIFTASK_ROOT)
        if unencrypted:
            raise ConfigurationError(unencrypted)
    origins = {key: value.origin for key, value in settings.items()}
    return Connection(
        base_url=root,
        token=secret,
        agent=settings["agent"].value if "agent" in settings else None,
        dialect=settings["dialect"].value if "dialect" in settings else AUTO,
        name=name.value if name else None,
        origins=origins | ({"connection": name.origin} if name else {}),
        missing_token_reason=(
            sources.missing_token_reason(name.value) if name and token is None else ""
        ),
        unencrypted=unencrypted,
    )


def _layers(
    sources: SettingsSources, given: list[dict[str, ResolvedSetting]]
) -> tuple[ResolvedSetting | None, list[dict[str, ResolvedSetting]]]:
    """Return the setting that names a connection, and all layers of settings.

    A layer holds the settings of one source. The first layer has the highest precedence. If no
    connection is used, the setting is `None`.
    """
    # A connection named in code replaces the layers below it. A connection named elsewhere replaces
    # all layers of the environment and the files. A base URL in code excludes connections below it.
    for n, layer in enumerate(given):
        if "connection" in layer:
            name = layer["connection"]
            below = [*given[n + 1 :], *sources.layers()]
            return name, [*given[: n + 1], sources.connection(name.value), *_agents(below)]
        if "base_url" in layer:
            return None, [*given, *sources.layers()]
    layers = [*given, *sources.layers()]
    if (found := _first(layers, "connection")) is not None:
        layers = [*given, sources.connection(found.value), *_agents(sources.layers())]
    return found, layers


# If a connection has no agent, the first of these agents is used. An agent in a layer that also
# sets a base URL belongs to another service.
def _agents(layers: Iterable[dict[str, ResolvedSetting]]) -> list[dict[str, ResolvedSetting]]:
    return [{"agent": each["agent"]} for each in layers
            if "agent" in each and "base_url" not in each]  # fmt: skip


def _first(layers: list[dict[str, ResolvedSetting]], key: str) -> ResolvedSetting | None:
    return next((layer[key] for layer in layers if key in layer), None)


def _check_redirection(base: ResolvedSetting, token: ResolvedSetting, root: str) -> None:
    """Raise an error if a project's file names a host that must not receive the token.

    A loopback host is allowed. Over https, the hosts in `DOCUMENTED_HOSTS` are allowed. Every host
    is allowed if one file sets both the host and the token.

    Raises:
        ConfigurationError: the host is not allowed.
    """
    host = token_host(root)  # has a scheme if the connection would not be encrypted
    if not base.file or base.file == token.file or host in DOCUMENTED_HOSTS or is_loopback(host):
        return
    raise ConfigurationError(
        f"{base.origin} names the host {host}, and the token comes from {token.origin}",
        advice="if it may go there, set SWIFTASK_BASE_URL in the environment yourself",
    )


def _unencrypted(
    sources: SettingsSources, named: str | None, base: ResolvedSetting | None, root: str | None
) -> str:
    """Return the reason why no token may be sent to `root`; empty if a token may be sent.

    A token must not be sent by plain http to another machine. The only exception is the setting
    `allow_http` in the user's own `config.toml`, for every address or for one connection.
    """
    if base is None or root is None or not is_unencrypted(root):
        return ""
    if named is not None and sources.connection(named).get("base_url") != base:
        named = None  # another setting replaces the address of the connection
    if sources.allows_http(named):
        return ""
    ignored = f" ({ALLOW_HTTP} does not count)" if sources.has_variable(ALLOW_HTTP) else ""
    return (
        f"{base.origin} would send your token unencrypted to {urlsplit(root).hostname}; use https,"
        f" or set allow_http = true in your own config.toml{ignored}"
    )


def parse_token(token: str) -> Secret:
    """Return the token as a `Secret`, without surrounding spaces.

    Raises:
        ConfigurationError: the token contains an invalid character, such as a space or a quotation
            mark. The message does not contain the token.
    """
    token = token.strip()
    if not token.isascii() or any(each <= " " or each in '"\\\x7f' for each in token):
        raise ConfigurationError(
            "the token holds characters that no token has", advice="copy it again, whole"
        )
    return Secret(token)


def is_sandbox(port: int | None) -> bool:
    """Return whether a sandbox of this user is listening on a port of 127.0.0.1.

    A running sandbox locks a file in a directory that belongs to the user alone (see
    `sandbox.announcement`). So neither another server nor a dead sandbox counts as one.
    """
    import tempfile

    user = os.getuid() if os.name == "posix" else None
    name = "swiftask_jupyter" if user is None else f"swiftask_jupyter-{user}"
    directory = Path(tempfile.gettempdir()) / name
    try:
        found = directory.lstat()
        if user is not None and (found.st_uid != user or found.st_mode & 0o077):
            return False  # another user could have written it
        with (directory / str(port)).open("rb") as file:
            return user is None or _is_locked(file.fileno())  # Windows deletes no open file
    except OSError:
        return False


def _is_locked(descriptor: int) -> bool:
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # released when the file is closed
    except BlockingIOError:
        return True
    return False
