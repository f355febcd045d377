"""Where settings are written: the environment, `.env`, `pyproject.toml`, the user's own file.

Files are read again when they change. The environment is never changed, and a `.env` is read
without interpolation: `${SWIFTASK_API_KEY}` inside a cloned project's address would send the
user's token there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.support.structs import Redacted

# What each setting is called in the environment and in a `.env`.
NAMES = {
    "token": "SWIFTASK_API_KEY",
    "agent": "SWIFTASK_AGENT_SLUG",
    "base_url": "SWIFTASK_BASE_URL",
    "dialect": "SWIFTASK_DIALECT",
    "connection": "SWIFTASK_CONNECTION",
}
# What a table of a TOML file may hold.
KEYS = frozenset(("agent", "base_url", "dialect", "token_env", "connection", "connections"))


class ResolvedSetting(Redacted, frozen=True):
    """A setting's value and where it stands.

    Attributes:
        origin: the place, in words.
        file: the file of the project it stands in, which may be somebody else's; else empty.
    """

    unshown = frozenset(("value",))

    value: str
    origin: str
    file: str = ""


class Table(Redacted, frozen=True):
    """The settings of one TOML file."""

    unshown = frozenset(("values",))

    values: Mapping[str, Any]
    origin: str
    file: str

    @property
    def connections(self) -> Mapping[str, Any]:
        """The named connections among them."""
        named: Mapping[str, Any] = self.values.get("connections", {})
        return named


class Sources:
    """The places that settings come from, nearest first."""

    def __init__(self, environ: Mapping[str, str], directory: Path | None = None) -> None:
        self._environ = environ
        self._directory = directory
        self._read: dict[Path, tuple[tuple[int, int], Any]] = {}

    def layers(self) -> Iterator[dict[str, ResolvedSetting]]:
        """Yield the settings of each place, the one that counts most first.

        Raises:
            ConfigurationError: a file can't be read, or holds what it must not.
        """
        yield _named(self._environ, "the environment")
        if (path := self._upward(".env")) is not None:
            yield _named(self._cached(path, _dotenv), str(path), file=str(path))
        for table in self.tables():
            yield self._settings(table)

    def tables(self) -> Iterator[Table]:
        """Yield the TOML files' settings: the project's, then the user's."""
        for directory in self._directories():
            path = directory / "pyproject.toml"
            values = self._cached(path, _toml).get("tool") if path.is_file() else None
            if isinstance(values, dict) and "swiftask" in values:
                yield _checked(values["swiftask"], str(path), str(path))
                break
        path = user_file()
        if path.is_file():
            yield _checked(self._cached(path, _toml), str(path), "")

    def connection_names(self) -> list[str]:
        """Return the names of all connections."""
        return sorted({name for table in self.tables() for name in table.connections})

    def connection(self, name: str) -> dict[str, ResolvedSetting]:
        """Return the settings of a named connection.

        Raises:
            ConfigurationError: there is none of that name.
        """
        return self._settings(self._connection(name))

    def tokenless(self, name: str) -> str:
        """Return why a named connection has no token."""
        variable = self._connection(name).values.get("token_env")
        if variable is None:
            return f"connection {name} names no token_env"
        return f"{variable}, which connection {name} names, is not set"

    def _connection(self, name: str) -> Table:
        for table in self.tables():
            if name in table.connections:
                origin = f"connection {name} in {table.origin}"
                return _checked(table.connections[name], origin, table.file)
        known = self.connection_names()
        there_is = f"there is: {', '.join(known)}" if known else "none is configured"
        raise ConfigurationError(f"no connection {name!r}", advice=there_is)

    def _settings(self, table: Table) -> dict[str, ResolvedSetting]:
        found = {
            key: ResolvedSetting(value, table.origin, table.file)
            for key, value in table.values.items()
            if key not in {"token_env", "connections"}
        }
        if (name := table.values.get("token_env")) and (token := self._token(name, table)):
            found["token"] = token
        return found

    def _token(self, name: str, table: Table) -> ResolvedSetting | None:
        """Look the token up where `token_env` says: in the environment, then in a `.env`."""
        if table.file and not name.startswith("SWIFTASK_"):
            raise ConfigurationError(
                f"{table.origin} asks for the variable {name} as its token",
                advice="a project's file may name only variables that begin with SWIFTASK_",
            )
        if value := self._environ.get(name):
            return ResolvedSetting(value, f"{name} in the environment")
        path = self._upward(".env")
        value = self._cached(path, _dotenv).get(name) if path is not None else None
        return ResolvedSetting(value, f"{name} in {path}", str(path)) if value else None

    def _directories(self) -> Iterator[Path]:
        here = self._directory
        if here is None:
            try:
                here = Path.cwd()
            except OSError:  # the directory was deleted
                return
        yield here
        yield from here.parents

    def _upward(self, name: str) -> Path | None:
        return next((path for each in self._directories() if (path := each / name).is_file()), None)

    def _cached(self, path: Path, read: Any) -> Any:
        try:
            state = path.stat()
            stamp = (state.st_mtime_ns, state.st_size)
            if path not in self._read or self._read[path][0] != stamp:
                self._read[path] = (stamp, read(path))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{path} can't be read ({error})") from None
        return self._read[path][1]


def _named(values: Mapping[str, str], origin: str, file: str = "") -> dict[str, ResolvedSetting]:
    return {
        key: ResolvedSetting(value, f"{name} in {origin}", file)
        for key, name in NAMES.items()
        if (value := values.get(name))
    }


def user_file() -> Path:
    """Return where the user's own settings stand."""
    import platformdirs

    return Path(platformdirs.user_config_dir("swiftask_jupyter", appauthor=False)) / "config.toml"


def _dotenv(path: Path) -> dict[str, str]:
    from dotenv import dotenv_values

    values = dotenv_values(path, interpolate=False)
    return {name: value for name, value in values.items() if value is not None}


def _toml(path: Path) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(path.read_text("utf-8-sig"))  # some editors begin with a mark


def _checked(values: Any, origin: str, file: str) -> Table:
    if not isinstance(values, dict):
        raise ConfigurationError(f"{origin} is not a table of settings")
    if "token" in values:
        raise ConfigurationError(
            f"{origin} holds a token", advice='write token_env = "SWIFTASK_…" there instead'
        )
    if unknown := sorted(values.keys() - KEYS):
        raise ConfigurationError(
            f"{origin} holds an unknown setting {unknown[0]!r}",
            advice=f"known are: {', '.join(sorted(KEYS))}",
        )
    for key, value in values.items():  # one left out would send the token to the default host
        if key == "connections":
            if not isinstance(value, dict):
                raise ConfigurationError(f"connections in {origin} is not a table of connections")
        elif not isinstance(value, str) or not value.strip():
            raise ConfigurationError(f"{key} in {origin} must be text, and not empty")
    return Table(values, origin, file)
