"""Changes a store in processes that are killed, and looks at what each left.

`python -m tests.store.crash FOLDER CHANGE` prints how many were killed. It forks, and so is a program of its own.
"""

import asyncio
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np

from wyoming_qwen3.core.request import ClonePrompt, Reference
from wyoming_qwen3.store.voices.store import VoiceStore
from wyoming_qwen3.store.voices.voice import KeptVoice, Manner, is_id

PROMPT = ClonePrompt(np.linspace(-1, 1, 1024, dtype=np.float32))


def clip(number: int) -> Reference:
    return Reference(np.full(4_000, number / 128, np.float32), 24_000, str(number))


def manner(number: int) -> Manner:
    return Manner(description=str(number))


async def create(store: VoiceStore) -> None:
    await store.create("Other", "profile", manner(9), [clip(1), clip(2)], prompt=("0.6B", PROMPT))


async def overwrite(store: VoiceStore) -> None:
    await store.create("anna", "profile", manner(9), [clip(8), clip(9)], prompt=("0.6B", PROMPT), overwrite=True)


async def change(store: VoiceStore) -> None:
    await store.change(store.get("Anna").id, name="Berta", manner=manner(9))


async def add(store: VoiceStore) -> None:
    await store.add_samples(store.get("Anna").id, [clip(8), clip(9)])


async def take(store: VoiceStore) -> None:
    await store.remove_sample(store.get("Anna").id, store.get("Anna").samples[0].id)


async def delete(store: VoiceStore) -> None:
    await store.delete(store.get("Anna").id)


async def choose(store: VoiceStore) -> None:
    await store.set_default("ryan")


CHANGES: dict[str, Callable[[VoiceStore], Awaitable[None]]] = {
    made.__name__: made for made in (create, overwrite, change, add, take, delete, choose)
}

Seen = tuple[tuple[tuple[str, str, tuple[bytes, ...]], ...], str | None]


async def look(folder: Path) -> Seen:
    """Open the store, and tell all that is in it; nothing else may be on disk."""
    store = VoiceStore(folder)
    await store.open()
    voices = []
    expected = {folder / "default.json"}
    for voice in store.all():
        clips = await store.recordings(voice.id)
        assert [one.text for one in clips] == [sample.text for sample in voice.samples]
        voices.append((voice.name, voice.manner.description, tuple(one.samples.tobytes() for one in clips)))
        expected |= files_of(folder, voice)
    there = {path for path in folder.rglob("*") if path.is_file()}
    assert there <= expected, there - expected
    assert all(is_id(path.name) for path in folder.iterdir() if path.is_dir())
    assert len([path for path in folder.iterdir() if path.is_dir()]) == len(voices)
    default = store.find(store.default) if store.default else None
    return tuple(voices), default.name if default else store.default


def files_of(folder: Path, voice: KeptVoice) -> set[Path]:
    own = folder / voice.id
    prompts = {own / "prompts" / f"{voice.revision}-{size}.safetensors" for size in ("0.6B", "1.7B")}
    samples = {own / "samples" / f"{sample.id}.wav" for sample in voice.samples}
    return {own / "voice.json"} | prompts | samples


async def begin(folder: Path) -> None:
    store = VoiceStore(folder)
    await store.open()
    anna = await store.create("Anna", "profile", manner(1), [clip(1), clip(2)], prompt=("1.7B", PROMPT))
    await store.set_default(anna.id)


async def run(folder: Path, change: Callable[[VoiceStore], Awaitable[None]], act: Callable[[], None]) -> None:
    store = VoiceStore(folder)
    await store.open()
    act()
    await change(store)


def killed(work: Callable[[], None], seconds: float | None = None) -> bool:
    """Do it in a process of its own, killed after a time if not by itself."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def kill_at(touch: int, folder: Path) -> Callable[[], None]:
    """Has the process kill itself where it is about to touch the store's disk for that time."""
    left = [touch]

    def hook(event: str, args: tuple[object, ...]) -> None:
        moves = event in {"os.rename", "os.remove", "os.mkdir", "os.rmdir"}  # some name no folder but its descriptor
        if moves or (event == "open" and str(folder) in str(args[0])):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    return lambda: sys.addaudithook(hook)


def kill_everywhere(folder: Path, name: str) -> int:
    """Kill one change before each of its touches in turn: all is then as before it, or as after it."""
    before, after, place = folder / "before", folder / "after", folder / "place"
    asyncio.run(begin(before))
    shutil.copytree(before, after)
    asyncio.run(run(after, CHANGES[name], lambda: None))
    old, new = asyncio.run(look(before)), asyncio.run(look(after))
    assert old != new
    outcomes = []
    for touch in range(1, 1000):
        shutil.copytree(before, place)
        died = killed(lambda at=touch: asyncio.run(run(place, CHANGES[name], kill_at(at, place))))  # type: ignore[misc]
        seen = asyncio.run(look(place))
        assert seen in (old, new), (touch, seen)
        assert died or seen == new
        outcomes.append(seen)
        shutil.rmtree(place)
        if not died:
            break
    first_new = outcomes.index(new)
    assert set(outcomes[:first_new]) == {old}, "what was done came undone"
    assert set(outcomes[first_new:]) == {new}, "what was done came undone"
    return len(outcomes) - 1


async def live(folder: Path, seed: int) -> None:
    dice = random.Random(seed)
    store = VoiceStore(folder)
    await store.open()
    while True:
        name = dice.choice("abc")
        number = dice.randrange(100)
        await store.create(name, "profile", manner(number), [clip(number)] * dice.randint(0, 3), overwrite=True)
        voice = dice.choice(store.all())
        await store.change(voice.id, manner=manner(dice.randrange(100)))
        await store.add_samples(voice.id, [clip(dice.randrange(100))])
        await store.keep_prompt(voice.id, store.get(voice.id).revision, "0.6B", PROMPT)
        await store.remove_sample(voice.id, store.get(voice.id).samples[0].id)
        if dice.random() < 0.3:
            await store.delete(voice.id)


def kill_anywhen(folder: Path) -> int:
    """Kill a busy process again and again, and start on what the last one left."""
    folder.mkdir()
    store = folder / "store"
    dice = random.Random(0)
    most = 0
    for seed in range(36):
        assert killed(lambda seed=seed: asyncio.run(live(store, seed)), dice.uniform(0.01, 0.08))  # type: ignore[misc]
        voices, _ = asyncio.run(look(store))
        assert len(voices) <= 3
        most = max(most, len(voices))
    assert most, "nothing was ever made"
    return 36


if __name__ == "__main__":
    place = Path(sys.argv[1])
    print(kill_anywhen(place) if sys.argv[2] == "anything" else kill_everywhere(place, sys.argv[2]))
