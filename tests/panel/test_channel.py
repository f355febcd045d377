"""Channel: the numbered updates that all views of a panel get."""

import json
import threading

from swiftask_jupyter.notebook.panel.channel import Channel
from tests.support.frontends import WAIT


def test_a_heartbeat_never_arrives_before_the_update_whose_number_it_has():
    sent = []

    def send(_, buffers):
        kind = json.loads(buffers[0])["kind"]
        if kind == "state":
            heartbeat.start()
            heartbeat.join(0.1)
        sent.append(kind)

    channel = Channel(send)
    heartbeat = threading.Thread(target=channel.heartbeat)
    channel.broadcast("state")
    heartbeat.join(WAIT)

    assert sent == ["state", "heartbeat"]
