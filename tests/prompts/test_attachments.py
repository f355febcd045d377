"""What the user names or holds goes along as a file, or the cell says why it can't."""

import base64
import hashlib
import importlib.util
import io
import os
import subprocess
import sys
import types
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from swiftask_jupyter.errors import PromptError
from swiftask_jupyter.prompts import attachments
from swiftask_jupyter.prompts.attachments import MAX_NAME, gather
from swiftask_jupyter.prompts.prompt import Attachment, Prompt

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg=="
)
FRAME = pd.DataFrame({"ville": ["Orléans", "東京"]}, index=["a", "b"])
FRAME_CSV = ",ville\na,Orléans\nb,東京\n".encode()


class Drawn:
    """Stands in for a matplotlib Figure."""

    def savefig(self, file, format):  # noqa: A002 - matplotlib's word
        assert format == "png"
        file.write(PNG)


class Picture:
    """Stands in for a PIL image."""

    size, mode = (1, 1), "RGB"

    def save(self, file, format):  # noqa: A002 - Pillow's word
        assert format == "PNG"
        file.write(PNG)


class Shown:
    """Shows itself as a PNG in a notebook."""

    def __init__(self, png):
        self.png = png

    def _repr_png_(self):
        return self.png


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "work"
    place.mkdir()
    return place


@pytest.fixture
def write(folder):
    def write(name, content=b"x"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    return write


def one(value, names=None, directory=None):
    (found,) = gather([value], names or {}, directory)
    return found


def named(*values, names=None, directory=None):
    return [found.name for found in gather(values, names or {}, directory)]


def refusal(value, names=None, directory=None):
    with pytest.raises(PromptError) as refused:
        gather([value], names or {}, directory)
    (line,) = refused.value._render_traceback_()
    assert "\n" not in line
    assert refused.value.advice
    return str(refused.value)


# An Attachment


def test_an_attachment_has_either_content_or_a_url():
    with pytest.raises(ValueError, match="either"):
        Attachment("a", "text/plain", 0)
    with pytest.raises(ValueError, match="either"):
        Attachment("a", "text/plain", 1, b"x", "https://host/a")


def test_an_empty_file_is_content_too():
    assert Attachment("a", "text/plain", 0, b"").digest == hashlib.sha256(b"").hexdigest()


def test_an_attachment_shows_itself_without_its_content_and_cannot_be_changed():
    attachment = Attachment("a", "text/plain", 6, b"secret")

    assert "secret" not in repr(attachment)
    with pytest.raises(AttributeError):
        attachment.name = "b"


def test_the_digest_is_of_the_content_or_of_the_url():
    assert Attachment("a", "t", 1, b"x").digest == hashlib.sha256(b"x").hexdigest()
    url = "https://host/é"
    assert Attachment("a", "t", 0, url=url).digest == hashlib.sha256(url.encode()).hexdigest()


def test_attachments_count_in_the_digest_of_a_prompt():
    first, second = Attachment("a", "t", 1, b"x"), Attachment("b", "t", 1, b"y")
    renamed = Attachment("b", "t", 1, b"x")
    digests = {
        Prompt("agent", "hi", attachments=files).digest("native", "host")
        for files in [(), (first,), (second,), (renamed,), (first, second), (second, first)]
    }

    assert len(digests) == 6


def test_a_prompt_has_the_digest_it_always_had():
    """The ledger is searched by it, across versions."""
    told = b'["native","host","agent",[],"hi",[]]'

    assert Prompt("agent", "hi").digest("native", "host") == hashlib.sha256(told).hexdigest()


# Files


def test_a_path_is_read_once_and_at_once(write):
    path = write("sales.csv", b"a,b\n1,2\n")

    attachment = one(str(path))
    path.unlink()

    assert attachment == Attachment("sales.csv", "text/csv", 8, b"a,b\n1,2\n")


def test_a_relative_path_begins_at_the_directory(write, folder):
    write("data/sales.csv")

    assert named("data/sales.csv", directory=folder) == ["sales.csv"]


def test_without_a_directory_it_begins_at_the_current_one(write, folder, monkeypatch):
    write("sales.csv")
    write("data/more.csv")
    monkeypatch.chdir(folder)

    assert named("sales.csv", Path("sales.csv"), "data/*.csv", "data") == [
        "sales.csv",
        "sales.csv",
        "more.csv",
        "more.csv",
    ]


def test_a_tilde_is_the_home_folder(write, folder, monkeypatch):
    write("sales.csv")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))

    assert named("~/sales.csv", Path("~/sales.csv"), "~/*.csv") == ["sales.csv"] * 3


def test_a_file_named_with_a_tilde_is_found_nonetheless(write, folder):
    write("~$report.docx")

    assert named("~$report.docx", directory=folder) == ["~$report.docx"]


def test_an_empty_file_is_attached(write):
    assert one(str(write("empty.txt", b""))).size == 0


def test_a_link_is_followed(write, folder):
    write("there/real.csv", b"1")
    (folder / "link.csv").symlink_to(folder / "there/real.csv")

    assert one("link.csv", directory=folder) == Attachment("link.csv", "text/csv", 1, b"1")


def test_a_hidden_file_is_attached_where_it_is_named(write, folder):
    write(".bashrc")

    assert named(".bashrc", directory=folder) == [".bashrc"]


def test_spaces_and_other_scripts_in_a_name_are_kept(write, folder):
    write("Bilan été 東京.csv")

    assert named("Bilan été 東京.csv", directory=folder) == ["Bilan été 東京.csv"]


def test_a_file_with_the_letters_of_a_glob_in_its_name_is_that_file(write, folder):
    write("a[1].csv")
    write("a1.csv")

    assert named("a[1].csv", directory=folder) == ["a[1].csv"]


def test_the_order_is_the_users(write, folder):
    write("b.txt")
    write("a.txt")

    assert named("b.txt", ("c.txt", b""), "a.txt", directory=folder) == ["b.txt", "c.txt", "a.txt"]


def test_nothing_is_attached_by_nothing():
    assert gather([], {}) == ()


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
def test_the_type_is_told_by_the_ending(name, type_):
    assert one((name, b"x")).type == type_


# Several files


def test_a_glob_is_every_file_it_matches_in_order(write, folder):
    for name in ("b.csv", "a.csv", "c.txt", ".hidden.csv", "folder.csv/x.csv"):
        write(f"data/{name}")

    assert named("data/*.csv", directory=folder) == ["a.csv", "b.csv"]
    assert named(str(folder / "data" / "?.csv")) == ["a.csv", "b.csv"]


def test_two_stars_go_down_into_folders_and_name_a_file_once(write, folder):
    write("data/deep/er/a.csv")
    write("data/b.csv")

    assert named("data/**/**/*.csv", directory=folder) == ["b.csv", "a.csv"]


@pytest.mark.parametrize("written", ["data", "data/", "./data", "data/."])
def test_a_folder_is_every_file_directly_in_it_in_order(write, folder, written):
    for name in ("b.csv", "a.txt", ".hidden", "deep/c.csv"):
        write(f"data/{name}")

    assert named(written, directory=folder) == ["a.txt", "b.csv"]


def test_a_folder_with_the_letters_of_a_glob_in_its_name_is_that_folder(write, folder):
    write("run[1]/a.csv")
    write("run1/b.csv")

    assert named("run[1]", directory=folder) == ["a.csv"]


def test_the_directory_itself_may_have_such_letters(write, folder):
    write("[x]*/data/a.csv")

    assert named("data/*", "data", directory=folder / "[x]*") == ["a.csv", "a.csv"]


def test_an_empty_glob_is_refused(folder):
    assert "no file in 'data/*.csv'" in refusal("data/*.csv", directory=folder)


def test_a_folder_without_files_is_refused(write, folder):
    write("data/.hidden")
    write("data/deep/x.csv")

    assert "no file in 'data'" in refusal("data", directory=folder)


# Variables


def test_a_variable_is_attached_under_its_name():
    assert one("sales", {"sales": FRAME}) == Attachment(
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
def test_a_variable_is_looked_up_by_dots_and_indexes(written, name):
    names = {
        "frame": FRAME,
        "frames": [FRAME],
        "d": {"a b": FRAME, "été": FRAME},
        "user": types.SimpleNamespace(frame=FRAME, all=[FRAME]),
    }

    assert named(written, names=names) == [name]


def test_a_file_comes_before_a_variable_of_its_name(write, folder):
    write("sales", b"the file")
    write("sales.ville", b"the other")

    names = {"sales": FRAME}
    assert one("sales", names, folder).content == b"the file"
    assert one("sales.ville", names, folder).content == b"the other"


def test_a_variable_comes_before_a_folder_of_its_name_which_a_slash_means(write, folder):
    write("sales/a.txt")

    assert named("sales", "sales/", names={"sales": FRAME}, directory=folder) == [
        "sales.csv",
        "a.txt",
    ]


def test_a_variable_comes_before_a_glob(write, folder):
    write("frames0", b"no")

    assert one("frames[0]", {"frames": [FRAME]}, folder).content == FRAME_CSV
    assert one("frames[0]", {}, folder).content == b"no"


def test_a_variable_may_hold_a_path_a_pair_or_an_attachment(write):
    path = write("a.csv", b"1")
    attachment = Attachment("b", "t", 0, b"")
    names = {"path": path, "pair": ("c.bin", b"2"), "attachment": attachment}

    found = gather(["path", "pair", "attachment"], names)

    assert [file.name for file in found] == ["a.csv", "c.bin", "b"]
    assert found[2] is attachment


def test_text_in_a_variable_is_not_guessed_to_be_a_path(write):
    secret = write("secret.txt")

    told = refusal("answer", {"answer": str(secret)})

    assert "holds text" in told
    assert str(secret) not in told


@pytest.mark.parametrize(
    "written", ["nobody", "user.last", "user._secret", "d['x']", "frames[9]", "broken.frame", "f()"]
)
def test_what_is_no_file_and_no_variable_is_refused(written, folder):
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

    assert "there is no file" in refusal(written, names, folder)


# Objects


def test_a_frame_is_written_as_csv_in_utf_8_with_its_index():
    assert one(FRAME) == Attachment("table.csv", "text/csv", len(FRAME_CSV), FRAME_CSV)


def test_a_series_is_written_as_csv_too():
    assert one(FRAME["ville"]).content == FRAME_CSV


def test_a_frame_is_attached_whole():
    content = one(pd.DataFrame({"x": range(50_000)})).content

    assert content.count(b"\n") == 50_001
    assert content.endswith(b"49999,49999\n")


def test_a_pair_of_name_and_bytes_is_a_file():
    assert one(("report.pdf", b"%PDF")) == Attachment("report.pdf", "application/pdf", 4, b"%PDF")
    assert one(("report.pdf", bytearray(b"%PDF"))).content == b"%PDF"


def test_a_later_change_of_the_bytes_is_not_seen():
    content = bytearray(b"then")
    attachment = one(("a", content))
    content[:] = b"now!"

    assert attachment.content == b"then"


@pytest.mark.parametrize("content", [b"x", bytearray(b"x")])
def test_bytes_without_a_name_are_refused(content):
    assert "needs a name" in refusal(content)
    assert "blob" in refusal("blob", {"blob": content})


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Drawn(), "figure.png"),
        (types.SimpleNamespace(figure=Drawn()), "figure.png"),
        (types.SimpleNamespace(figure=types.SimpleNamespace(figure=Drawn())), "figure.png"),
        (Picture(), "image.png"),
        (Shown(PNG), "image.png"),
        (Shown((PNG, {"width": 1})), "image.png"),
        (Shown(base64.b64encode(PNG).decode()), "image.png"),
    ],
    ids=["figure", "axes", "axes in a part", "image", "shown", "with metadata", "as base64"],
)
def test_a_picture_is_written_as_png(value, name):
    assert one(value) == Attachment(name, "image/png", len(PNG), PNG)
    assert one("ax", {"ax": value}).name == "ax.png"


@pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None,
    reason="matplotlib is no dependency; a stand-in with savefig goes the same way",
)
def test_a_real_figure_and_its_axes_are_written_as_png():
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots()
    inner = figure.add_gridspec(1, 2)
    part = figure.add_subfigure(inner[0]).subplots()

    for value in (figure, axes, part):
        assert one(value).content.startswith(PNG[:8])


@pytest.mark.skipif(
    importlib.util.find_spec("PIL") is None,
    reason="Pillow is no dependency; a stand-in with save goes the same way",
)
def test_a_real_image_is_written_as_png():
    from PIL import Image

    assert one(Image.new("RGB", (2, 2))).content.startswith(PNG[:8])


def test_a_real_image_of_ipython_is_attached():
    from IPython.display import Image

    assert one(Image(data=PNG)).content == PNG


@pytest.mark.parametrize("png", [None, b"", b"GIF89a", "not base64!", 7])
def test_what_shows_no_picture_is_refused(png):
    assert "could not be written as PNG" in refusal(Shown(png))


def test_an_object_that_fails_to_write_itself_is_refused_in_one_line():
    class Failing:
        def savefig(self, file, format):  # noqa: A002, ARG002
            raise RuntimeError("no\nbackend")

    told = refusal("fig", {"fig": Failing()})
    assert "fig (Failing) could not be written as PNG (no backend)" in told


def test_a_table_that_cannot_be_utf_8_is_refused():
    half = pd.Series(["\ud800"], dtype="object")  # pandas' own strings can't hold it

    assert "as CSV" in refusal(pd.DataFrame({"x": half}))


@pytest.mark.parametrize(
    "value", [3, None, object(), [FRAME], {"a": 1}, io.BytesIO(b"x"), pd.DataFrame, Drawn, print]
)
def test_another_object_is_refused_and_told_what_is_supported(value):
    told = refusal(value)

    assert "cannot be attached" in told
    assert "DataFrame" in told
    assert "x (" in refusal("x", {"x": value})


def test_no_library_is_imported_to_look_at_an_object():
    code = (
        "import sys; from swiftask_jupyter.prompts.attachments import gather\n"
        "gather([('a.csv', b'x'), 'https://host/a.csv'], {})\n"
        "try: gather([3], {})\n"
        "except Exception: pass\n"
        "assert not {'pandas', 'numpy', 'matplotlib', 'PIL'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", code], check=True)


# URLs


def test_a_url_is_passed_on_by_reference():
    url = "https://host/files/Bilan%20%C3%A9t%C3%A9.pdf?sig=a%2Fb#p"

    assert one(url) == Attachment("Bilan été.pdf", "application/pdf", 0, url=url)


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
def test_the_name_of_a_url_is_the_end_of_its_path(url, name, type_):
    found = one(url)

    assert (found.name, found.type, found.url) == (name, type_, url.strip())


def test_a_url_with_the_letters_of_a_glob_is_a_url():
    assert one("https://host/a*[1].csv?x=*").url == "https://host/a*[1].csv?x=*"


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
    told = refusal(url)

    assert "user name or password" in told
    assert "hunter2" not in told


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
def test_another_scheme_is_refused(url):
    told = refusal(url)

    assert f"{url.split(':')[0].lower()}: cannot be attached" in told
    assert "http(s)" in told
    assert "hunter2" not in told


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


def test_a_missing_file_is_refused_with_the_closest_name_there(write, folder):
    write("data/Sales_2024.csv")
    write("data/notes.md")

    told = refusal("data/sales_2042.csv", directory=folder)

    assert "there is no file or variable" in told
    assert "did you mean 'Sales_2024.csv'?" in told


def test_with_nothing_close_no_name_is_suggested(write, folder):
    write("notes.md")

    assert "did you mean" not in refusal("sales.csv", directory=folder)
    assert "there is no file" in refusal("nowhere/sales.csv", directory=folder)
    assert "there is no file" in refusal(Path("sales.csv"), directory=folder)


def test_a_link_to_nothing_is_a_missing_file(folder):
    (folder / "link.csv").symlink_to(folder / "gone.csv")

    told = refusal("link.csv", directory=folder)

    assert "there is no file" in told
    assert "did you mean" not in told


@pytest.mark.parametrize("written", ["", "  ", "\n"])
def test_nothing_written_is_refused(written):
    assert "nothing to attach" in refusal(written)


@pytest.mark.parametrize(
    "written",
    ["a\0b", "a\0/*", "\ud800.csv", "\ud800/*", "x" * 5000, "one\ntwo\x1b[31m", "~nobody/x"],
)
def test_what_no_file_can_be_named_is_refused_in_one_short_printable_line(written, folder):
    told = refusal(written, directory=folder)

    assert told.isprintable()
    assert len(told) < 700


def test_a_folder_where_a_file_is_meant_is_refused(folder):
    assert "is a folder, where a file is meant" in refusal(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes on Windows")
def test_a_pipe_is_refused_without_waiting_for_it(folder):
    os.mkfifo(folder / "pipe")

    assert "pipe, where a file is meant" in refusal("pipe", directory=folder)
    assert "no file in" in refusal("p*", directory=folder)


def test_an_unreadable_file_is_refused(write, monkeypatch):
    path = write("a.csv")

    def closed(self, *_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", closed)  # file rights do not stop root

    assert "cannot be read (Permission denied)" in refusal(str(path))


@pytest.fixture
def ten_bytes(monkeypatch):
    monkeypatch.setattr(attachments, "MAX_BYTES", 10)


def test_a_file_of_the_limit_is_attached_and_one_over_it_refused(write, ten_bytes):
    assert one(write("a.txt", b"x" * 10)).size == 10
    assert "'b.txt' is over" in refusal(write("b.txt", b"x" * 11))


def test_bytes_tables_and_pictures_are_held_to_the_limit_too(ten_bytes):
    assert one(("a", b"x" * 10)).size == 10
    assert "is over" in refusal(("a", b"x" * 11))
    assert "over" in refusal(FRAME)
    assert "over" in refusal(Drawn())


def test_a_table_is_not_written_to_its_end_to_find_it_too_big(monkeypatch):
    monkeypatch.setattr(attachments, "MAX_BYTES", 1000)
    file = attachments._Bounded()

    with pytest.raises(OverflowError):
        pd.DataFrame({"x": range(200_000)}).to_csv(file, mode="wb")

    assert len(file.getvalue()) <= 1000


def test_the_limit_is_100_mb():
    assert attachments.MAX_BYTES == 100_000_000


def test_one_refusal_refuses_all(write, folder):
    write("a.csv")

    with pytest.raises(PromptError):
        gather(["a.csv", "b.csv"], {}, folder)


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
def test_a_name_is_cleaned(given_name, name):
    assert one((given_name, b"")).name == name


@given(st.text(st.characters() | st.sampled_from("/\\. \0\n\u202e"), max_size=400))
@example("a" * 199 + " .csv")
@example(" " * 300 + ".")
@example("\x00/\x00")
def test_any_name_becomes_a_plain_base_name(text):
    attachment = one((text, b""))
    name = attachment.name

    assert 0 < len(name) <= MAX_NAME
    assert name.isprintable()
    assert not set(name) & {"/", "\\"}
    assert name not in {".", ".."}
    assert name == name.strip()
    assert one((name, b"")) == attachment


@given(st.text(st.characters(exclude_characters="/\\~"), max_size=60))
def test_any_text_is_attached_or_refused_in_one_line(tmp_path_factory, text):
    told = ""
    try:
        gather([text], {"frame": FRAME}, tmp_path_factory.getbasetemp() / "nowhere")
    except PromptError as error:
        told = str(error)

    assert "\n" not in told
