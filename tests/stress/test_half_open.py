"""Texts that never end hold up nobody, and end in an error."""

from pathlib import Path

from tests.conftest import StartServer, synthesize
from tests.stress.half_open import HalfOpen
from tests.stress.held import OPTIONS, Held, faults_in, grown, metrics, settle

_COUNT = 12


async def test_texts_that_never_end_hold_up_nobody(start_server: StartServer, models_dir: Path) -> None:
    """A session that waits for text has no place; all are ended by the limit, and nothing of them is left."""
    server = start_server("--models-dir", str(models_dir), *OPTIONS, "--text-timeout", "30", "--max-active", "4")
    await synthesize(server.uri, "The front door is open.")
    await settle(server)
    before = await Held.by(server)
    half_open = HalfOpen()
    await half_open.begin(server, _COUNT)
    assert (await metrics(server))["tts_wyoming_connections"] > 4, "They were ended before they waited for text."
    assert (await synthesize(server.uri, "The front door is open.")).types[-1] == "audio-stop"
    assert await half_open.ended() == ["text_timeout closed"] * _COUNT
    await settle(server)
    assert grown(before, await Held.by(server), "threads", "engine_threads", "files", "engine_files", "tasks") == []
    assert faults_in(server.log) == []
