"""Native peers on a CPU, from PyPI: vox-tts, which converts the checkpoint itself, and realtimetts-qwen-native-cpu.

The latter loads GGUF files, which only the converter of qwentts.cpp writes, so they must be given.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from wyoming_qwen3.core.errors import InvalidRequest

from .environment import Environment
from .systems import LANGUAGE, SPEAKER, Weights
from .turns import Driver, in_environment

VOX = Environment("vox-tts", "0.19.5", (("vox-tts==0.19.5", "numpy==2.4.6"),))
QWENTTS = Environment("realtimetts-qwen-native-cpu", "0.4.2", (("realtimetts-qwen-native-cpu==0.4.2", "numpy==2.4.6"),))

_DRIVER = Path(__file__).with_name("peer_driver.py")
_QUANT = {"int8": ("--quant", "q8"), "int4": ("--quant", "q4"), "none": ()}
"""The peer's own weights that are nearest to ours; its q4 keeps the predictor in 8 bits."""


def require_cpu(name: str, device: str) -> None:
    """Raise InvalidRequest where the peer is not to be measured: it is compared on a CPU only."""
    if device != "cpu":
        raise InvalidRequest(f"{name} is measured on a CPU only; leave it out of --against.")


@contextmanager
def vox(weights: Weights, tell: Callable[[str], None]) -> Iterator[Driver]:
    """Have vox-tts convert the checkpoint with its own command, and load the result. Raises EngineFailed."""
    VOX.install(tell)
    with TemporaryDirectory(prefix="wyoming-qwen3-bench-vox-") as folder:
        file = Path(folder) / "model.tmod"
        tell("Converting the checkpoint with vox-tts")
        options = ("--dtype", "bf16", *_QUANT[weights.quantize], "--no-hash", "-o", str(file))
        VOX.run(
            [str(VOX.python), "-m", "vox", "build", "--model", str(weights.folder), *options],
            "could not convert the checkpoint",
        )
        with in_environment(VOX, _DRIVER, _job("vox", file)) as turn:
            yield turn


@contextmanager
def qwentts(talker: Path, codec: Path, tell: Callable[[str], None]) -> Iterator[Driver]:
    """Load the GGUF files of a talker and its codec. Raises EngineFailed."""
    QWENTTS.install(tell)
    with in_environment(QWENTTS, _DRIVER, _job("qwentts", talker) | {"codec": str(codec)}) as turn:
        yield turn


def _job(peer: str, file: Path) -> dict[str, str | int]:
    return {
        "peer": peer,
        "file": str(file),
        "threads": torch.get_num_threads(),
        "speaker": SPEAKER,
        "language": LANGUAGE,
    }
