"""Send a prompt for each of 1,000 rows, 32 at once, compared with httpx and the OpenAI client.

Each answer begins after 50 ms. It is one word in one event, as of a classifier, or 50 words in 50
events. CPU time is that of the client process, all threads, divided by the number of rows.
`Swiftask.map` writes each row to the ledger before and after the request. The ideal time is rows x
latency / concurrency; no client can be faster.

Targets: at most 1.5 times the wall time of the fastest httpx variant; at most a third of the CPU
time per row of AsyncOpenAI with `gather`.
"""

import json
import urllib.request

from _measure import child_figures, interleaved, median, sandbox, table

ROWS = 1000
LATENCY = 0.05
CONCURRENCY = 32
ROUNDS = 5
WORD = "yes "
WORDS = (1, 50)

MEASUREMENT = f"""
import asyncio, json, os, time, warnings
warnings.simplefilter("error")
ROWS, CONCURRENCY, ANSWER = {ROWS}, {CONCURRENCY}, {WORD!r} * %d
AGENT = "words%d"
url, key = os.environ["SWIFTASK_BASE_URL"] + "/v1", os.environ["SWIFTASK_API_KEY"]
%s
run("warm", CONCURRENCY)
cpu, wall = time.process_time(), time.perf_counter()
answers = run("row", ROWS)
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
assert answers == [ANSWER] * ROWS, answers[:3]
print(json.dumps({{"cpu": cpu / ROWS, "wall": wall}}))
"""
OURS = """
import uuid
import pandas as pd
from swiftask_jupyter import Swiftask
os.environ["SWIFTASK_STORE"] += uuid.uuid4().hex  # so that no row was answered before
client = Swiftask(agent=AGENT, dialect="openai")
def run(word, rows):
    frame = pd.DataFrame({"number": range(rows)})
    text = word + " {{number}}"
    return list(client.map(frame, text, concurrency=CONCURRENCY, confirm=False).answer)
"""
# The same streams, read as the documentation of httpx shows; a worker for each request in flight.
HTTPX = """
import httpx
head = {"Authorization": f"Bearer {key}"}
runner = asyncio.Runner()
clients = [httpx.AsyncClient(headers=head, trust_env=False, timeout=60) for _ in range(CLIENTS)]
async def ask(client, text):
    body = {"model": AGENT, "stream": True, "messages": [{"role": "user", "content": text}]}
    parts = []
    async with client.stream("POST", url + "/chat/completions", json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                for choice in json.loads(line[6:])["choices"]:
                    parts.append(choice["delta"].get("content") or "")
    return "".join(parts)
async def work(word, rows):
    answers, numbers = [None] * rows, iter(range(rows))
    async def worker(client):
        for number in numbers:
            answers[number] = await ask(client, f"{word} {number}")
    await asyncio.gather(*(worker(clients[n % CLIENTS]) for n in range(CONCURRENCY)))
    return answers
def run(word, rows):
    return runner.run(work(word, rows))
"""
OPENAI = """
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
import httpx
runner = asyncio.Runner()
pool = DefaultAsyncHttpxClient(limits=httpx.Limits(max_connections=CONCURRENCY), timeout=600)
client = AsyncOpenAI(api_key=key, base_url=url, http_client=pool)
async def work(word, rows):
    free = asyncio.Semaphore(AT_ONCE)
    async def ask(number):
        async with free:
            stream = await client.chat.completions.create(model=AGENT, stream=True,
                messages=[{"role": "user", "content": f"{word} {number}"}])
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream
                            if chunk.choices])
    return await asyncio.gather(*(ask(number) for number in range(rows)))
def run(word, rows):
    return runner.run(work(word, rows))
"""
CASES = {
    "Swiftask.map, store on": OURS,
    "httpx, one client": "CLIENTS = 1" + HTTPX,
    "httpx, a client for every 8": "CLIENTS = 4" + HTTPX,
    "httpx, a client for each": f"CLIENTS = {CONCURRENCY}" + HTTPX,
    "AsyncOpenAI, gather, a semaphore": "AT_ONCE = CONCURRENCY" + OPENAI,
    "AsyncOpenAI, gather, a pool": "AT_ONCE = ROWS" + OPENAI,
}


def delay_answers(environment: dict[str, str]) -> None:
    """Make the sandbox wait for the latency before it sends the first byte of each answer."""
    request = urllib.request.Request(
        environment["SWIFTASK_BASE_URL"] + "/sandbox/faults",
        json.dumps({"delay": LATENCY, "times": None}).encode(),
        {"Authorization": f"Bearer {environment['SWIFTASK_API_KEY']}"},
    )
    with urllib.request.urlopen(request) as response:
        assert response.status == 201


def measure(words: int, environment: dict[str, str]) -> None:
    """Run all cases with answers of that many words, and print the medians."""
    runs = {
        name: lambda code=code: child_figures(MEASUREMENT % (words, words, code), environment)
        for name, code in CASES.items()
    }
    medians = {
        name: [median([each[key] for each in figures]) for key in ("cpu", "wall")]
        for name, figures in interleaved(runs, ROUNDS).items()
    }
    ours = medians["Swiftask.map, store on"][0]
    ideal = ROWS * LATENCY / CONCURRENCY
    best = min(wall for name, (_, wall) in medians.items() if name.startswith("httpx"))
    table(
        f"{ROWS:,} rows of {LATENCY * 1000:.0f} ms, {CONCURRENCY} at once,"
        f" {'one piece' if words == 1 else f'{words} pieces'} each:"
        f" median of {ROUNDS} processes",
        ["", "CPU ms a row", "times ours", "wall s", "times ideal", "times best httpx"],
        [
            [
                name, f"{cpu * 1000:.2f}", f"{cpu / ours:.1f}", f"{wall:.2f}",
                f"{wall / ideal:.2f}", f"{wall / best:.2f}",
            ]
            for name, (cpu, wall) in medians.items()
        ],
    )  # fmt: skip


def main() -> None:
    """Measure short and long answers."""
    agents = [f"'words{words}': lambda messages: [{WORD!r}] * {words}" for words in WORDS]
    with sandbox(*agents) as environment:
        delay_answers(environment)
        for words in WORDS:
            measure(words, environment)


if __name__ == "__main__":
    main()
