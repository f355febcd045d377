"""Tab in the lines of `%swiftask` and in the prompts of cells."""

import pytest
from IPython.core.completer import provisionalcompleter


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%swiftask us", ["usage", "use"]),
        ("%swiftask use ech", ["echo"]),
        ("%%swiftask ech", ["echo"]),
        ("%%swiftask echo --di", ["--dialect"]),
        ("%%swiftask echo --dialect na", ["native"]),
        ("%%swiftask echo -f js", ["json"]),
        ("%%swiftask echo --docs s", ["simple"]),
        ("%%swiftask echo\nhello {{nam", ["name"]),
        ("%%swiftask echo\nhello {{ nam", ["name"]),
        ("\n%%swiftask ech", ["echo"]),
        ("\n\n%%swiftask echo\nhello {{nam", ["name"]),
    ],
)
def test_tab_offers_exactly_what_can_be_written_there(connected, text, expected):
    connected.user_ns["name"] = "Ada"

    with provisionalcompleter():
        found = {each.text for each in connected.Completer.completions(text, len(text))}

    assert sorted(found) == expected


@pytest.mark.parametrize("text", ["x = 1\nnam", "%swiftaskother us", "hello {{nam"])
def test_tab_elsewhere_is_left_to_ipython(connected, text):
    connected.user_ns["name"] = "Ada"

    with provisionalcompleter():
        found = {each.text for each in connected.Completer.completions(text, len(text))}

    assert "usage" not in found


def test_a_damaged_settings_file_is_no_traceback_while_the_user_types(
    connected, tmp_path, monkeypatch, capsys
):
    (tmp_path / "pyproject.toml").write_text("[tool.swiftask\n")
    monkeypatch.chdir(tmp_path)
    text = "%%swiftask echo -c wo"

    with provisionalcompleter():
        [*connected.Completer.completions(text, len(text))]

    assert capsys.readouterr() == ("", "")
