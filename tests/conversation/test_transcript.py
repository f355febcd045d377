"""Conversations in files: what is exported is imported, and nothing else is."""

import pytest

from swiftask_jupyter import errors


@pytest.mark.parametrize("suffix", [".md", ".json"])
def test_what_is_exported_is_imported(page, tmp_path, suffix):
    texts = ["one\r\n\n**echo**\n", "<!-- swiftask-turn {} -->\n--", "🎉 two", " "]
    for number, text in enumerate(texts[:3]):
        page.run(f"c{number}", text)
    file = page.client.session().export(tmp_path / f"talk{suffix}")

    count = page.client.session("second").import_file(file)

    assert (count, page.held("second")) == (3, texts[:3])
    page.run("c9", "more", session="second")
    assert page.sent() == [*texts[:3], "more"]
    assert len(page.client.usage()) == 4  # what is imported is no call


def test_a_changed_or_foreign_file_is_not_imported(page, tmp_path):
    page.run("c1", "one")
    file = page.client.session().export(tmp_path / "talk.md")
    file.write_text(file.read_text().replace("one", "eleven"))
    (tmp_path / "x.json").write_text('{"a": 1}')

    for path in (file, tmp_path / "x.json"):
        with pytest.raises(errors.ConfigurationError, match="no exported conversation"):
            page.client.session().import_file(path)
    with pytest.raises(errors.ConfigurationError, match="can't be read"):
        page.client.session().import_file(tmp_path / "none.md")
    with pytest.raises(errors.ConfigurationError, match="can't be read"):
        page.client.session().import_file("~nobody-here/talk.md")
    with pytest.raises(errors.ConfigurationError, match="can't be written"):
        page.client.session().export("~nobody-here/talk.md")
    with pytest.raises(errors.ConfigurationError, match=r"no \.md or \.json"):
        page.client.session().export(tmp_path / "talk.txt")


@pytest.mark.parametrize("suffix", [".md", ".json"])
def test_an_answer_of_files_is_exported_as_where_they_lie(page, box, tmp_path, suffix):
    answer = page.run("c1", "a cat", "image", dialect="native")
    file = page.client.session().export(tmp_path / f"talk{suffix}")
    page.client.session("second").import_file(file)
    page.run("c2", "another", session="second")

    history = box.requests[-1].json["messages"]
    assert history[1]["content"] == answer.files[0]["url"]
