"""Settings are read from the environment and from files, in order of precedence."""

import pytest

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.settings.connection import ConnectionOverrides, resolve
from swiftask_jupyter.settings.sources import SettingsSources


def resolve_below(project, environ=None, **given):
    """Resolve the settings of a call made in a notebook below the project."""
    sources = SettingsSources(environ or {}, project / "notebooks")
    return resolve(sources, {"the call": ConnectionOverrides(**given)})


def test_a_nearer_source_takes_precedence_over_a_farther_one(project, tmp_path):
    user = tmp_path / "user" / "swiftask_jupyter" / "config.toml"
    user.parent.mkdir(parents=True)
    seen = []
    for write in (
        lambda: user.write_text('agent = "user"'),
        lambda: (project / "pyproject.toml").write_text('[tool.swiftask]\nagent = "pyproject"'),
        lambda: (project / ".env").write_text("SWIFTASK_AGENT_SLUG=dotenv"),
    ):
        write()
        seen.append(resolve_below(project).agent)
    environ = {"SWIFTASK_AGENT_SLUG": "environment"}
    seen += [
        resolve_below(project, environ).agent,
        resolve_below(project, environ, agent="option").agent,
    ]

    assert seen == ["user", "pyproject", "dotenv", "environment", "option"]


def test_a_changed_dotenv_is_read_again_and_the_environment_is_not_modified(project):
    environ = {}
    sources = SettingsSources(environ, project)
    (project / ".env").write_text("SWIFTASK_API_KEY=one")
    first = resolve(sources, {}).token.reveal()
    (project / ".env").write_text("SWIFTASK_API_KEY=another")

    assert (first, resolve(sources, {}).token.reveal()) == ("one", "another")
    assert environ == {}


def test_a_dotenv_cannot_interpolate_the_token_into_a_base_url(project):
    (project / ".env").write_text("SWIFTASK_BASE_URL=http://127.0.0.1/${SWIFTASK_API_KEY}")

    assert "s3cr3t" not in resolve_below(project, {"SWIFTASK_API_KEY": "s3cr3t"}).base_url


def test_a_project_cannot_use_a_variable_of_another_program_as_its_token(project):
    (project / "pyproject.toml").write_text('[tool.swiftask]\ntoken_env = "AWS_SECRET_ACCESS_KEY"')

    with pytest.raises(ConfigurationError, match="AWS_SECRET_ACCESS_KEY"):
        resolve_below(project, {"AWS_SECRET_ACCESS_KEY": "s3cr3t"})


def test_the_error_for_an_unknown_connection_lists_the_known_ones(project):
    (project / "pyproject.toml").write_text("[tool.swiftask.connections.team]\n")

    with pytest.raises(ConfigurationError, match="there is: team"):
        resolve_below(project, connection="tem")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[tool.swiftask]\ntoken = "s3cr3t"', "token_env"),
        ('[tool.swiftask]\nagnet = "x"', "unknown setting 'agnet'"),
        ("[tool.swiftask\n", "can't be read"),
        ("[tool.swiftask]\nconnections = { a = 1 }\nconnection = 'a'", "not a table"),
        ("[tool.swiftask]\nconnections = 1", "connections in .* is not a table"),
        ("[tool]\nswiftask = 1", "not a table"),
        ("[tool.swiftask]\ntoken_env = 5", "token_env in .* must be text"),
        ("[tool.swiftask]\nagent = ['a']", "agent in .* must be text"),
        ("[tool.swiftask]\ndialect = true", "dialect in .* must be text"),
        ("[tool.swiftask]\nbase_url = ''", "base_url in .* must be text"),
        (
            "[tool.swiftask]\nconnection = 'a'\nconnections.a.base_url = ['http://127.0.0.1']",
            "base_url in connection a in .* must be text",
        ),
    ],
)
def test_an_invalid_file_is_reported_in_one_line(project, text, message):
    (project / "pyproject.toml").write_text(text)

    with pytest.raises(ConfigurationError, match=message) as caught:
        resolve_below(project)
    assert "s3cr3t" not in str(caught.value)


def test_each_setting_has_its_origin(project):
    (project / ".env").write_text("SWIFTASK_AGENT_SLUG=a")

    origins = resolve_below(project, {"SWIFTASK_API_KEY": "k"}).origins

    assert origins["token"] == "SWIFTASK_API_KEY in the environment"
    assert origins["agent"] == f"SWIFTASK_AGENT_SLUG in {project / '.env'}"


def test_a_file_may_begin_with_a_byte_order_mark(project):
    (project / "pyproject.toml").write_text('[tool.swiftask]\nagent = "mine"', "utf-8-sig")

    assert resolve_below(project).agent == "mine"
