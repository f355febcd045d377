"""The widget's further routes through the sandbox, and downloads of files."""

import pytest

from swiftask_jupyter import errors
from swiftask_jupyter.sandbox.faults import Fault
from tests.support.cells import posts


def test_the_other_routes_of_the_widget_work(widget, box):
    answer = widget.ask("one")
    session = posts(box)[0].json["sessionId"]

    assert isinstance(widget.widget.config(), dict)
    widget.widget.feedback(session, good=True, comment="well done")
    assert widget.widget.conversation(session)
    widget.widget.delete_conversation(session)
    with pytest.raises(errors.ServiceError):
        widget.widget.conversation(session)
    assert answer.text == "one"


def test_an_error_with_a_successful_status_is_an_error(widget, box):
    box.fail(Fault(error_object=True), path="/api/widget/feedback")

    with pytest.raises(errors.ServiceError, match="reported an error") as caught:
        widget.widget.feedback("user-1", good=True)
    assert caught.value.status == 200


def test_a_message_is_rated_as_good_or_bad(widget, box):
    widget.ask("one")
    widget.widget.like(7)
    widget.widget.dislike(7)

    assert [seen.json["feedback"] for seen in posts(box)[1:]] == ["POSITIVE", "NEGATIVE"]


def test_listed_files_and_pictures_in_the_text_can_be_downloaded(swiftask, box):
    listed = swiftask.ask("a cat", "image")
    in_text = swiftask.ask("a cat", "image-markdown")

    for answer in (listed, in_text):
        (file,) = answer.files
        assert swiftask.download(file).startswith(b"\x89PNG")
    fetched = [seen for seen in box.requests if seen.method == "GET"]
    assert not [seen for seen in fetched if "authorization" in seen.headers]


@pytest.mark.parametrize("url", ["http://[::1", "ftp://127.0.0.1/file", "file.png"])
def test_only_web_addresses_are_downloaded(swiftask, url):
    with pytest.raises(errors.ConfigurationError, match=r"only an http\(s\) address"):
        swiftask.download(url)


def test_an_address_that_has_expired_is_an_error_with_advice(swiftask, box):
    with pytest.raises(errors.ServiceError, match="ask for the file again") as caught:
        swiftask.download(f"{box.url}/no-such-file")

    assert caught.value.status == 404
