"""A view of the chat panel without a browser, to test the kernel's half of the panel."""

import json
import threading
import time

WAIT = 60  # seconds


class TreeView:
    """The tree of an answer as a view keeps it; `apply` does what `applyChange` in tree.js does."""

    def __init__(self):
        self.root = {"tag": "", "attrs": {}, "kids": []}

    def apply(self, operations):
        """Apply operations of `patches.py`, after a round trip through JSON."""
        for kind, path, *more in json.loads(json.dumps(operations)):
            node = parent = self.root
            for at in path:
                parent, node = node, node["kids"][at]
            if kind == "+":
                node["text"] += more[0]
            elif kind == "~":
                units = node["text"].encode("utf-16-le")
                kept = units[: len(units) - 2 * more[0]].decode("utf-16-le")
                node["text"] = kept + more[1]
            elif kind == "i":
                node["kids"] += map(view_node, more[0])
            elif kind == "d":
                del node["kids"][more[0] :]
            elif kind == "r":
                parent["kids"][path[-1]] = view_node(more[0])
            elif kind == "h":
                node["attrs"]["runs"] = more[0]


def view_node(node):
    """Turn a node as it is sent into a node of a `TreeView`."""
    if isinstance(node, str):
        return {"text": node}
    tag, *rest = node
    attrs = rest.pop(0) if rest and isinstance(rest[0], dict) else {}
    return {"tag": tag, "attrs": attrs, "kids": [view_node(kid) for kid in rest]}


def text_of(node):
    """Return the text of a view's node."""
    return node["text"] if "text" in node else "".join(map(text_of, node["kids"]))


class HeadlessView:
    """A view without a browser. It sends requests and applies messages as panel.js does.

    Attributes:
        messages: every message for this view, oldest first.
        responses: the responses, by request id.
        revision: the number of the last update.
        state: the last state of the panel.
        order: the keys of the exchanges in order.
        views: the tree of each answer, by key.
        exchanges: all else that was sent of each exchange, by key.
    """

    def __init__(self, panel, name="v"):
        self.panel, self.name = panel, name
        self.messages, self.responses = [], {}
        self.revision, self.state, self.views, self.exchanges = -1, {}, {}, {}
        self.order = []
        self.received = threading.Condition()
        send = panel._channel._send
        panel._channel._send = lambda content, buffers: (
            self.receive(buffers[0]),
            send(content, buffers),
        )

    def request(self, kind, buffers=(), **fields):
        """Send a request and return the response."""
        identity = f"{self.name}{len(self.responses)}"
        request = {"kind": kind, "view": self.name, "id": identity, **fields}
        self.panel._on_request(None, request, list(buffers))
        return self.responses[identity]

    def ask(self, text, agent="", key=None, uploads=()):
        """Ask a question as the composer does, and return the response."""
        return self.request("ask", text=text, agent=agent, key=key, uploads=list(uploads))

    def retry(self, key, agent=""):
        """Ask the question of an exchange again, and wait until the old exchange is gone."""
        self.request("retry", key=key, agent=agent)
        self.wait(lambda: key not in self.order)

    def receive(self, packed):
        """Take a message from the wire."""
        message = json.loads(packed)
        if message.get("view") not in (None, self.name):
            return
        with self.received:
            self.messages.append(message)
            self.apply(message)
            self.received.notify_all()

    def apply(self, message):
        """Apply a message to the copy of the panel."""
        if "id" in message:
            self.responses[message["id"]] = message
        if message["kind"] == "snapshot":
            self.revision, self.state = message["revision"], message["state"]
            self.order = [each["key"] for each in message["exchanges"]]
            self.views = {each["key"]: self.new_view(each) for each in message["exchanges"]}
        elif message["kind"] in ("response", "heartbeat") or self.revision < 0:
            return
        else:
            assert message["revision"] == self.revision + 1
            self.revision = message["revision"]
            getattr(self, f"on_{message['kind']}")(message)

    def new_view(self, exchange):
        """Keep a new exchange and return its tree."""
        view = TreeView()
        view.apply([["i", [], exchange["tree"]]])
        self.exchanges[exchange["key"]] = exchange
        return view

    def on_state(self, message):
        """Keep the panel's state."""
        self.state = message["state"]

    def on_reload(self, _):
        """Request a snapshot."""
        self.request("get_snapshot")

    def on_exchange(self, message):
        """Insert an exchange in its place."""
        exchange = message["exchange"]
        self.order = [key for key in self.order if key not in message["removed"]]
        at = self.order.index(message["after"]) + 1 if message["after"] else 0
        self.order.insert(at, exchange["key"])
        self.views[exchange["key"]] = self.new_view(exchange)

    def on_patch(self, message):
        """Apply the changes of an exchange."""
        key = message["key"]
        self.views[key].apply(message["changes"])
        self.exchanges[key] = {**self.exchanges[key], **message.get("meta", {})}

    def wait(self, condition):
        """Wait until a message makes the condition true."""
        with self.received:
            assert self.received.wait_for(condition, WAIT), self.messages[-5:]

    def wait_for_text(self, number=0):
        """Wait until the answer of that number in the order has text."""
        self.wait(lambda: len(self.order) > number and text_of(self.views[self.order[number]].root))

    def finished(self, count=1):
        """Wait until so many exchanges are shown, all ended and none in flight; return them."""
        self.wait(
            lambda: (
                len(self.order) == count
                and all(self.exchanges[key]["status"] != "running" for key in self.order)
                and not self.state["in_flight"]
            )
        )
        return [self.exchange(key) for key in self.order]

    def exchange(self, key):
        """Return all that is shown of an exchange, the text of the answer included."""
        return {**self.exchanges[key], "tree": None, "text": text_of(self.views[key].root)}


def until(condition):
    """Wait for a condition that no message announces."""
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
