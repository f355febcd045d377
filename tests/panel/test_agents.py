"""AgentChoices: the agents that a panel offers."""

from swiftask_jupyter import Sandbox
from swiftask_jupyter.sandbox.faults import Fault


def test_the_agents_of_the_catalogue_are_offered_and_one_can_be_chosen(view):
    view.request("list_agents")
    assert {"echo", "lorem", "slow"} <= {each["slug"] for each in view.state["agents"]}

    view.request("choose_agent", agent="lorem")

    assert view.state["agent"] == "lorem"
    view.ask("hi")
    assert view.finished()[0]["agent"] == "lorem"


def test_a_service_without_a_catalogue_offers_no_agents_and_is_asked_once(view, box):
    box.fail(Fault(status=404), path="/public/bots", times=None)

    assert "error" not in view.request("list_agents")
    assert "error" not in view.request("list_agents")

    assert view.state["agents"] == []
    assert sum(seen.path == "/public/bots" for seen in box.requests) == 1


def test_agents_are_offered_only_for_the_service_that_has_them(view, client):
    view.request("list_agents")
    with Sandbox(agents={"other": "x"}) as other:
        client.connections.overrides = type(client.connections.overrides)(
            other.url, other.token, "other", "openai"
        )
        view.request("get_snapshot")
        assert view.state["agents"] == []

        view.request("list_agents")

        assert "other" in {each["slug"] for each in view.state["agents"]}
