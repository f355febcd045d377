"""CPU of one of 200 streams at once through one client, beside the same on raw sockets.

Every stream is the same short answer of the sandbox, which runs in another process. CPU is the
asking process's own, all threads; the ledger is written too, as always.
"""

from _measure import child_figures, interleaved, median, sandbox, table

STREAMS = 200
ROUNDS = 5

OURS = f"""
import asyncio, json, os, time, warnings
warnings.simplefilter("error")
from swiftask_jupyter import Swiftask
client = Swiftask(agent="many", dialect="openai")
async def all_at_once():
    return await asyncio.gather(*(client.ask_async(f"number {{n}}") for n in range({STREAMS})))
client.ask("warm")
cpu, wall = time.process_time(), time.perf_counter()
answers = asyncio.run(all_at_once())
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
assert all(answer.text == "word " * 50 for answer in answers)
print(json.dumps({{"cpu": cpu / {STREAMS}, "wall": wall}}))
"""
RAW = f"""
import asyncio, json, os, time
from urllib.parse import urlsplit
port, key = urlsplit(os.environ["SWIFTASK_BASE_URL"]).port, os.environ["SWIFTASK_API_KEY"]
body = json.dumps({{"model": "many", "stream": True,
    "messages": [{{"role": "user", "content": "hello"}}]}}).encode()
head = (f"POST /v1/chat/completions HTTP/1.1\\r\\nHost: x\\r\\nAuthorization: Bearer {{key}}\\r\\n"
    f"Content-Type: application/json\\r\\nContent-Length: {{len(body)}}\\r\\n\\r\\n").encode()
async def one():
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head + body)
    data, text = b"", ""
    while not data.endswith(b"0\\r\\n\\r\\n"):
        data += await reader.read(65536)
    writer.close()
    for line in data.split(b"\\n"):
        if line.startswith(b"data: {{"):
            for choice in json.loads(line[6:])["choices"]:
                text += choice["delta"].get("content") or ""
    return text
async def all_at_once():
    return await asyncio.gather(*(one() for _ in range({STREAMS})))
cpu, wall = time.process_time(), time.perf_counter()
answers = asyncio.run(all_at_once())
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
assert all(answer == "word " * 50 for answer in answers)
print(json.dumps({{"cpu": cpu / {STREAMS}, "wall": wall}}))
"""


def main() -> None:
    """Measure and print."""
    agent = "'many': lambda messages: ['word '] * 50"
    with sandbox(agent) as environment:
        runs = {
            name: lambda code=code: child_figures(code, environment)
            for name, code in {"Swiftask.ask_async": OURS, "raw sockets": RAW}.items()
        }
        taken = interleaved(runs, ROUNDS)
    middle = {
        name: [median([each[key] for each in figures]) for key in ("cpu", "wall")]
        for name, figures in taken.items()
    }
    raw = middle["raw sockets"][0]
    table(
        f"{STREAMS} streams at once: CPU a stream, median of {ROUNDS} processes",
        ["", "CPU ms", "times raw", "all, wall s"],
        [
            [name, f"{cpu * 1000:.2f}", f"{cpu / raw:.1f}", f"{wall:.2f}"]
            for name, (cpu, wall) in middle.items()
        ],
    )


if __name__ == "__main__":
    main()
