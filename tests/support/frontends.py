"""A view of a panel without a browser, for tests of the panel's own half."""

import json
import threading
import time

from tests.panel.test_patches import View

WAIT = 60


class Front:
    """A view without a browser: says what a user does, keeps what it is told, as `panel.js`."""

    def __init__(self, panel, name="v"):
        self.panel, self.name = panel, name
        self.told, self.answers = [], {}
        self.rev, self.state, self.views, self.ends = -1, {}, {}, {}
        self.order = []
        self.heard = threading.Condition()
        send = panel._channel._send
        panel._channel._send = lambda content, buffers: (
            self.hear(buffers[0]),
            send(content, buffers),
        )

    def say(self, kind, buffers=(), **fields):
        """Say it, and return the answer."""
        call = {"kind": kind, "view": self.name, "id": f"{self.name}{len(self.answers)}", **fields}
        self.panel._heard(None, call, list(buffers))
        return self.answers[call["id"]]

    def ask(self, text, agent="", key=None, files=()):
        """Ask as the composer does."""
        return self.say("ask", text=text, agent=agent, key=key, files=list(files))

    def hear(self, packed):
        """Take a message as it travelled."""
        message = json.loads(packed)
        if message.get("to") not in (None, self.name):
            return
        with self.heard:
            self.told.append(message)
            self.take(message)
            self.heard.notify_all()

    def take(self, message):
        """Act on a message."""
        if "id" in message:
            self.answers[message["id"]] = message
        if message["kind"] == "snapshot":
            self.rev, self.state = message["rev"], message["state"]
            self.order = [each["key"] for each in message["exchanges"]]
            self.views = {each["key"]: self.fresh(each) for each in message["exchanges"]}
        elif message["kind"] in ("answer", "heartbeat") or self.rev < 0:
            return
        else:
            assert message["rev"] == self.rev + 1
            self.rev = message["rev"]
            getattr(self, f"on_{message['kind']}")(message)

    def fresh(self, told):
        """Begin to keep an exchange."""
        view = View()
        view.apply([["i", [], told["tree"]]])
        self.ends[told["key"]] = told
        return view

    def on_state(self, message):
        """Keep how the panel stands."""
        self.state = message["state"]

    def on_stale(self, _):
        """Ask for all of it."""
        self.say("hello")

    def on_exchange(self, message):
        """Put an exchange in its place."""
        told = message["exchange"]
        self.order = [key for key in self.order if key not in message["gone"]]
        at = self.order.index(message["after"]) + 1 if message["after"] else 0
        self.order.insert(at, told["key"])
        self.views[told["key"]] = self.fresh(told)

    def on_patch(self, message):
        """Apply what has changed."""
        self.views[message["key"]].apply(message["changes"])
        self.ends[message["key"]] = {**self.ends[message["key"]], **message.get("end", {})}

    def wait(self, condition):
        """Wait until a message makes it so."""
        with self.heard:
            assert self.heard.wait_for(condition, WAIT), self.told[-5:]

    def settled(self, count=1):
        """Wait until so many exchanges have ended and the panel is free, and return them."""
        self.wait(
            lambda: (
                len(self.order) == count
                and all(self.ends[key]["status"] != "running" for key in self.order)
                and not self.state["busy"]
            )
        )
        return [self.exchange(key) for key in self.order]

    def exchange(self, key):
        """What is shown of one."""
        return {**self.ends[key], "tree": None, "text": text(self.views[key].root)}


def text(node):
    return node["text"] if "text" in node else "".join(map(text, node["kids"]))


def until(condition):
    """Wait for what no message tells."""
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
