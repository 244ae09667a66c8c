"""Ten mixed clients at one server for a while, and what it held before and after.

`script/soak --minutes 20` starts a server over tiny checkpoints, prints a table, and exits with 1 where something is
wrong.
"""

import argparse
import asyncio
import sys
from dataclasses import dataclass

from tests.conftest import Server
from tests.stress.clients import CLIENTS, Tally, keep_on
from tests.stress.held import Held, faults_in, grown, settle, tiny_server

GROWTH = 25_000_000
"""Bytes by which memory may be more at the end than after the warm-up: what was freed is not always given back."""

DESCRIBE_SECONDS = 0.1
"""Within which 99 % of all Describes are answered."""

OPTIONS = ("--text-timeout", "10")
"""Of its server: what is abandoned is ended before the soak is."""

_MAX_WARM_UP = 120.0


@dataclass(frozen=True)
class Result:
    """What a soak found."""

    tallies: dict[str, Tally]
    before: Held
    after: Held
    log: str

    def problems(self, describe_seconds: float = DESCRIBE_SECONDS) -> list[str]:
        """What is wrong, in words; nothing if all is well."""
        found = [f"{name}: {failure}" for name, tally in self.tallies.items() for failure in tally.failures]
        found += [f"{name} was never answered" for name, tally in self.tallies.items() if not tally.times]
        for name in ("server_bytes", "engine_bytes"):
            before, after = getattr(self.before, name), getattr(self.after, name)
            if after > before + GROWTH:
                found.append(f"{name} grew from {before / 1e6:.1f} to {after / 1e6:.1f} MB")
        found += grown(self.before, self.after, "threads", "engine_threads", "files", "engine_files", "tasks")
        if (slowest := self.tallies["describe"].slowest(0.99)) > describe_seconds:
            found.append(f"1 % of all Describes took longer than {slowest * 1e3:.0f} ms")
        return found + faults_in(self.log)

    def table(self) -> str:
        """For people, in Markdown."""
        lines = ["| Client | Answered | Failed | p50 | p99 |", "|---|---:|---:|---:|---:|"]
        for name, tally in self.tallies.items():
            counts = f"{len(tally.times):,} | {len(tally.failures):,}"
            lines.append(
                f"| {name} | {counts} | {tally.slowest(0.5) * 1e3:,.0f} ms | {tally.slowest(0.99) * 1e3:,.0f} ms |"
            )
        lines += ["", "| Held | After the warm-up | At the end |", "|---|---:|---:|"]
        for name in Held.__dataclass_fields__:
            before, after = getattr(self.before, name), getattr(self.after, name)
            if name.endswith("_bytes"):
                lines.append(f"| {name.removesuffix('_bytes')} memory | {before / 1e6:.1f} MB | {after / 1e6:.1f} MB |")
            else:
                lines.append(f"| {name.replace('_', ' ')} | {before} | {after} |")
        return "\n".join(lines)


async def soak(server: Server, warm_up: float, seconds: float) -> Result:
    """Let all clients ask for `warm_up` seconds, look, let them ask for `seconds` more, and look again."""
    await _all_ask(server, warm_up)
    await settle(server)
    before = await Held.by(server)
    tallies = await _all_ask(server, seconds)
    await settle(server)
    return Result(tallies, before, await Held.by(server), server.log)


async def _all_ask(server: Server, seconds: float) -> dict[str, Tally]:
    until = asyncio.get_running_loop().time() + seconds
    tallies = {client.__name__: Tally() for client in CLIENTS}
    await asyncio.gather(*(keep_on(client, server, tallies[client.__name__], until) for client in CLIENTS))
    return tallies


def main() -> None:
    """Exits with 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="script/soak", description="Has mixed clients use a server for a while.")
    parser.add_argument("--minutes", type=float, default=20.0)
    seconds = parser.parse_args().minutes * 60
    with tiny_server(*OPTIONS) as server:
        result = asyncio.run(soak(server, min(seconds / 5, _MAX_WARM_UP), seconds))
    print(result.table(), *result.problems(), sep="\n")
    sys.exit(bool(result.problems()))


if __name__ == "__main__":
    main()
