"""Run a llama.cpp server in a child process of the sandbox.

The child process runs this file as a script. The script imports only the standard library and
llama.cpp. When the parent process ends, the standard input of the child process closes. The child
process then exits.

The child process avoids problems that were measured with llama.cpp in the user's process:

- Loading the model holds the GIL for 0.3 to 0.9 s.
- A fork of the user's process hangs forever in a C++ destructor when the fork exits normally.
- Stopping the server waits for the answer in progress.
- A crash of llama.cpp (`abort`) loses the user's variables.
"""

import json
import os
import signal
import sys
from typing import Any


def main() -> None:
    """Read the options from standard input, start the server, and print the server's URL.

    The options are one line of JSON. The output is one JSON object with the key "url", or with the
    key "error" if the server did not start. The process exits when standard input is closed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # interrupting the notebook must not end it
    options = json.loads(sys.stdin.readline())
    try:
        server = start_server(options)
    except Exception as error:  # noqa: BLE001 - any error is reported to the parent
        response = {"error": f"{type(error).__name__}: {error}"}
    else:
        response = {"url": server.listening_address}
    sys.stdout.write(json.dumps(response) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)  # the destructors would wait for an answer in progress


def start_server(options: dict[str, Any]) -> Any:
    """Start llama.cpp's HTTP server on a free port of 127.0.0.1 and return the server object.

    Args:
        options: a dict with three keys. "weights" is the path of the model file. "key" is the API
            key that clients must send. "threads" is the number of CPU threads.
    """
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = options["weights"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [options["key"]]
    params.ui = False
    params.verbosity = 0
    params.n_gpu_layers = 0
    params.n_ctx = 8192
    params.n_parallel = 2
    params.cache_ram_mib = 0
    # A prompt can only be cancelled between two of its batches; 64 tokens take 0.5 s.
    params.n_batch = params.n_ubatch = 64
    # ggml's threads spin while they wait for each other: on a busy machine with few cores, two
    # are slower than one.
    threads = options["threads"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.warmup = params.fit_params = False
    params.use_jinja = True
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
