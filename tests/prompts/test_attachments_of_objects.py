"""DataFrames, figures, images and bytes are attached as files, up to a size limit."""

import base64
import importlib.util
import io
import subprocess
import sys
import types

import pandas as pd
import pytest

from swiftask_jupyter.prompts import attachments
from swiftask_jupyter.prompts.prompt import Attachment
from tests.support.attaching import FRAME, FRAME_CSV, PNG, attach, refusal


class FakeFigure:
    """A stand-in for a matplotlib Figure."""

    def savefig(self, file, format):  # noqa: A002 - matplotlib's word
        assert format == "png"
        file.write(PNG)


class FakeImage:
    """A stand-in for a PIL image."""

    size, mode = (1, 1), "RGB"

    def save(self, file, format):  # noqa: A002 - Pillow's word
        assert format == "PNG"
        file.write(PNG)


class PngInNotebook:
    """An object that a notebook shows as a PNG."""

    def __init__(self, png):
        self.png = png

    def _repr_png_(self):
        return self.png


def test_a_frame_is_written_as_csv_in_utf_8_with_its_index():
    assert attach(FRAME) == Attachment("table.csv", "text/csv", len(FRAME_CSV), FRAME_CSV)


def test_a_series_is_written_as_csv_too():
    assert attach(FRAME["ville"]).content == FRAME_CSV


def test_all_rows_of_a_frame_are_attached():
    content = attach(pd.DataFrame({"x": range(50_000)})).content

    assert content.count(b"\n") == 50_001
    assert content.endswith(b"49999,49999\n")


def test_a_pair_of_name_and_bytes_is_attached():
    assert attach(("report.pdf", b"%PDF")) == Attachment(
        "report.pdf", "application/pdf", 4, b"%PDF"
    )
    assert attach(("report.pdf", bytearray(b"%PDF"))).content == b"%PDF"


def test_bytes_are_copied_when_they_are_attached():
    content = bytearray(b"then")
    attachment = attach(("a", content))
    content[:] = b"now!"

    assert attachment.content == b"then"


@pytest.mark.parametrize("content", [b"x", bytearray(b"x")])
def test_bytes_without_a_name_are_refused(content):
    assert "needs a name" in refusal(content)
    assert "blob" in refusal("blob", {"blob": content})


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (FakeFigure(), "figure.png"),
        (types.SimpleNamespace(figure=FakeFigure()), "figure.png"),
        (types.SimpleNamespace(figure=types.SimpleNamespace(figure=FakeFigure())), "figure.png"),
        (FakeImage(), "image.png"),
        (PngInNotebook(PNG), "image.png"),
        (PngInNotebook((PNG, {"width": 1})), "image.png"),
        (PngInNotebook(base64.b64encode(PNG).decode()), "image.png"),
    ],
    ids=["figure", "axes", "axes in a subfigure", "image", "shown", "with metadata", "as base64"],
)
def test_a_picture_is_written_as_png(value, name):
    assert attach(value) == Attachment(name, "image/png", len(PNG), PNG)
    assert attach("ax", {"ax": value}).name == "ax.png"


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
        assert attach(value).content.startswith(PNG[:8])


@pytest.mark.skipif(
    importlib.util.find_spec("PIL") is None,
    reason="Pillow is no dependency; a stand-in with save goes the same way",
)
def test_a_real_image_is_written_as_png():
    from PIL import Image

    assert attach(Image.new("RGB", (2, 2))).content.startswith(PNG[:8])


def test_a_real_image_of_ipython_is_attached():
    from IPython.display import Image

    assert attach(Image(data=PNG)).content == PNG


@pytest.mark.parametrize("png", [None, b"", b"GIF89a", "not base64!", 7])
def test_an_object_whose_png_is_invalid_is_refused(png):
    assert "could not be written as PNG" in refusal(PngInNotebook(png))


def test_an_object_whose_writer_fails_is_refused_in_one_line():
    class Failing:
        def savefig(self, file, format):  # noqa: A002, ARG002
            raise RuntimeError("no\nbackend")

    message = refusal("fig", {"fig": Failing()})
    assert "fig (Failing) could not be written as PNG (no backend)" in message


def test_a_table_that_cannot_be_encoded_as_utf_8_is_refused():
    half = pd.Series(["\ud800"], dtype="object")  # pandas' own strings can't hold it

    assert "as CSV" in refusal(pd.DataFrame({"x": half}))


@pytest.mark.parametrize(
    "value",
    [3, None, object(), [FRAME], {"a": 1}, io.BytesIO(b"x"), pd.DataFrame, FakeFigure, print],
)
def test_the_refusal_of_an_unsupported_object_lists_what_is_supported(value):
    message = refusal(value)

    assert "cannot be attached" in message
    assert "DataFrame" in message
    assert "x (" in refusal("x", {"x": value})


def test_attaching_an_object_imports_no_library():
    code = (
        "import sys; from swiftask_jupyter.prompts.attachments import load_attachments\n"
        "load_attachments([('a.csv', b'x'), 'https://host/a.csv'], {})\n"
        "try: load_attachments([3], {})\n"
        "except Exception: pass\n"
        "assert not {'pandas', 'numpy', 'matplotlib', 'PIL'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def ten_bytes(monkeypatch):
    monkeypatch.setattr(attachments, "MAX_BYTES", 10)


def test_a_file_of_the_size_limit_is_attached_and_a_larger_one_is_refused(write, ten_bytes):
    assert attach(write("a.txt", b"x" * 10)).size == 10
    assert "'b.txt' is over" in refusal(write("b.txt", b"x" * 11))


def test_the_size_limit_holds_for_bytes_tables_and_pictures(ten_bytes):
    assert attach(("a", b"x" * 10)).size == 10
    assert "is over" in refusal(("a", b"x" * 11))
    assert "over" in refusal(FRAME)
    assert "over" in refusal(FakeFigure())


def test_writing_a_table_stops_at_the_size_limit(monkeypatch):
    monkeypatch.setattr(attachments, "MAX_BYTES", 1000)
    file = attachments._LimitedBuffer()

    with pytest.raises(OverflowError):
        pd.DataFrame({"x": range(200_000)}).to_csv(file, mode="wb")

    assert len(file.getvalue()) <= 1000


def test_the_limit_is_100_mb():
    assert attachments.MAX_BYTES == 100_000_000
