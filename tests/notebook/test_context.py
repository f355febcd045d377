"""The settings and the client that the cells of one shell share."""


def described(shell, capsys):
    """Return what `%swiftask config` prints, by the name of the setting."""
    capsys.readouterr()
    shell.run_line_magic("swiftask", "config")
    return dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())


def test_percent_config_counts_before_the_environment_and_after_the_line(connected, monkeypatch):
    monkeypatch.setenv("SWIFTASK_AGENT_SLUG", "slow")
    connected.run_line_magic("config", "SwiftaskMagics.agent = 'echo'")

    assert connected.run_cell_magic("swiftask", "", "hello\n").agent == "echo"
    assert connected.run_cell_magic("swiftask", "lorem", "hello\n").agent == "lorem"


def test_the_later_of_a_setting_and_a_command_counts(connected, capsys):
    seen = []
    for kind, line in [
        ("config", "SwiftaskMagics.agent = 'lorem'"),
        ("swiftask", "use echo"),
        ("config", "SwiftaskMagics.agent = 'lorem'"),
        ("swiftask", "sandbox"),
        ("config", "SwiftaskMagics.agent = 'slow'"),
    ]:
        connected.run_line_magic(kind, line)
        seen.append(described(connected, capsys))

    agents = [each["agent"].rpartition("  ") for each in seen]
    assert [(agent, origin) for agent, _, origin in agents if agent != "smollm2"][:3] == [
        ("lorem", "(%config SwiftaskMagics)"),
        ("echo", "(%swiftask use)"),
        ("lorem", "(%config SwiftaskMagics)"),
    ]
    assert agents[3][2] == "(%swiftask sandbox)"
    assert agents[4][0] == "slow"
    assert seen[4]["token"] == "set  (%swiftask sandbox)"


def test_an_address_set_after_the_sandbox_does_not_get_its_token(connected, box, capsys):
    connected.run_line_magic("swiftask", "sandbox")
    connected.run_line_magic("config", f"SwiftaskMagics.base_url = '{box.url}'")

    found = described(connected, capsys)

    assert found["base_url"] == f"{box.url}  (%config SwiftaskMagics)"
    assert found["token"] == "set  (SWIFTASK_API_KEY in the environment)"


def test_a_new_client_prepares_for_a_prompt_only_if_one_is_to_come(connected, box):
    context = connected.magics_manager.registry["SwiftaskMagics"].context

    client = context.connect(warm=False)

    assert context.client is client
    assert box.requests == []
