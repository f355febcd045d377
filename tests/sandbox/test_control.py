"""The sandbox's own routes, for tests in another process."""

import httpx
import pytest

from tests.support.sandbox_requests import COMPLETIONS, HELLO, ask_chat, ask_native, ask_widget


def test_faults_and_requests_are_available_over_http_without_secrets(box, account):
    assert account.post("/sandbox/faults", json={"status": 418, "times": 5}).status_code == 201
    assert account.post(COMPLETIONS, json=HELLO).status_code == 418
    assert account.delete("/sandbox/faults").status_code == 200
    assert account.post(COMPLETIONS, json=HELLO).status_code == 200

    records = account.get("/sandbox/requests")
    assert [each["status"] for each in records.json()] == [418, 200]
    assert box.token not in records.text
    assert httpx.get(box.url + "/sandbox/requests", trust_env=False).status_code == 401


@pytest.mark.parametrize("times", [0, 1.5, "x", True])
def test_times_must_be_a_positive_whole_number(account, times):
    response = account.post("/sandbox/faults", json={"status": 418, "times": times})

    assert response.status_code == 400
    assert "times must be a whole number of at least 1" in response.text


@pytest.mark.parametrize(
    "wanted", [{"nonsense": 1}, {"status": "x"}, {"shape": "round"}, {"delay": "1"}]
)
def test_an_invalid_field_of_a_fault_is_status_400(account, wanted):
    assert account.post("/sandbox/faults", json=wanted).status_code == 400


@pytest.mark.parametrize(
    "wanted",
    [{"usage_shape": "x"}, {"session_type": "bool"}, {"signed_url_key": "u"}, {"soft_error": 1}],
)
def test_an_invalid_field_of_a_native_fault_is_status_400(account, wanted):
    assert account.post("/sandbox/faults", json=wanted).status_code == 400


def test_a_native_fault_can_be_queued_over_http(account):
    assert account.post("/sandbox/faults", json={"dollar_keys": True}).status_code == 201
    assert "$text" in ask_native(account).json()


def test_a_chat_fault_can_be_queued_over_http(account):
    assert account.post("/sandbox/faults", json={"conversation_id_in": "x"}).status_code == 400
    assert account.post("/sandbox/faults", json={"rate_limit": "1"}).status_code == 400
    assert account.post("/sandbox/faults", json={"conversation_id_in": "header"}).status_code == 201
    assert "x-conversation-id" in ask_chat(account, stream=True).headers


def test_a_client_token_is_shown_neither_by_repr_nor_over_http(box, visitor):
    ask_widget(box, visitor)
    bearer = {"Authorization": f"Bearer {box.token}"}
    records = visitor.get("/sandbox/requests", headers=bearer)

    assert box.client_token("echo") not in repr(box.requests) + records.text
    assert "clientToken=..." in records.text
    assert box.requests[0].query == "clientToken=" + box.client_token("echo")


def test_queued_faults_need_the_account_token(visitor):
    assert visitor.post("/sandbox/faults", json={"status": 500}).status_code == 401
    assert visitor.delete("/sandbox/faults").status_code == 401


def test_control_requests_are_not_recorded(box, account):
    account.post("/sandbox/faults", json={"status": 500})
    account.delete("/sandbox/faults")

    assert account.get("/sandbox/requests").json() == []
    assert box.requests == []
