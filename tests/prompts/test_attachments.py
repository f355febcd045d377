"""Files, globs, folders, variables and URLs that a user names are attached or refused."""

import os
import types
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from swiftask_jupyter.errors import PromptError
from swiftask_jupyter.prompts.attachments import MAX_NAME, load_attachments
from swiftask_jupyter.prompts.prompt import Attachment
from tests.support.attaching import FRAME, FRAME_CSV, attach, names_of, refusal

# Files


def test_a_file_is_read_immediately(write):
    path = write("sales.csv", b"a,b\n1,2\n")

    attachment = attach(str(path))
    path.unlink()

    assert attachment == Attachment("sales.csv", "text/csv", 8, b"a,b\n1,2\n")


def test_a_relative_path_is_resolved_in_the_given_directory(write, workdir):
    write("data/sales.csv")

    assert names_of("data/sales.csv", directory=workdir) == ["sales.csv"]


def test_without_a_directory_a_relative_path_is_resolved_in_the_current_one(
    write, workdir, monkeypatch
):
    write("sales.csv")
    write("data/more.csv")
    monkeypatch.chdir(workdir)

    assert names_of("sales.csv", Path("sales.csv"), "data/*.csv", "data") == [
        "sales.csv",
        "sales.csv",
        "more.csv",
        "more.csv",
    ]


def test_a_tilde_is_expanded_to_the_home_folder(write, workdir, monkeypatch):
    write("sales.csv")
    monkeypatch.setenv("HOME", str(workdir))
    monkeypatch.setenv("USERPROFILE", str(workdir))

    assert names_of("~/sales.csv", Path("~/sales.csv"), "~/*.csv") == ["sales.csv"] * 3


def test_a_file_name_that_begins_with_a_tilde_is_found(write, workdir):
    write("~$report.docx")

    assert names_of("~$report.docx", directory=workdir) == ["~$report.docx"]


def test_an_empty_file_is_attached(write):
    assert attach(str(write("empty.txt", b""))).size == 0


def test_a_symbolic_link_is_followed_and_keeps_its_own_name(write, workdir):
    write("there/real.csv", b"1")
    (workdir / "link.csv").symlink_to(workdir / "there/real.csv")

    assert attach("link.csv", directory=workdir) == Attachment("link.csv", "text/csv", 1, b"1")


def test_a_hidden_file_is_attached_when_it_is_named(write, workdir):
    write(".bashrc")

    assert names_of(".bashrc", directory=workdir) == [".bashrc"]


def test_spaces_and_non_latin_letters_in_a_name_are_kept(write, workdir):
    write("Bilan été 東京.csv")

    assert names_of("Bilan été 東京.csv", directory=workdir) == ["Bilan été 東京.csv"]


def test_a_file_whose_name_looks_like_a_glob_is_attached(write, workdir):
    write("a[1].csv")
    write("a1.csv")

    assert names_of("a[1].csv", directory=workdir) == ["a[1].csv"]


def test_attachments_keep_the_order_of_the_values(write, workdir):
    write("b.txt")
    write("a.txt")

    assert names_of("b.txt", ("c.txt", b""), "a.txt", directory=workdir) == [
        "b.txt",
        "c.txt",
        "a.txt",
    ]


def test_no_values_give_no_attachments():
    assert load_attachments([], {}) == ()


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("a.csv", "text/csv"),
        ("A.CSV", "text/csv"),
        ("a.md", "text/markdown"),
        ("a.json", "application/json"),
        ("a.ipynb", "application/x-ipynb+json"),
        ("a.parquet", "application/vnd.apache.parquet"),
        ("a.png", "image/png"),
        ("a.pdf", "application/pdf"),
        ("a.txt", "text/plain"),
        ("a.csv.gz", "application/gzip"),
        ("a.csv.bz2", "application/octet-stream"),
        ("a.svgz", "application/octet-stream"),
        ("a.nobody-knows", "application/octet-stream"),
        ("csv", "application/octet-stream"),
    ],
)
def test_the_mime_type_follows_from_the_extension(name, type_):
    assert attach((name, b"x")).type == type_


# Several files


def test_a_glob_attaches_all_matching_visible_files_sorted(write, workdir):
    for name in ("b.csv", "a.csv", "c.txt", ".hidden.csv", "folder.csv/x.csv"):
        write(f"data/{name}")

    assert names_of("data/*.csv", directory=workdir) == ["a.csv", "b.csv"]
    assert names_of(str(workdir / "data" / "?.csv")) == ["a.csv", "b.csv"]


def test_a_recursive_glob_attaches_each_file_once(write, workdir):
    write("data/deep/er/a.csv")
    write("data/b.csv")

    assert names_of("data/**/**/*.csv", directory=workdir) == ["b.csv", "a.csv"]


@pytest.mark.parametrize("written", ["data", "data/", "./data", "data/."])
def test_a_folder_attaches_the_visible_files_directly_in_it_sorted(write, workdir, written):
    for name in ("b.csv", "a.txt", ".hidden", "deep/c.csv"):
        write(f"data/{name}")

    assert names_of(written, directory=workdir) == ["a.txt", "b.csv"]


def test_a_folder_whose_name_looks_like_a_glob_is_attached(write, workdir):
    write("run[1]/a.csv")
    write("run1/b.csv")

    assert names_of("run[1]", directory=workdir) == ["a.csv"]


def test_the_base_directory_may_have_a_name_that_looks_like_a_glob(write, workdir):
    write("[x]*/data/a.csv")

    assert names_of("data/*", "data", directory=workdir / "[x]*") == ["a.csv", "a.csv"]


def test_a_glob_without_matches_is_refused(workdir):
    assert "no file in 'data/*.csv'" in refusal("data/*.csv", directory=workdir)


def test_a_folder_without_files_is_refused(write, workdir):
    write("data/.hidden")
    write("data/deep/x.csv")

    assert "no file in 'data'" in refusal("data", directory=workdir)


# Variables


def test_a_variable_gives_the_attachment_its_name():
    assert attach("sales", {"sales": FRAME}) == Attachment(
        "sales.csv", "text/csv", len(FRAME_CSV), FRAME_CSV
    )


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("user.frame", "user-frame.csv"),
        ("frames[0]", "frames-0.csv"),
        ("frames[-1]", "frames-1.csv"),
        ("d['a b']", "d-a-b.csv"),
        ('d["été"]', "d-été.csv"),
        ("user.all[ 0 ]", "user-all-0.csv"),
        ("frame.ville", "frame-ville.csv"),
    ],
)
def test_attributes_and_items_of_a_variable_can_be_attached(written, name):
    names = {
        "frame": FRAME,
        "frames": [FRAME],
        "d": {"a b": FRAME, "été": FRAME},
        "user": types.SimpleNamespace(frame=FRAME, all=[FRAME]),
    }

    assert names_of(written, names=names) == [name]


def test_a_file_takes_precedence_over_a_variable_of_the_same_name(write, workdir):
    write("sales", b"the file")
    write("sales.ville", b"the other")

    names = {"sales": FRAME}
    assert attach("sales", names, workdir).content == b"the file"
    assert attach("sales.ville", names, workdir).content == b"the other"


def test_a_variable_takes_precedence_over_a_folder_unless_a_slash_follows(write, workdir):
    write("sales/a.txt")

    assert names_of("sales", "sales/", names={"sales": FRAME}, directory=workdir) == [
        "sales.csv",
        "a.txt",
    ]


def test_a_variable_takes_precedence_over_a_glob(write, workdir):
    write("frames0", b"no")

    assert attach("frames[0]", {"frames": [FRAME]}, workdir).content == FRAME_CSV
    assert attach("frames[0]", {}, workdir).content == b"no"


def test_a_variable_may_hold_a_path_a_pair_or_an_attachment(write):
    path = write("a.csv", b"1")
    attachment = Attachment("b", "t", 0, b"")
    names = {"path": path, "pair": ("c.bin", b"2"), "attachment": attachment}

    found = load_attachments(["path", "pair", "attachment"], names)

    assert [file.name for file in found] == ["a.csv", "c.bin", "b"]
    assert found[2] is attachment


def test_a_string_in_a_variable_is_refused_and_not_read_as_a_path(write):
    secret = write("secret.txt")

    message = refusal("answer", {"answer": str(secret)})

    assert "holds text" in message
    assert str(secret) not in message


@pytest.mark.parametrize(
    "written", ["nobody", "user.last", "user._secret", "d['x']", "frames[9]", "broken.frame", "f()"]
)
def test_a_name_of_neither_a_file_nor_a_variable_is_refused(written, workdir):
    class Broken:
        @property
        def frame(self):
            raise RuntimeError

    names = {
        "user": types.SimpleNamespace(_secret=FRAME),
        "d": {},
        "frames": [FRAME],
        "broken": Broken(),
        "f": lambda: FRAME,
    }

    assert "there is no file" in refusal(written, names, workdir)


# URLs


def test_a_url_is_attached_by_reference():
    url = "https://host/files/Bilan%20%C3%A9t%C3%A9.pdf?sig=a%2Fb#p"

    assert attach(url) == Attachment("Bilan été.pdf", "application/pdf", 0, url=url)


@pytest.mark.parametrize(
    ("url", "name", "type_"),
    [
        ("http://host/a.csv", "a.csv", "text/csv"),
        ("HTTPS://Host/a.csv", "a.csv", "text/csv"),
        ("https://host/data/", "data", "application/octet-stream"),
        ("https://example.com", "example.com", "application/octet-stream"),
        ("https://host/?q=a.csv", "host", "application/octet-stream"),
        ("https://host/a%2F..%2Fb.csv", "b.csv", "text/csv"),
        ("https://host/@user/a.csv", "a.csv", "text/csv"),
        ("https://[::1]:8000/a.csv", "a.csv", "text/csv"),
        (" https://host/a.csv ", "a.csv", "text/csv"),
    ],
)
def test_the_name_of_a_url_is_the_last_part_of_its_path_or_its_host(url, name, type_):
    found = attach(url)

    assert (found.name, found.type, found.url) == (name, type_, url.strip())


def test_a_url_with_glob_characters_is_attached_as_a_url():
    assert attach("https://host/a*[1].csv?x=*").url == "https://host/a*[1].csv?x=*"


@pytest.mark.parametrize(
    "url",
    [
        "https://ada:hunter2@host/a.csv",
        "https://hunter2@host/a.csv",
        "https://:hunter2@host/a.csv",
        "https://@host/a.csv?hunter2",
        "https://ada:hunter2@[::1/a.csv",
        "https://ada:hunter2@ho\u2100st/a.csv",
        "  https://ada:hunter2@host/a.csv",
    ],
)
def test_a_url_with_a_password_is_refused_and_not_repeated(url):
    message = refusal(url)

    assert "user name or password" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "url",
    [
        "ftp://ada:hunter2@host/a.csv",
        "s3://bucket/a.csv",
        "file:///etc/passwd",
        "data:text/plain,hi",
        "DATA:,x",
    ],
)
def test_a_url_of_another_scheme_is_refused(url):
    message = refusal(url)

    assert f"{url.split(':')[0].lower()}: cannot be attached" in message
    assert "http(s)" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "url",
    [
        "https://",
        "https:///a.csv",
        "https://[::1/a.csv",
        "https://host:port/a",
        "https://host:99999/a",
        "https://host/a b.csv",
        "https://host/a\r\nX: y",
        "https://host/\ud800",
    ],
)
def test_a_malformed_url_is_refused(url):
    assert "the URL is malformed" in refusal(url)


# Refusals of files


def test_the_refusal_of_a_missing_file_suggests_the_nearest_name(write, workdir):
    write("data/Sales_2024.csv")
    write("data/notes.md")

    message = refusal("data/sales_2042.csv", directory=workdir)

    assert "there is no file or variable" in message
    assert "did you mean 'Sales_2024.csv'?" in message


def test_a_name_that_is_not_similar_is_not_suggested(write, workdir):
    write("notes.md")

    assert "did you mean" not in refusal("sales.csv", directory=workdir)
    assert "there is no file" in refusal("nowhere/sales.csv", directory=workdir)
    assert "there is no file" in refusal(Path("sales.csv"), directory=workdir)


def test_a_broken_symbolic_link_is_a_missing_file(workdir):
    (workdir / "link.csv").symlink_to(workdir / "gone.csv")

    message = refusal("link.csv", directory=workdir)

    assert "there is no file" in message
    assert "did you mean" not in message


@pytest.mark.parametrize("written", ["", "  ", "\n"])
def test_an_empty_name_is_refused(written):
    assert "nothing to attach" in refusal(written)


@pytest.mark.parametrize(
    "written",
    ["a\0b", "a\0/*", "\ud800.csv", "\ud800/*", "x" * 5000, "one\ntwo\x1b[31m", "~nobody/x"],
)
def test_an_impossible_file_name_is_refused_in_one_short_printable_line(written, workdir):
    message = refusal(written, directory=workdir)

    assert message.isprintable()
    assert len(message) < 700


def test_a_path_object_of_a_folder_is_refused(workdir):
    assert "is a folder, where a file is meant" in refusal(workdir)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes on Windows")
def test_a_named_pipe_is_refused_without_reading_it(workdir):
    os.mkfifo(workdir / "pipe")

    assert "pipe, where a file is meant" in refusal("pipe", directory=workdir)
    assert "no file in" in refusal("p*", directory=workdir)


def test_an_unreadable_file_is_refused(write, monkeypatch):
    path = write("a.csv")

    def closed(self, *_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", closed)  # file rights do not stop root

    assert "cannot be read (Permission denied)" in refusal(str(path))


def test_one_refused_value_refuses_the_whole_list(write, workdir):
    write("a.csv")

    with pytest.raises(PromptError):
        load_attachments(["a.csv", "b.csv"], {}, workdir)


# Names


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ada\\a.csv", "a.csv"),
        ("a/b/", "b"),
        ("a\r\nb\0\x1b[31m.csv", "ab[31m.csv"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("10.00\u202fAM.png", "10.00 AM.png"),
        ("  a.csv  ", "a.csv"),
        ("", "attachment"),
        ("..", "attachment"),
        ("/", "attachment"),
        (".env", ".env"),
        ("x" * 300 + ".csv", "x" * 196 + ".csv"),
        ("x." + "y" * 300, "x." + "y" * 198),
    ],
)
def test_a_name_becomes_a_printable_base_name(given_name, name):
    assert attach((given_name, b"")).name == name


@given(st.text(st.characters() | st.sampled_from("/\\. \0\n\u202e"), max_size=400))
@example("a" * 199 + " .csv")
@example(" " * 300 + ".")
@example("\x00/\x00")
def test_any_text_given_as_a_name_becomes_a_printable_base_name(text):
    attachment = attach((text, b""))
    name = attachment.name

    assert 0 < len(name) <= MAX_NAME
    assert name.isprintable()
    assert not set(name) & {"/", "\\"}
    assert name not in {".", ".."}
    assert name == name.strip()
    assert attach((name, b"")) == attachment


@given(st.text(st.characters(exclude_characters="/\\~"), max_size=60))
def test_any_text_is_either_attached_or_refused_in_one_line(tmp_path_factory, text):
    message = ""
    try:
        load_attachments([text], {"frame": FRAME}, tmp_path_factory.getbasetemp() / "nowhere")
    except PromptError as error:
        message = str(error)

    assert "\n" not in message
