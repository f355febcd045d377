"""Which service a request goes to, and which token goes with it."""

from pathlib import Path

import pytest

from swiftask_jupyter import Swiftask
from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.settings.connection import ConnectionOverrides, resolve
from swiftask_jupyter.settings.sources import SettingsSources


def resolve_call(environ, directory=Path("/nowhere"), **given):
    """Resolve the settings of a call with these keywords, made in that directory."""
    return resolve(SettingsSources(environ, directory), {"the call": ConnectionOverrides(**given)})


def resolve_below(project, environ=None, **given):
    """Resolve the settings of a call made in a notebook below the project."""
    return resolve_call(environ or {}, project / "notebooks", **given)


def configure_team(project, text=""):
    """Write a `pyproject.toml` with a connection named team."""
    (project / "pyproject.toml").write_text(
        f'[tool.swiftask.connections.team]\nbase_url = "http://127.0.0.1:7"\n{text}'
    )


def resolve_layers(project, environ, **layers):
    """Resolve several layers of overrides, the nearest first."""
    return resolve(SettingsSources(environ, project), layers)


def test_arguments_take_precedence_over_the_environment():
    environ = {
        "SWIFTASK_API_KEY": "from-env",
        "SWIFTASK_AGENT_SLUG": "env-agent",
        "SWIFTASK_BASE_URL": "https://env.example/api",
    }

    from_env = resolve_call(environ)
    given = resolve_call(environ, base_url="http://127.0.0.1:1", token="mine", agent="my-agent")

    assert from_env.root("/v1") == "https://env.example/v1"
    assert (from_env.agent, from_env.token.reveal()) == ("env-agent", "from-env")
    assert given.root("/v1") == "http://127.0.0.1:1/v1"
    assert (given.agent, given.token.reveal()) == ("my-agent", "mine")


def test_without_a_base_url_each_api_has_its_documented_address():
    target = resolve_call({})

    assert target.root("/v1") == "https://api.swiftask.fr/v1"
    assert target.root("/api") == "https://graphql.swiftask.ai/api"


@pytest.mark.parametrize("token", ["two words", "tok\nen", "tökén", "a\x7fb"])
def test_a_token_that_a_header_cannot_carry_is_refused_and_not_repeated(token):
    with pytest.raises(ConfigurationError) as caught:
        resolve_call({}, token=token)
    assert token not in str(caught.value)


def test_the_repr_of_a_connection_does_not_contain_its_token():
    assert "s3cr3t" not in repr(resolve_call({}, token="s3cr3t"))


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
def test_a_cloned_project_cannot_send_the_environments_token_to_its_own_host(project, files):
    for name, text in files.items():
        (project / name).write_text(text)

    with pytest.raises(ConfigurationError, match=r"evil\.example") as caught:
        resolve_below(project, {"SWIFTASK_API_KEY": "s3cr3t"})
    assert "SWIFTASK_BASE_URL" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_a_token_and_a_host_from_the_same_file_belong_together(project):
    (project / ".env").write_text(
        "SWIFTASK_BASE_URL=https://gate.example\nSWIFTASK_API_KEY=projects"
    )

    assert resolve_below(project).token.reveal() == "projects"


@pytest.mark.parametrize("host", ["http://127.0.0.1:8000", "https://graphql.swiftask.ai/api"])
def test_a_project_may_send_the_users_token_to_loopback_and_documented_hosts(project, host):
    (project / ".env").write_text(f"SWIFTASK_BASE_URL={host}")

    assert resolve_below(project, {"SWIFTASK_API_KEY": "mine"}).token.reveal() == "mine"


def test_a_named_connection_has_its_own_base_url_token_and_agent(project):
    (project / "pyproject.toml").write_text(
        '[tool.swiftask.connections.team]\nbase_url = "http://127.0.0.1:7/api"\n'
        'token_env = "SWIFTASK_TEAM_KEY"\nagent = "team-agent"\ndialect = "native"'
    )
    environ = {"SWIFTASK_TEAM_KEY": "theirs", "SWIFTASK_API_KEY": "mine"}

    team = resolve_below(project, environ, connection="team")

    assert (team.base_url, team.token.reveal()) == ("http://127.0.0.1:7", "theirs")
    assert (team.agent, team.dialect, team.name) == ("team-agent", "native", "team")
    assert resolve_below(project, environ).token.reveal() == "mine"


def test_a_named_connection_does_not_use_the_default_token(project):
    (project / "pyproject.toml").write_text(
        '[tool.swiftask.connections.team]\nbase_url = "http://127.0.0.1:7"'
    )

    assert not resolve_below(project, {"SWIFTASK_API_KEY": "mine"}, connection="team").token


def test_a_connection_named_by_the_call_replaces_all_farther_settings(project):
    configure_team(
        project, 'token_env = "SWIFTASK_TEAM_KEY"\nagent = "team-agent"\ndialect = "chat"'
    )
    elsewhere = ConnectionOverrides("http://127.0.0.1:9", "theirs", "echo", "native")
    environ = {"SWIFTASK_TEAM_KEY": "teams"}

    named = resolve_layers(
        project, environ, cell=ConnectionOverrides(connection="team"), sandbox=elsewhere
    )
    explicit = resolve_layers(
        project,
        environ,
        cell=ConnectionOverrides(agent="mine", connection="team"),
        sandbox=elsewhere,
    )

    assert (named.base_url, named.token.reveal()) == ("http://127.0.0.1:7", "teams")
    assert (named.agent, named.dialect) == ("team-agent", "chat")
    assert (explicit.agent, explicit.dialect) == ("mine", "chat")


def test_a_base_url_given_nearer_than_a_connection_replaces_it(project):
    configure_team(project, 'token_env = "SWIFTASK_TEAM_KEY"')
    elsewhere = ConnectionOverrides("http://127.0.0.1:9", "theirs")
    environ = {"SWIFTASK_TEAM_KEY": "teams", "SWIFTASK_CONNECTION": "team"}

    for config in (ConnectionOverrides(), ConnectionOverrides(connection="team")):
        found = resolve_layers(project, environ, sandbox=elsewhere, config=config)
        assert (found.base_url, found.token.reveal()) == ("http://127.0.0.1:9", "theirs")
        assert found.name is None


def test_a_connection_without_an_agent_uses_one_that_was_not_set_for_another_service(project):
    configure_team(project)
    cell, used = ConnectionOverrides(connection="team"), ConnectionOverrides(agent="used")

    assert resolve_layers(project, {}, cell=cell, use=used).agent == "used"
    assert (
        resolve_layers(
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
def test_the_error_for_a_connection_without_a_token_says_why(project, monkeypatch, text, why):
    configure_team(project, text)
    monkeypatch.chdir(project)
    monkeypatch.setenv("SWIFTASK_API_KEY", "s3cr3t")

    with Swiftask(connection="team") as client, pytest.raises(ConfigurationError) as caught:
        client.ask("hello", agent="echo")

    assert why in str(caught.value)
    assert "SWIFTASK_API_KEY" not in str(caught.value)


def test_a_stored_login_is_looked_up_by_host_and_only_without_another_token(project):
    asked = []

    def kept(host):
        asked.append(host)
        return "kept"

    sources = SettingsSources({}, project)
    alone = resolve(sources, {"": ConnectionOverrides(base_url="http://127.0.0.1:7")}, kept)
    given = resolve(
        sources, {"": ConnectionOverrides(base_url="http://127.0.0.1:7", token="given")}, kept
    )

    assert (alone.token.reveal(), given.token.reveal()) == ("kept", "given")
    assert asked == ["127.0.0.1"]


@pytest.mark.parametrize("url", ["http://graphql.swiftask.ai", "https://graphql.swiftask.ai:8443"])
def test_a_project_cannot_send_the_token_unencrypted_or_to_another_port(project, url):
    (project / ".env").write_text(f"SWIFTASK_BASE_URL={url}")

    with pytest.raises(ConfigurationError, match="names the host"):
        resolve_call({"SWIFTASK_API_KEY": "t0ken"}, project)


def test_a_connection_without_an_agent_uses_the_environments(project):
    (project / "pyproject.toml").write_text(
        '[tool.swiftask.connections.team]\nbase_url = "http://127.0.0.1:9"\n'
        'token_env = "SWIFTASK_TEAM"'
    )
    environ = {"SWIFTASK_AGENT_SLUG": "mine", "SWIFTASK_TEAM": "t0ken"}

    assert resolve_call(environ, project, connection="team").agent == "mine"
    assert resolve_call(environ | {"SWIFTASK_CONNECTION": "team"}, project).agent == "mine"


def test_a_login_for_https_is_not_used_for_http():
    kept = {"graphql.swiftask.ai": "t0ken"}
    asked = []

    def known(service):
        asked.append(service)
        return kept.get(service)

    for url in ("https://graphql.swiftask.ai", "http://graphql.swiftask.ai"):
        resolve(
            SettingsSources({}, Path("/nowhere")), {"the call": ConnectionOverrides(url)}, known
        )

    assert asked == ["graphql.swiftask.ai", "http://graphql.swiftask.ai"]


TOKEN = {"SWIFTASK_API_KEY": "token"}
LAN = "http://10.0.0.7:8000"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000", "http://127.9.9.9", "http://localhost", "http://LOCALHOST:1",
        "HTTP://[::1]:8000", "http://[0:0:0:0:0:0:0:1]", "https://10.0.0.7", "https://a.example",
    ],
)  # fmt: skip
def test_a_token_may_be_sent_to_loopback_and_encrypted(url):
    assert resolve_call(TOKEN, base_url=url).token


@pytest.mark.parametrize(
    "url",
    [
        LAN, "http://192.168.1.1", "http://host.docker.internal:11434", "http://box.local",
        "http://a.example", "HTTP://a.example", "http://[fe80::1]", "http://[2001:db8::1]:8000",
        "http://0.0.0.0:1", "http://127.1", "http://2130706433", "http://0x7f.0.0.1",
        "http://0177.0.0.1", "http://localhost.", "http://localhost.evil.example",
        "http://127.0.0.1.evil.example", "http://127.0.0.1.", "http://evil.example/127.0.0.1",
        "http://127.0.0.1%2eevil.example", "http://\uff11\uff12\uff17.0.0.1", "http://127.0.0.1\\.evil.example",
    ],
)  # fmt: skip
def test_a_token_is_sent_to_no_other_address_unencrypted(url):
    with pytest.raises(ConfigurationError, match=r"send your token unencrypted to|is not a plain"):
        resolve_call(TOKEN, base_url=url)

    with pytest.raises(ConfigurationError):  # a user name is no host
        resolve_call(TOKEN, base_url=url.replace("://", "://127.0.0.1@"))


def own_config(project, text):
    """Write the user's `config.toml`."""
    path = project.parent / "user" / "swiftask_jupyter" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_only_the_users_own_configuration_allows_http(project):
    environ = {**TOKEN, "SWIFTASK_BASE_URL": LAN}
    (project / ".env").write_text("SWIFTASK_ALLOW_HTTP=1\nallow_http=true\n")
    with pytest.raises(ConfigurationError, match=r"\(SWIFTASK_ALLOW_HTTP does not count\)"):
        resolve_below(project, environ)

    (project / "pyproject.toml").write_text("[tool.swiftask]\nallow_http = true\n")
    with pytest.raises(ConfigurationError, match=r"pyproject\.toml may not set allow_http; .*own"):
        resolve_below(project, environ)

    (project / "pyproject.toml").unlink()
    own_config(project, "allow_http = true\n")
    assert resolve_below(project, environ).token


def test_a_project_cannot_allow_http_for_one_of_its_connections(project):
    configure_team(project, 'allow_http = true\ntoken_env = "SWIFTASK_KEY"')

    with pytest.raises(ConfigurationError, match="may not set allow_http"):
        resolve_below(project, {"SWIFTASK_KEY": "token"}, connection="team")


def test_a_connection_allows_http_for_its_own_address_alone(project):
    own_config(
        project,
        f'[connections.lan]\nbase_url = "{LAN}"\ntoken_env = "KEY"\nallow_http = true\n'
        f'[connections.other]\nbase_url = "{LAN}"\ntoken_env = "KEY"\n',
    )
    environ = {"KEY": "token"}

    assert resolve_below(project, environ, connection="lan").token
    with pytest.raises(ConfigurationError, match=r"connection other in .* would send"):
        resolve_below(project, environ, connection="other")
    with pytest.raises(ConfigurationError, match="the call would send"):
        resolve_below(project, environ, connection="lan", base_url="http://10.0.0.8")


@pytest.mark.parametrize("text", ['allow_http = "true"', "keep_texts = 0"])
def test_a_switch_is_true_or_false(project, text):
    own_config(project, text)

    with pytest.raises(ConfigurationError, match="must be true or false"):
        resolve_below(project)


def test_whether_texts_are_kept_is_said_by_any_source_but_a_project_file(project):
    def origin(**environ):
        return SettingsSources(environ, project / "notebooks").no_texts_origin()

    assert origin() == origin(SWIFTASK_KEEP_TEXTS="1") == ""
    assert origin(SWIFTASK_KEEP_TEXTS="0") == "SWIFTASK_KEEP_TEXTS in the environment"
    with pytest.raises(ConfigurationError, match="neither 0 nor 1"):
        origin(SWIFTASK_KEEP_TEXTS="never")
    (project / ".env").write_text("SWIFTASK_KEEP_TEXTS=0\n")
    assert origin(SWIFTASK_KEEP_TEXTS="1").endswith(".env")
    (project / ".env").unlink()
    own_config(project, "keep_texts = false\n")
    assert origin(SWIFTASK_KEEP_TEXTS="1").endswith("config.toml")
    own_config(project, "[connections.a]\nkeep_texts = false\n")
    with pytest.raises(ConfigurationError, match="may not set keep_texts; write it at the top"):
        resolve_below(project, connection="a")
