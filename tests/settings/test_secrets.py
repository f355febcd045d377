"""Secrets: a token is masked wherever a person or a file could see it."""

import pickle

import pytest

from swiftask_jupyter.settings.secrets import Secret


def test_the_repr_and_str_of_a_secret_are_masked():
    secret = Secret("s3cr3t-token")

    assert "s3cr3t" not in f"{secret}{secret!r}"
    assert secret.reveal() == "s3cr3t-token"


def test_a_secret_is_masked_in_a_text_also_when_it_is_url_encoded():
    secret = Secret("s3cr3t+token/")

    assert secret.mask("a s3cr3t+token/ b s3cr3t%2Btoken%2F c") == "a •••• b •••• c"


def test_a_word_too_short_for_a_token_is_not_masked():
    assert Secret("abc").mask("abcdef") == "abcdef"


@pytest.mark.parametrize(("token", "found"), [("s3cr3t-token", True), ("short", False)])
def test_only_a_token_of_eight_characters_or_more_is_searched_for_in_prompts(token, found):
    assert Secret(token).is_in(f"my {token}") == found
    assert Secret(token).is_in(f"my {token}".encode()) == found


def test_a_secret_cannot_be_pickled():
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret("s3cr3t-token"))
