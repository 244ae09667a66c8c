"""The program's entry point: reads the settings and runs a command, of which it imports what that command needs."""

import asyncio
import gc
import importlib
import os
import sys
from pathlib import Path

from .cli.messages import tell
from .cli.options import Settings, parse
from .core.checkpoints import PUBLISHED
from .core.errors import SpeechError, VoiceNotFound
from .core.importing import importing
from .engine.checkpoint import on_disk
from .models.worker import Worker
from .ops.logs import write_lines


def main() -> None:
    """Entry point of the `wyoming-qwen3` command. Exits with 1 on a failure, 2 on a bad option."""
    settings = parse(sys.argv[1:], os.environ)
    os.environ.pop("SUPERVISOR_TOKEN", None)  # child processes do not need it
    quiet = settings.command != "serve" and not settings.chosen & {"log_level", "debug"}
    write_lines("CRITICAL" if quiet else settings.log_level)  # a command says itself what a person needs to know
    if settings.local_files_only:
        os.environ["HF_HUB_OFFLINE"] = "1"  # applies to all child processes
    os.environ.update(_hub_variables(settings))
    _find_room_for_caches(settings.data_dir.absolute())
    try:
        _run(settings)
    except SpeechError as error:
        tell([f"wyoming-qwen3: {error}"])
        sys.exit(2 if isinstance(error, VoiceNotFound) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        gc.freeze()  # else Python looks through everything for garbage before it ends


def _hub_variables(settings: Settings) -> dict[str, str]:
    """Return the environment in which downloads run, as the hub's client reads it."""
    given = {"HF_ENDPOINT": settings.hf_endpoint, "HF_TOKEN": settings.hf_token, "HTTPS_PROXY": settings.proxy}
    return {name: value for name, value in given.items() if value}


def _find_room_for_caches(data_dir: Path) -> None:
    """Put compiled GPU kernels into the data folder, and other caches if the home is unknown or can't be written.

    A new container has the data folder of the last one, but not its home. Without a cache folder numba, which reading
    clips needs, fails. A known home is kept: it may have the hub's token.
    """
    os.environ.setdefault("TRITON_CACHE_DIR", str(data_dir / "cache" / "triton"))
    try:
        home = Path.home()
    except RuntimeError:
        home = data_dir
        os.environ["HOME"] = str(home)
    if not os.access(home, os.W_OK):
        os.environ.setdefault("NUMBA_CACHE_DIR", str(data_dir / "cache" / "numba"))


def _run(settings: Settings) -> None:
    if settings.command == "say" and not (settings.server or settings.show_text):
        asyncio.run(_say(settings))
        return
    if settings.command == "serve":
        with importing():
            from .server import serve  # noqa: PLC0415  it imports much that other commands do without

        asyncio.run(serve(settings))
        return
    with importing():
        from . import commands  # noqa: PLC0415  as above

    match settings.command:
        case "voices":
            asyncio.run(commands.list_voices(settings))
        case "download":
            asyncio.run(commands.download(settings))
        case _ if settings.show_text:
            asyncio.run(commands.show_text(settings))
        case _:
            commands.say_through_server(settings)


async def _say(settings: Settings) -> None:
    """Speak a text on this machine. The standby voice starts while the rest of the program is imported."""
    standby = Worker("standby", settings.engine_arguments)
    starting = asyncio.create_task(standby.start(), name="standby start") if _standby_speaks(settings) else None
    try:
        with importing():
            await asyncio.to_thread(importlib.import_module, f"{__package__}.commands")
        from .commands import say_here  # noqa: PLC0415  imported by the line above

        await say_here(settings, standby)
    finally:
        if starting:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        await standby.stop()


def _standby_speaks(settings: Settings) -> bool:
    """Return whether the standby voice will speak, as far as can be known without reading the text."""
    if settings.standby != "auto" or settings.vllm:
        return settings.standby == "only"
    places = (on_disk.places(settings.models_dir, checkpoint, settings.revision) for checkpoint in PUBLISHED)
    return not any(place.exists() for found in places for place in found)


if __name__ == "__main__":
    main()
