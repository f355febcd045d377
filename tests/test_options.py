"""The options of `Swiftask` and `Session`: signatures, help, refusals, and what is sent."""

import inspect
import pydoc
import threading
from typing import Unpack, get_args

import pytest
from IPython.core.completer import provisionalcompleter

from swiftask_jupyter import Sandbox, Session, Swiftask, errors
from swiftask_jupyter.batch.options import BatchSettings
from swiftask_jupyter.options import (
    AskOptions,
    BatchOptions,
    CallOptions,
    CellOptions,
    ChatOptions,
    PurgeOptions,
    RequestOptions,
    UsageOptions,
    check_options,
    options_of,
    type_of,
    with_options,
)
from swiftask_jupyter.prompts.prompt import compose
from swiftask_jupyter.sandbox.agents import Agent
from tests.support.cells import posts

KINDS = (
    AskOptions,
    BatchOptions,
    CallOptions,
    CellOptions,
    ChatOptions,
    PurgeOptions,
    RequestOptions,
    UsageOptions,
)


@with_options(AskOptions)
def ask(text: str, agent: str | None = None, **given: Unpack[AskOptions]) -> "Answer":  # noqa: F821
    """Ask an agent.

    Args:
        text: the prompt.
        agent: the slug.
        **options: see `AskOptions`.

    Raises:
        Refused: nothing was sent.
    """
    return text, agent, given


def test_a_signature_shows_each_keyword_with_its_type_and_default():
    parameters = inspect.signature(ask).parameters

    assert list(parameters)[:4] == ["text", "agent", "connection", "dialect"]
    assert str(parameters["timeout"]) == "timeout: float | None = None"
    assert str(parameters["history"]) == "history: bool = True"
    assert str(parameters["last"]) == "last: int | None = None"
    assert parameters["cache"].kind is inspect.Parameter.KEYWORD_ONLY
    assert "options" not in parameters
    assert str(inspect.signature(ask)).endswith("**request_fields: object) -> Answer")


def test_a_bound_method_has_the_signature_without_self():
    class Client:
        @with_options(ChatOptions)
        def chat(self, **given: Unpack[ChatOptions]) -> None: ...

    shown = str(inspect.signature(Client().chat)).replace("Optional[str]", "str | None")

    assert shown == (
        "(*, session: str | None = None, enter_sends: bool = True, transcript: bool = True) -> None"
    )
    assert str(inspect.signature(Client.chat)).startswith("(self, *, session")


def test_help_explains_each_keyword_where_the_docstring_says_so():
    text = pydoc.plain(pydoc.render_doc(ask))

    for name, option in options_of(AskOptions).items():
        assert f"{name}: {option.help}.\n" in text
    assert "**options" not in text
    arguments = text.partition("Args:")[2]
    assert (
        arguments.index("agent: the slug") < arguments.index("docs: ") < arguments.index("Raises:")
    )


METHODS = {
    RequestOptions: (Swiftask.ask, Swiftask.stream, Swiftask.ask_async, Swiftask.stream_async,
                     Swiftask.dry_run),
    AskOptions: (Session.ask, Session.stream, Session.ask_async, Session.stream_async,
                 Session.dry_run),
    BatchOptions: (Swiftask.map, Swiftask.map_async),
    ChatOptions: (Swiftask.chat,),
    UsageOptions: (Swiftask.usage,),
    PurgeOptions: (Swiftask.purge,),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "method"),
    [(kind, method) for kind, methods in METHODS.items() for method in methods],
    ids=lambda value: getattr(value, "__qualname__", value),
)
def test_every_public_method_shows_its_options(kind, method):
    parameters = inspect.signature(method).parameters

    for name, option in options_of(kind).items():
        assert parameters[name].default == option.default
        assert f"{name}: {option.help}." in method.__doc__


def test_tab_offers_the_keywords_of_a_method(shell, client):
    shell.user_ns.update(client=client, session=client.session())

    def offered(text):
        with provisionalcompleter():
            return {each.text for each in shell.Completer.completions(text, len(text))}

    assert {"timeout=", "temperature="} <= offered('client.ask("hello", te') | offered(
        'client.ask("hello", ti'
    )
    assert "fresh=" in offered('session.ask("hello", fr')
    assert "pilot=" in offered('client.map(None, "hello", pi')


def test_a_decorated_method_is_called_as_before():
    assert ask("hello", top_p=1, fresh=True) == ("hello", None, {"top_p": 1, "fresh": True})


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_has_a_type_one_line_of_help_and_a_fitting_default(kind):
    for name, option in options_of(kind).items():
        assert option.help
        assert "\n" not in option.help + option.flag_help
        assert not option.help.endswith(".")
        allowed = get_args(type_of(kind, name)) or (type_of(kind, name),)
        assert option.default in {None, ()} or type(option.default) in allowed or option.choices


def test_the_code_takes_exactly_the_options_that_are_listed():
    ours = {name for name, option in options_of(RequestOptions).items() if not option.is_field}
    batch = set(options_of(BatchOptions)) - set(options_of(CallOptions))
    composed = set(inspect.signature(compose).parameters) - {"agent", "text", "other_fields"}

    assert composed == ours - {"connection", "dialect", "cache"}
    assert set(BatchSettings.__struct_fields__) - {"agent", "options"} == batch | {"cache"}


def test_the_defaults_of_a_batch_are_those_that_are_listed():
    listed = {name: option.default for name, option in options_of(BatchOptions).items()}

    for name in set(BatchSettings.__struct_fields__) - {"agent", "options"}:
        assert getattr(BatchSettings(), name) == listed[name]


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("history", RequestOptions, r"history is an option of Session.ask; .*session\(name\).ask"),
        ("concurrency", AskOptions, "concurrency is an option of Swiftask.map"),
        (
            "dry_run",
            AskOptions,
            r"dry_run is no keyword; write swiftask.dry_run\(…\), or --dry-run",
        ),
        ("session", RequestOptions, "or -s NAME in a cell"),
        ("slot", AskOptions, "slot is no option; leave it out"),
        ("surface", BatchOptions, "surface is no option"),
        ("tiemout", RequestOptions, "no option tiemout; did you mean timeout"),
        ("Files", RequestOptions, "did you mean files"),
        ("concurency", BatchOptions, "did you mean concurrency"),
        ("agents", RequestOptions, "did you mean agent"),
    ],
)
def test_a_misplaced_or_misspelt_keyword_is_refused_in_one_line(name, kind, message):
    with pytest.raises(errors.ConfigurationError, match=message):
        check_options({name: 1}, kind)


@pytest.mark.parametrize("name", ["history", "fresh", "slot", "surface", "aside", "concurrency"])
def test_an_option_of_another_method_is_refused_and_nothing_is_sent(client, box, name):
    with pytest.raises(errors.ConfigurationError, match=f"^{name} is "):
        client.ask("hello", **{name: 1})
    assert box.requests == []


@pytest.mark.parametrize("name", ["slot", "surface", "aside", "concurrency", "dry_run"])
def test_a_conversation_refuses_what_is_no_option_of_its_own(client, box, name):
    with pytest.raises(errors.ConfigurationError, match=f"^{name} is "):
        client.session().ask("hello", **{name: 1})
    assert box.requests == []


@pytest.mark.parametrize(
    ("method", "name", "message"),
    [
        ("usage", "sesion", "no option sesion; did you mean session"),
        ("usage", "top_p", "no option top_p; options: since, agent, "),
        ("chat", "enter_send", "no option enter_send; did you mean enter_sends"),
        ("chat", "history", "no option history; options: session, "),
    ],
)
def test_a_method_that_sends_nothing_refuses_every_unknown_keyword(client, method, name, message):
    with pytest.raises(errors.ConfigurationError, match=message):
        getattr(client, method)(**{name: 1})


@pytest.mark.parametrize("name", ["top_k", "top_p", "min_tokens", "max_new_tokens", "sessionId"])
def test_any_other_keyword_is_a_field_of_the_request(name):
    check_options({name: 1}, RequestOptions)


def test_fields_are_sent_unchanged_whatever_they_are_called(client):
    body = client.dry_run("hello", fields={"top_p": 0.9, "schema": "x"}, temperature=0).body

    assert (body["top_p"], body["schema"], body["temperature"]) == (0.9, "x", 0)
    assert "fields" not in body


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fields": ["top_p"]}, "fields must be a mapping, not list"),
        ({"fields": {"model": "x"}}, "model is not yours to set"),
        ({"fields": {"top_p": 1}, "top_p": 2}, "top_p is given twice"),
        ({"docs": "quick"}, "no docs mode 'quick'; there is: simple, advanced"),
    ],
)
def test_impossible_fields_are_refused(client, box, given, message):
    with pytest.raises(errors.ConfigurationError, match=message):
        client.ask("hello", **given)
    assert posts(box) == []


def test_docs_sets_the_services_mode_of_reading_files(client):
    preview = client.dry_run("hello", dialect="native", docs="simple")

    assert preview.body["documentAnalysisMode"] == "SIMPLE"


def test_a_request_times_out_if_the_service_is_silent_and_is_not_repeated():
    released = threading.Event()
    silent = Agent(lambda _: released.wait(30) and "late")
    with (
        Sandbox(agents={"silent": silent}) as box,
        Swiftask(base_url=box.url, token=box.token, dialect="openai") as client,
    ):
        with pytest.raises(errors.TimedOut, match=r"silent for 0\.2 s"):
            client.ask("hello", "silent", timeout=0.2)
        released.set()
        usage = client.usage()

    assert list(usage["status"]) == ["error"]
    assert list(usage["attempts"]) == [1]


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "soon", True, 1e9])
def test_a_timeout_that_makes_no_sense_is_refused(client, box, timeout):
    with pytest.raises(errors.ConfigurationError, match="timeout"):
        client.ask("hello", timeout=timeout)
    assert not posts(box)


@pytest.mark.parametrize("dialect", ["openai", "chat"])
def test_an_answer_in_one_piece_is_requested_if_the_dialect_streams(client, box, dialect):
    for _ in range(2):  # chat streams from its second turn on
        answer = client.session().ask("hello", dialect=dialect, stream=False)

    assert answer.text == "hello"
    assert [seen.json["stream"] for seen in posts(box)] == [False, False]
    assert not any("stream_options" in seen.json for seen in posts(box))
    if dialect == "openai":
        assert answer.usage.source == "api"


def test_a_dialect_that_never_streams_is_sent_no_stream_field(client, box):
    client.ask("hello", dialect="native", stream=False)

    assert "stream" not in posts(box)[0].json


def test_stateless_is_for_v1_and_refused_elsewhere_before_anything_is_sent(client, box):
    client.ask("hello", dialect="openai", stateless=True)
    with pytest.raises(errors.PromptError, match="stateless"):
        client.ask("hello", dialect="native", stateless=True)
    with pytest.raises(errors.PromptError, match="stateless"):
        client.ask("a cat", "image", dialect="auto", stateless=True)

    assert [seen.json.get("stateless") for seen in posts(box)] == [True]
