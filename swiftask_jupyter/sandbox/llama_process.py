"""The process in which llama.cpp runs: it is told what to load, says where it listens, and stays.

A process of its own, because inside the user's (measured): loading holds the GIL for 0.3 to
0.9 s, a forked child that exits normally hangs for ever in a C++ destructor, stopping waits for
the answer under way, and an abort would take the user's variables along.
It is run as a file, so that nothing but llama.cpp is imported; it ends when its input ends, that
is with whoever started it, however that one ends.
"""

import json
import os
import signal
import sys
from typing import Any


def main() -> None:
    """Reads the order (one line of JSON), answers with one line, and waits for the end of input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt of the notebook is not for us
    order = json.loads(sys.stdin.readline())
    try:
        server = load(order)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told to the other side
        reply = {"error": f"{type(error).__name__}: {error}"}
    else:
        reply = {"url": server.listening_address}
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)  # the destructors would wait for an answer under way


def load(order: dict[str, Any]) -> Any:
    """Starts llama.cpp's own server on a free port of this machine, for the holder of the key."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = order["weights"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [order["key"]]
    params.ui = False
    params.verbosity = 0
    params.n_gpu_layers = 0
    params.n_ctx = 8192
    params.n_parallel = 2
    params.cache_ram_mib = 0
    # A prompt is read in batches, and only between two can it be given up: 64 tokens are 0.5 s.
    params.n_batch = params.n_ubatch = 64
    # ggml's threads spin while they wait for each other: two on a busy small machine are slower.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = order["threads"]
    params.warmup = params.fit_params = False
    params.use_jinja = True
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
