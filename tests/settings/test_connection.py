"""Where requests go, and which token goes with them."""

from pathlib import Path

import pytest

from swiftask_jupyter import Swiftask
from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.settings.addresses import base_root
from swiftask_jupyter.settings.connection import ConnectionOverrides, resolve
from swiftask_jupyter.settings.sources import Sources


def connection(environ, directory=Path("/nowhere"), **wanted):
    return resolve(Sources(environ, directory), {"the call": ConnectionOverrides(**wanted)})


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("https://graphql.swiftask.ai", "https://graphql.swiftask.ai"),
        ("https://graphql.swiftask.ai/", "https://graphql.swiftask.ai"),
        ("https://graphql.swiftask.ai/api", "https://graphql.swiftask.ai"),
        ("https://api.swiftask.fr/v1/", "https://api.swiftask.fr"),
        ("  http://127.0.0.1:8000/v1 ", "http://127.0.0.1:8000"),
        ("https://gate.example/swiftask/api", "https://gate.example/swiftask"),
    ],
)
def test_a_base_url_is_understood_with_or_without_its_family(url, root):
    assert base_root(url) == root


@pytest.mark.parametrize(
    "url",
    [
        "graphql.swiftask.ai",
        "ftp://x",
        "https://",
        "http://user:pw@host",
        "https://h?clientToken=s3cr3t",
        "http://h:99999",
        "http://[",
    ],
)
def test_an_unusable_base_url_is_refused_without_being_repeated(url):
    with pytest.raises(ConfigurationError, match="base URL") as caught:
        base_root(url)
    assert "s3cr3t" not in str(caught.value)
    assert "pw" not in str(caught.value)


def test_arguments_come_before_the_environment():
    environ = {
        "SWIFTASK_API_KEY": "from-env",
        "SWIFTASK_AGENT_SLUG": "env-agent",
        "SWIFTASK_BASE_URL": "https://env.example/api",
    }

    from_env = connection(environ)
    given = connection(environ, base_url="http://127.0.0.1:1", token="mine", agent="my-agent")

    assert from_env.root("/v1") == "https://env.example/v1"
    assert (from_env.agent, from_env.token.reveal()) == ("env-agent", "from-env")
    assert given.root("/v1") == "http://127.0.0.1:1/v1"
    assert (given.agent, given.token.reveal()) == ("my-agent", "mine")


def test_without_a_base_url_each_family_has_its_documented_address():
    target = connection({})

    assert target.root("/v1") == "https://api.swiftask.fr/v1"
    assert target.root("/api") == "https://graphql.swiftask.ai/api"


@pytest.mark.parametrize("token", ["two words", "tok\nen", "tökén", "a\x7fb"])
def test_a_token_that_no_header_takes_is_refused_and_not_shown(token):
    with pytest.raises(ConfigurationError) as caught:
        connection({}, token=token)
    assert token not in str(caught.value)


def test_a_connection_does_not_show_its_token():
    assert "s3cr3t" not in repr(connection({}, token="s3cr3t"))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project's folder, below which we stand, and a user's folder apart from it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    folder = tmp_path / "project"
    (folder / "notebooks").mkdir(parents=True)
    return folder


def below(project, environ=None, **wanted):
    return connection(environ or {}, project / "notebooks", **wanted)


def test_each_place_counts_before_the_next(project, tmp_path):
    user = tmp_path / "user" / "swiftask_jupyter" / "config.toml"
    user.parent.mkdir(parents=True)
    seen = []
    for write in (
        lambda: user.write_text('agent = "user"'),
        lambda: (project / "pyproject.toml").write_text('[tool.swiftask]\nagent = "pyproject"'),
        lambda: (project / ".env").write_text("SWIFTASK_AGENT_SLUG=dotenv"),
    ):
        write()
        seen.append(below(project).agent)
    environ = {"SWIFTASK_AGENT_SLUG": "environment"}
    seen += [below(project, environ).agent, below(project, environ, agent="option").agent]

    assert seen == ["user", "pyproject", "dotenv", "environment", "option"]


def test_a_dotenv_is_read_again_when_it_changes_and_changes_no_environment(project):
    environ = {}
    sources = Sources(environ, project)
    (project / ".env").write_text("SWIFTASK_API_KEY=one")
    first = resolve(sources, {}).token.reveal()
    (project / ".env").write_text("SWIFTASK_API_KEY=another")

    assert (first, resolve(sources, {}).token.reveal()) == ("one", "another")
    assert environ == {}


@pytest.mark.parametrize(
    "files",
    [
        {".env": "SWIFTASK_BASE_URL=https://evil.example"},
        {"pyproject.toml": '[tool.swiftask]\nbase_url = "https://evil.example"'},
        {
            "pyproject.toml": '[tool.swiftask]\nbase_url = "https://evil.example"\n'
            'token_env = "SWIFTASK_API_KEY"'
        },
        {
            "pyproject.toml": '[tool.swiftask]\nconnection = "x"\n'
            '[tool.swiftask.connections.x]\nbase_url = "https://evil.example"\n'
            'token_env = "SWIFTASK_API_KEY"'
        },
    ],
)
def test_a_cloned_project_does_not_get_the_environments_token(project, files):
    for name, text in files.items():
        (project / name).write_text(text)

    with pytest.raises(ConfigurationError, match=r"evil\.example") as caught:
        below(project, {"SWIFTASK_API_KEY": "s3cr3t"})
    assert "SWIFTASK_BASE_URL" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_a_dotenv_can_not_write_the_token_into_its_address(project):
    (project / ".env").write_text("SWIFTASK_BASE_URL=http://127.0.0.1/${SWIFTASK_API_KEY}")

    assert "s3cr3t" not in below(project, {"SWIFTASK_API_KEY": "s3cr3t"}).base_url


def test_a_project_can_not_ask_for_another_secret(project):
    (project / "pyproject.toml").write_text('[tool.swiftask]\ntoken_env = "AWS_SECRET_ACCESS_KEY"')

    with pytest.raises(ConfigurationError, match="AWS_SECRET_ACCESS_KEY"):
        below(project, {"AWS_SECRET_ACCESS_KEY": "s3cr3t"})


def test_a_projects_own_token_goes_to_the_projects_own_host(project):
    (project / ".env").write_text(
        "SWIFTASK_BASE_URL=https://gate.example\nSWIFTASK_API_KEY=projects"
    )

    assert below(project).token.reveal() == "projects"


@pytest.mark.parametrize("host", ["http://127.0.0.1:8000", "https://graphql.swiftask.ai/api"])
def test_a_project_may_name_loopback_and_the_documented_hosts(project, host):
    (project / ".env").write_text(f"SWIFTASK_BASE_URL={host}")

    assert below(project, {"SWIFTASK_API_KEY": "mine"}).token.reveal() == "mine"


def test_a_named_connection_brings_its_own_address_token_and_agent(project):
    (project / "pyproject.toml").write_text(
        '[tool.swiftask.connections.team]\nbase_url = "http://127.0.0.1:7/api"\n'
        'token_env = "SWIFTASK_TEAM_KEY"\nagent = "team-agent"\ndialect = "native"'
    )
    environ = {"SWIFTASK_TEAM_KEY": "theirs", "SWIFTASK_API_KEY": "mine"}

    team = below(project, environ, connection="team")

    assert (team.base_url, team.token.reveal()) == ("http://127.0.0.1:7", "theirs")
    assert (team.agent, team.dialect, team.name) == ("team-agent", "native", "team")
    assert below(project, environ).token.reveal() == "mine"


def test_the_default_token_does_not_go_to_a_named_connection(project):
    (project / "pyproject.toml").write_text(
        '[tool.swiftask.connections.team]\nbase_url = "http://127.0.0.1:7"'
    )

    assert not below(project, {"SWIFTASK_API_KEY": "mine"}, connection="team").token


def team(project, text=""):
    (project / "pyproject.toml").write_text(
        f'[tool.swiftask.connections.team]\nbase_url = "http://127.0.0.1:7"\n{text}'
    )


def said(project, environ, **layers):
    return resolve(Sources(environ, project), layers)


def test_a_connection_that_is_named_closest_brings_all_its_own(project):
    team(project, 'token_env = "SWIFTASK_TEAM_KEY"\nagent = "team-agent"\ndialect = "chat"')
    elsewhere = ConnectionOverrides("http://127.0.0.1:9", "theirs", "echo", "native")
    environ = {"SWIFTASK_TEAM_KEY": "teams"}

    named = said(project, environ, cell=ConnectionOverrides(connection="team"), sandbox=elsewhere)
    explicit = said(
        project,
        environ,
        cell=ConnectionOverrides(agent="mine", connection="team"),
        sandbox=elsewhere,
    )

    assert (named.base_url, named.token.reveal()) == ("http://127.0.0.1:7", "teams")
    assert (named.agent, named.dialect) == ("team-agent", "chat")
    assert (explicit.agent, explicit.dialect) == ("mine", "chat")


def test_an_address_that_is_named_closest_ends_a_connection(project):
    team(project, 'token_env = "SWIFTASK_TEAM_KEY"')
    elsewhere = ConnectionOverrides("http://127.0.0.1:9", "theirs")
    environ = {"SWIFTASK_TEAM_KEY": "teams", "SWIFTASK_CONNECTION": "team"}

    for config in (ConnectionOverrides(), ConnectionOverrides(connection="team")):
        found = said(project, environ, sandbox=elsewhere, config=config)
        assert (found.base_url, found.token.reveal()) == ("http://127.0.0.1:9", "theirs")
        assert found.name is None


def test_a_connection_without_an_agent_takes_one_that_is_meant_for_no_other_service(project):
    team(project)
    cell, used = ConnectionOverrides(connection="team"), ConnectionOverrides(agent="used")

    assert said(project, {}, cell=cell, use=used).agent == "used"
    assert (
        said(
            project, {}, cell=cell, box=ConnectionOverrides("http://127.0.0.1:9", "t", "echo")
        ).agent
        is None
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "connection team names no token_env"),
        ('token_env = "SWIFTASK_TEAM_KEY"', "SWIFTASK_TEAM_KEY, which connection team names, is"),
    ],
)
def test_a_connection_without_a_token_says_why(project, monkeypatch, text, why):
    team(project, text)
    monkeypatch.chdir(project)
    monkeypatch.setenv("SWIFTASK_API_KEY", "s3cr3t")

    with Swiftask(connection="team") as client, pytest.raises(ConfigurationError) as caught:
        client.ask("hello", agent="echo")

    assert why in str(caught.value)
    assert "SWIFTASK_API_KEY" not in str(caught.value)


def test_an_unknown_connection_names_the_known_ones(project):
    (project / "pyproject.toml").write_text("[tool.swiftask.connections.team]\n")

    with pytest.raises(ConfigurationError, match="there is: team"):
        below(project, connection="tem")


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
def test_a_file_that_is_wrong_is_one_clear_line(project, text, message):
    (project / "pyproject.toml").write_text(text)

    with pytest.raises(ConfigurationError, match=message) as caught:
        below(project)
    assert "s3cr3t" not in str(caught.value)


def test_where_each_setting_stands_is_known(project):
    (project / ".env").write_text("SWIFTASK_AGENT_SLUG=a")

    origins = below(project, {"SWIFTASK_API_KEY": "k"}).origins

    assert origins["token"] == "SWIFTASK_API_KEY in the environment"
    assert origins["agent"] == f"SWIFTASK_AGENT_SLUG in {project / '.env'}"


def test_a_kept_login_is_asked_for_by_its_host_and_last(project):
    asked = []

    def kept(host):
        asked.append(host)
        return "kept"

    sources = Sources({}, project)
    alone = resolve(sources, {"": ConnectionOverrides(base_url="http://127.0.0.1:7")}, kept)
    given = resolve(
        sources, {"": ConnectionOverrides(base_url="http://127.0.0.1:7", token="given")}, kept
    )

    assert (alone.token.reveal(), given.token.reveal()) == ("kept", "given")
    assert asked == ["127.0.0.1"]


@pytest.mark.parametrize("url", ["http://graphql.swiftask.ai", "https://graphql.swiftask.ai:8443"])
def test_a_project_can_not_have_the_token_travel_another_way(project, url):
    (project / ".env").write_text(f"SWIFTASK_BASE_URL={url}")

    with pytest.raises(ConfigurationError, match="names the host"):
        connection({"SWIFTASK_API_KEY": "t0ken"}, project)


def test_the_environments_agent_is_asked_over_a_connection_that_names_none(project):
    (project / "pyproject.toml").write_text(
        '[tool.swiftask.connections.team]\nbase_url = "http://127.0.0.1:9"\n'
        'token_env = "SWIFTASK_TEAM"'
    )
    environ = {"SWIFTASK_AGENT_SLUG": "mine", "SWIFTASK_TEAM": "t0ken"}

    assert connection(environ, project, connection="team").agent == "mine"
    assert connection(environ | {"SWIFTASK_CONNECTION": "team"}, project).agent == "mine"


def test_a_file_may_begin_with_an_editors_mark(project):
    (project / "pyproject.toml").write_text('[tool.swiftask]\nagent = "mine"', "utf-8-sig")

    assert connection({}, project).agent == "mine"


def test_a_login_is_kept_for_the_way_the_service_is_reached():
    kept = {"graphql.swiftask.ai": "t0ken"}
    asked = []

    def known(service):
        asked.append(service)
        return kept.get(service)

    for url in ("https://graphql.swiftask.ai", "http://graphql.swiftask.ai"):
        resolve(Sources({}, Path("/nowhere")), {"the call": ConnectionOverrides(url)}, known)

    assert asked == ["graphql.swiftask.ai", "http://graphql.swiftask.ai"]
