"""Logins: a typed token is kept for its host, in the keyring if there is one."""

import sys
import types
from importlib.machinery import ModuleSpec

import pytest

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.settings.login import Logins


@pytest.fixture
def keyring(monkeypatch):
    """A stand-in for the optional package `keyring`; returns the passwords it holds."""
    package, passwords = types.ModuleType("keyring"), {}
    package.__spec__ = ModuleSpec("keyring", None)
    package.errors = types.ModuleType("keyring.errors")
    package.errors.KeyringError = type("KeyringError", (Exception,), {})
    package.set_password = lambda service, name, value: passwords.update({(service, name): value})
    package.get_password = lambda service, name: passwords.get((service, name))
    monkeypatch.setitem(sys.modules, "keyring", package)
    monkeypatch.setitem(sys.modules, "keyring.errors", package.errors)
    return passwords


@pytest.fixture
def no_keyring(monkeypatch):
    """Make the package `keyring` look uninstalled."""
    real = sys.modules["importlib.util"].find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *args: None if name == "keyring" else real(name, *args),
    )


def test_a_token_is_returned_for_its_own_host_only(no_keyring):
    logins = Logins()

    assert logins.keep("a.example", " t0ken ") is False
    assert (logins.token("a.example"), logins.token("b.example")) == ("t0ken", None)


def test_a_token_in_the_keyring_outlives_the_process(keyring):
    assert Logins().keep("a.example", "t0ken") is True

    assert Logins().token("a.example") == "t0ken"
    assert keyring == {("swiftask_jupyter", "a.example"): "t0ken"}


def test_a_token_that_a_header_cannot_carry_is_not_kept(no_keyring):
    logins = Logins()

    with pytest.raises(ConfigurationError):
        logins.keep("a.example", "two words")
    assert logins.token("a.example") is None
