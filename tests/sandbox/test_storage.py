"""The routes of stored files: PUT to a signed URL, GET of the file."""

from swiftask_jupyter.sandbox.faults import Fault
from tests.support.sandbox_requests import signed_urls

TEXT = {"Content-Type": "text/plain"}


def test_a_file_is_put_to_its_signed_url_and_served_under_its_own(visitor):
    urls = signed_urls(visitor)
    put = visitor.put(urls["signedUrl"], content=b"\x00bytes", headers=TEXT)
    got = visitor.get(urls["fileUrl"])

    assert (put.status_code, put.content) == (200, b"")
    assert got.content == b"\x00bytes"
    assert got.headers["content-type"] == "text/plain"
    assert "?" in urls["signedUrl"]
    assert "?" not in urls["fileUrl"]


def test_the_response_can_have_the_keys_that_a_client_saw_instead_of_the_documented_ones(
    box, visitor
):
    """The author of a client saw them: `url` has no signature and takes the PUT."""
    urls = signed_urls(visitor, Fault(signed_url_key="url"), box)
    put = visitor.put(urls["url"], content=b"x", headers=TEXT)

    assert set(urls) == {"url", "fileUrl"}
    assert "?" not in urls["url"]
    assert put.status_code == 200
    assert visitor.get(urls["fileUrl"]).content == visitor.get(urls["url"]).content == b"x"


def test_an_upload_with_an_authorization_header_is_status_400_and_stores_nothing(box, visitor):
    urls = signed_urls(visitor)
    bearer = {"Authorization": f"Bearer {box.token}"}
    refused = visitor.put(urls["signedUrl"], content=b"x", headers=bearer)

    assert refused.status_code == 400
    assert refused.text.startswith("<?xml")
    assert visitor.get(urls["fileUrl"]).status_code == 404
    assert visitor.put(urls["signedUrl"], content=b"x").status_code == 200


def test_a_wrong_or_missing_signature_is_status_403_and_stores_nothing(visitor):
    urls = signed_urls(visitor)
    wrong = [
        urls["signedUrl"] + "0",
        urls["fileUrl"],
        urls["signedUrl"].replace("/files/", "/files/x"),
    ]

    assert [visitor.put(each, content=b"x").status_code for each in wrong] == [403, 403, 403]
    assert visitor.get(urls["fileUrl"]).status_code == 404


def test_a_signed_url_is_valid_for_one_upload(visitor):
    urls = signed_urls(visitor)
    statuses = [visitor.put(urls["signedUrl"], content=each).status_code for each in (b"1", b"2")]

    assert statuses == [200, 403]
    assert visitor.get(urls["fileUrl"]).content == b"1"


def test_a_signed_url_expires(box, visitor):
    urls = signed_urls(visitor, Fault(signed_url_seconds=0), box)
    response = visitor.put(urls["signedUrl"], content=b"x")

    assert response.status_code == 403
    assert "expired" in response.text


def test_a_fault_can_make_an_upload_fail(box, visitor):
    urls = signed_urls(visitor)
    box.fail(Fault(status=503), path="/files/")

    assert visitor.put(urls["signedUrl"], content=b"x").status_code == 503
    assert visitor.put(urls["signedUrl"], content=b"x").status_code == 200


def test_a_file_name_can_have_any_characters(visitor):
    urls = signed_urls(visitor, fileName="../é/%2F?#.txt")

    assert visitor.put(urls["signedUrl"], content=b"x").status_code == 200
    assert visitor.get(urls["fileUrl"]).content == b"x"
    assert visitor.get("/files/nothing/here").status_code == 404


def test_the_newest_file_is_kept_even_if_it_exceeds_the_limit(box, visitor, monkeypatch):
    monkeypatch.setattr("swiftask_jupyter.sandbox.uploads.MAX_BYTES", 10)
    large, later = signed_urls(visitor), signed_urls(visitor)

    visitor.put(large["signedUrl"], content=b"more than 10 bytes")
    assert visitor.get(large["fileUrl"]).status_code == 200

    visitor.put(later["signedUrl"], content=b"few")
    assert visitor.get(later["fileUrl"]).status_code == 200
    assert visitor.get(large["fileUrl"]).status_code == 404


def test_the_oldest_file_is_dropped_when_the_limit_is_reached(box, visitor, monkeypatch):
    monkeypatch.setattr("swiftask_jupyter.sandbox.uploads.MAX_BYTES", 10)
    first, second = signed_urls(visitor), signed_urls(visitor)
    for urls in (first, second):
        visitor.put(urls["signedUrl"], content=b"8 bytes.")

    assert visitor.get(first["fileUrl"]).status_code == 404
    assert visitor.get(second["fileUrl"]).status_code == 200


def test_a_stored_page_can_run_no_script_and_is_not_sniffed(visitor):
    urls = signed_urls(visitor)
    page = {"Content-Type": "text/html"}
    visitor.put(urls["signedUrl"], content=b"<script>alert(1)</script>", headers=page)
    headers = visitor.get(urls["fileUrl"]).headers

    assert headers["content-security-policy"] == "sandbox"
    assert headers["x-content-type-options"] == "nosniff"
