"""The ids by which `/get_completion` knows the agents."""

import string

from swiftask_jupyter.sandbox.integrations import Integration, derived_id, integrations_for
from swiftask_jupyter.sandbox.server import Sandbox


def test_an_integration_has_the_same_id_in_every_sandbox(box):
    with Sandbox() as other:
        assert other.integration_id("echo") == box.integration_id("echo")
        assert other.agencii_token != box.agencii_token


def test_a_derived_id_has_twenty_letters_and_digits_and_depends_on_every_part():
    ids = {derived_id(*parts) for parts in (("a",), ("b",), ("a", "b"), ("ab",), ("\ud83c",))}

    assert len(ids) == 5
    assert all(len(each) == 20 for each in ids)
    assert set("".join(ids)) <= set(string.ascii_letters + string.digits)
    assert derived_id("a") == derived_id("a")


def test_every_agent_has_one_integration_for_json_and_one_for_text():
    found = integrations_for(["echo", "math"])

    assert sorted(found.values(), key=repr) == [
        Integration("echo", text_only=False),
        Integration("echo", text_only=True),
        Integration("math", text_only=False),
        Integration("math", text_only=True),
    ]
