"""CPU of one streamed chunk, from the socket to the caller's loop over events.

The same bytes come as fast as they are read, from a server in another process. CPU is the
reading process's own, all threads, over the whole stream, divided by its chunks.

Targets: at most 2.5 times a raw socket with msgspec; at least 30 times less than the SDK.
"""

from _measure import child_figures, interleaved, median, sandbox, table

CHUNKS = 20_000
ROUNDS = 5

# A server of one purpose: one answer of many chunks, sent as fast as it is taken.
SERVER = f"""
import socket, threading
chunk = (b'data: {{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{{"index":0,"delta":{{"content":"word "}},"finish_reason":null}}]}}\\n\\n')
end = (b'data: {{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{{"index":0,"delta":{{}},"finish_reason":"stop"}}]}}\\n\\ndata: [DONE]\\n\\n')
body = chunk * {CHUNKS} + end
head = (b"HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\nConnection: close\\r\\n"
    b"Content-Length: %d\\r\\n\\r\\n" % len(body))
listening = socket.create_server(("127.0.0.1", 0))
def serve():
    while True:
        connection, _ = listening.accept()
        data = b""
        while b"\\r\\n\\r\\n" not in data:
            data += connection.recv(65536)
        asked, _, begun = data.partition(b"\\r\\n\\r\\n")
        length = asked.lower().partition(b"content-length: ")[2].split(b"\\r")[0]
        while len(begun) < int(length or 0):
            begun += connection.recv(65536)
        if data.startswith(b"GET"):
            connection.sendall(b"HTTP/1.1 404 X\\r\\nContent-Length: 0\\r\\n\\r\\n")
        else:
            connection.sendall(head + body)
        connection.close()
threading.Thread(target=serve, daemon=True).start()
url = "http://127.0.0.1:%d" % listening.getsockname()[1]
"""
MEASURED = """
import json, os, subprocess, sys, time
server = subprocess.Popen([sys.executable, "-c", os.environ["SERVER"] + "print(url, flush=True)\\n"
    "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
url = server.stdout.readline().strip()
{prepare}
def read():
    {read}
read()
cpu = time.process_time()
count = read()
cpu = time.process_time() - cpu
server.stdin.close()
assert count >= {chunks}, count
print(json.dumps({{"us": cpu / count * 1e6}}))
"""
CASES = {
    "Swiftask.stream": (
        (
            "from swiftask_jupyter import Swiftask, Delta\n"
            "client = Swiftask(base_url=url, token='t', agent='m', dialect='openai')"
        ),
        "return sum(type(event) is Delta for event in client.stream('hello'))",
    ),
    "raw socket + msgspec": (
        (
            "import msgspec, socket\nfrom urllib.parse import urlsplit\n"
            "class Delta(msgspec.Struct):\n    content: str | None = None\n"
            "class Choice(msgspec.Struct):\n    delta: Delta\n"
            "class Chunk(msgspec.Struct):\n    choices: list[Choice]\n"
            "decode = msgspec.json.Decoder(Chunk).decode"
        ),
        """connection = socket.create_connection(("127.0.0.1", urlsplit(url).port))
    connection.sendall(b"POST / HTTP/1.1\\r\\n\\r\\n")
    rest, count = b"", 0
    while data := connection.recv(65536):
        *lines, rest = (rest + data).split(b"\\n")
        for line in lines:
            if line.startswith(b"data: {") and decode(line[6:]).choices[0].delta.content:
                count += 1
    connection.close()
    return count""",
    ),
    "httpx + json": (
        "import httpx, json\nclient = httpx.Client(trust_env=False)",
        """count = 0
    with client.stream("POST", url) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                count += bool(json.loads(line[6:])["choices"][0]["delta"].get("content"))
    return count""",
    ),
    "openai SDK": (
        "from openai import OpenAI\nclient = OpenAI(api_key='t', base_url=url)",
        """stream = client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "hello"}], stream=True)
    return sum(bool(chunk.choices[0].delta.content) for chunk in stream)""",
    ),
}


def main() -> None:
    """Measure and print."""
    runs = {}
    with sandbox() as environment:  # for its ledger's folder
        environment["SERVER"] = SERVER
        for name, (prepare, read) in CASES.items():
            code = MEASURED.format(prepare=prepare, read=read, chunks=CHUNKS)
            runs[name] = lambda code=code: child_figures(code, environment)["us"]
        taken = {name: median(values) for name, values in interleaved(runs, ROUNDS).items()}
    ours, raw = taken["Swiftask.stream"], taken["raw socket + msgspec"]
    table(
        f"One chunk: CPU in microseconds, median of {ROUNDS} streams of {CHUNKS:,} chunks",
        ["", "µs", "times raw", "times ours"],
        [[name, f"{us:.2f}", f"{us / raw:.1f}", f"{us / ours:.1f}"] for name, us in taken.items()],
    )


if __name__ == "__main__":
    main()
