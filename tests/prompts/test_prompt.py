"""Prompts and attachments as values: their digests, and what their repr omits."""

import hashlib

import pytest

from swiftask_jupyter.prompts.prompt import Attachment, Prompt


def test_an_attachment_has_either_content_or_a_url():
    with pytest.raises(ValueError, match="either"):
        Attachment("a", "text/plain", 0)
    with pytest.raises(ValueError, match="either"):
        Attachment("a", "text/plain", 1, b"x", "https://host/a")


def test_empty_content_is_content_not_a_missing_file():
    assert Attachment("a", "text/plain", 0, b"").digest == hashlib.sha256(b"").hexdigest()


def test_the_repr_of_an_attachment_omits_its_content_and_its_fields_are_read_only():
    attachment = Attachment("a", "text/plain", 6, b"secret")

    assert "secret" not in repr(attachment)
    with pytest.raises(AttributeError):
        attachment.name = "b"


def test_the_digest_of_an_attachment_is_the_hash_of_its_content_or_url():
    assert Attachment("a", "t", 1, b"x").digest == hashlib.sha256(b"x").hexdigest()
    url = "https://host/é"
    assert Attachment("a", "t", 0, url=url).digest == hashlib.sha256(url.encode()).hexdigest()


def test_attachments_their_names_and_their_order_change_the_digest_of_a_prompt():
    first, second = Attachment("a", "t", 1, b"x"), Attachment("b", "t", 1, b"y")
    renamed = Attachment("b", "t", 1, b"x")
    digests = {
        Prompt("agent", "hi", attachments=files).digest("native", "host")
        for files in [(), (first,), (second,), (renamed,), (first, second), (second, first)]
    }

    assert len(digests) == 6


def test_the_digest_of_a_prompt_is_the_same_in_every_version():
    """The cache finds answers by digest, also those that an older version has stored."""
    encoded = b'["native","host","agent",[],"hi",[]]'

    assert Prompt("agent", "hi").digest("native", "host") == hashlib.sha256(encoded).hexdigest()
