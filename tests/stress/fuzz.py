"""Connections that send garbage to a server's Wyoming port, many side by side.

`script/fuzz --connections 100000` starts a server over tiny checkpoints and tells what it held before and after.
"""

import argparse
import asyncio
import contextlib
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from wyoming.client import AsyncClient
from wyoming.info import Describe

from tests.conftest import Server, synthesize
from tests.stress.garbage import Attack, attack
from tests.stress.held import Held, faults_in, grown, settle, tiny_server

PARALLEL = 96
ADDRESSES = 4
"""Of this machine's own, from which they come: less than is taken from one."""

_MAX_SECONDS = 40.0
"""After which a connection that the server has not closed hangs."""

_GROWTH = 12 << 20
"""Bytes of memory that are not yet growth: what was freed is not always given back."""

_MIN_WARM_UP = 1_000


@dataclass
class Outcome:
    """What came of all connections."""

    ends: Counter[str] = field(default_factory=Counter)
    hung: list[str] = field(default_factory=list)
    describes: list[float] = field(default_factory=list)
    """Seconds that a Describe took meanwhile."""

    seconds: float = 0.0

    def slowest(self) -> float:
        """The 99th percentile of Describe."""
        return sorted(self.describes)[int(0.99 * len(self.describes))] if self.describes else 0.0


async def storm(server: Server, connections: int, seed: int) -> Outcome:
    """Have so many connections made and ended, while an honest client asks for the voices."""
    outcome, started = Outcome(), time.monotonic()
    numbers = iter(range(connections))

    async def work(worker: int) -> None:
        for number in numbers:
            garbage = attack(Random(seed * 1_000_003 + number))
            try:
                async with asyncio.timeout(_MAX_SECONDS):
                    outcome.ends[await connect(server, garbage, f"127.0.0.{2 + worker % ADDRESSES}")] += 1
            except TimeoutError:
                outcome.hung.append(f"{number}: {garbage.name}")

    asking = asyncio.create_task(_ask(server, outcome.describes))
    await asyncio.gather(*(work(worker) for worker in range(min(PARALLEL, connections))))
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    outcome.seconds = time.monotonic() - started
    return outcome


async def connect(server: Server, garbage: Attack, address: str) -> str:
    """Make one connection, and return how it ended: left, error, answered, closed or reset."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, local_addr=(address, 0))
    except ConnectionError:
        return "refused"
    try:
        for number, piece in enumerate(garbage.pieces):
            if number:
                await asyncio.sleep(0.002)
            writer.write(piece)
            await writer.drain()
        if garbage.leaves:
            return "left"
        writer.write_eof()
        received = await reader.read(64 << 10)
        while await reader.read(64 << 10):
            pass
    except (ConnectionError, OSError):
        return "reset"
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    if not received:
        return "closed"
    return "error" if b'"type": "error"' in received else "answered"


async def _ask(server: Server, took: list[float]) -> None:
    """Describe ten times a second, for ever."""
    while True:
        started = time.monotonic()
        async with AsyncClient.from_uri(server.uri) as client:
            await client.write_event(Describe().event())
            answer = await client.read_event()
        assert answer is not None
        assert answer.type == "info"
        took.append(time.monotonic() - started)
        await asyncio.sleep(0.1)


def problems(server_log: str, outcome: Outcome, before: Held, after: Held) -> list[str]:
    """What is wrong, in words; nothing if all is well."""
    found = [f"{one} hung" for one in outcome.hung]
    found += faults_in(server_log)
    if after.server_bytes > before.server_bytes + _GROWTH:
        found.append(f"memory grew by {(after.server_bytes - before.server_bytes) / 1e6:.1f} MB")
    found += grown(before, after, "threads", "files", "tasks")
    if outcome.ends["refused"]:
        found.append(f"{outcome.ends['refused']} connections were not taken")
    return found


async def run(server: Server, connections: int, *, seed: int = 1) -> list[str]:
    """Warm up with a tenth of the connections, look, make them all, look again, and print it."""
    await synthesize(server.uri, "Warm.", "ryan-en")
    await storm(server, max(connections // 10, _MIN_WARM_UP), seed + 1)
    await settle(server)
    before = await Held.by(server)
    outcome = await storm(server, connections, seed)
    await settle(server)
    after = await Held.by(server)
    await synthesize(server.uri, "Still here.", "ryan-en")
    ends = ", ".join(f"{count:,} {end}" for end, count in outcome.ends.most_common())
    print(f"{connections:,} connections in {outcome.seconds:.1f} s: {ends}")
    print(f"server memory {before.server_bytes / 1e6:.1f} MB before, {after.server_bytes / 1e6:.1f} MB after")
    for name in ("threads", "files", "tasks"):
        print(f"{name} {getattr(before, name)} before, {getattr(after, name)} after")
    print(f"Describe meanwhile: {len(outcome.describes):,} times, 99 % within {outcome.slowest() * 1e3:.0f} ms")
    return problems(server.log, outcome, before, after)


def main() -> None:
    """Exits with 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="script/fuzz", description="Sends garbage to a server's Wyoming port.")
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tiny_server() as server:
        found = asyncio.run(run(server, given.connections, seed=given.seed))
        print(*found, sep="\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
