"""Clone prompts as safetensors, which may come from anybody. Knows neither voices nor folders."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from wyoming_qwen3 import __version__
from wyoming_qwen3.core.checkpoints import SIZES, Size
from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.request import ClonePrompt, CodeArray, FloatArray
from wyoming_qwen3.store.files import storing

from .checks import check_words

MAX_BYTES = 1_000_000
MAX_FRAMES = 400
"""32 seconds of a reference."""

FORMAT = "1"
"""Version of the metadata and tensors. Other versions are refused."""

_CODEBOOKS = 16
_CODES = 2048
"""Entries in each codebook."""

_EMBEDDING = range(16, 8192 + 1)
"""Accepted lengths of a speaker embedding: 1024 in 0.6B, 2048 in 1.7B. The engine checks its own."""


def pack(prompt: ClonePrompt, size: Size) -> bytes:
    """Return the prompt that the Base checkpoint of `size` extracted as the bytes of a safetensors file.

    Tensors are speaker_embedding, float32 [hidden], and codes, int16 [frames, 16], if there are any. Metadata are
    format, size and made_by, and text if there are codes. Raises InvalidRequest for a prompt that `unpack` would
    refuse.
    """
    _check(prompt, size)
    tensors: dict[str, np.ndarray[Any, Any]] = {"speaker_embedding": np.ascontiguousarray(prompt.speaker_embedding)}
    metadata = {"format": FORMAT, "size": size, "made_by": f"wyoming-qwen3 {__version__}"}
    if prompt.codes is not None and prompt.text is not None:
        tensors["codes"] = np.ascontiguousarray(prompt.codes, np.int16)
        metadata["text"] = prompt.text
    return bytes(save(tensors, metadata))


def unpack(data: bytes) -> tuple[ClonePrompt, Size]:
    """Return the prompt in the bytes of a safetensors file, and the size of the checkpoint that extracted it.

    Codes may be int16 or int64 in the file. Raises InvalidRequest for anything that `pack` would not write, and
    StorageFailed if the disk is full.
    """
    if len(data) > MAX_BYTES:
        raise InvalidRequest(_TOO_LARGE, param="prompt")
    # safetensors reads metadata from files only, and a parser of our own might read the header differently.
    with storing(), tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        file.write(data)
        file.flush()
        return load(Path(file.name))


def load(path: Path) -> tuple[ClonePrompt, Size]:
    """Return the same for a file, which must not change meanwhile. Raises InvalidRequest, OSError."""
    if path.stat().st_size > MAX_BYTES:
        raise InvalidRequest(_TOO_LARGE, param="prompt")
    try:
        with safe_open(path, "numpy") as opened:
            return _read(opened)
    except (SafetensorError, ValueError) as error:
        raise InvalidRequest("The clone prompt is not a complete safetensors file.", param="prompt") from error


_TOO_LARGE = f"A clone prompt has at most {MAX_BYTES} bytes."


def _read(opened: Any) -> tuple[ClonePrompt, Size]:
    metadata: Mapping[str, str] = opened.metadata() or {}
    if metadata.get("format") != FORMAT:
        raise InvalidRequest(f"The clone prompt's format must be {FORMAT}.", param="prompt")
    size = next((size for size in SIZES if size == metadata.get("size")), None)
    if size is None:
        raise InvalidRequest(f"The clone prompt's size must be one of {', '.join(SIZES)}.", param="prompt")
    names = set(opened.keys())
    if names not in ({"speaker_embedding"}, {"speaker_embedding", "codes"}):
        raise InvalidRequest("A clone prompt has the tensor speaker_embedding, and codes or nothing.", param="prompt")
    embedding = _tensor(opened, "speaker_embedding", ("F32",), 1)
    codes = _tensor(opened, "codes", ("I16", "I64"), 2).astype(np.int64) if "codes" in names else None
    prompt = ClonePrompt(embedding, codes, metadata.get("text"))
    _check(prompt, size)
    return prompt, size


def _tensor(opened: Any, name: str, dtypes: tuple[str, ...], dimensions: int) -> np.ndarray[Any, Any]:
    described = opened.get_slice(name)
    if described.get_dtype() not in dtypes or len(described.get_shape()) != dimensions:
        raise InvalidRequest(
            f"The clone prompt's {name} must be {' or '.join(dtypes)} in {dimensions} dimension(s).", param="prompt"
        )
    tensor: np.ndarray[Any, Any] = opened.get_tensor(name)
    return tensor


def _check(prompt: ClonePrompt, size: Size) -> None:
    if size not in SIZES:
        raise InvalidRequest(f"The clone prompt's size must be one of {', '.join(SIZES)}.", param="prompt")
    _check_embedding(prompt.speaker_embedding)
    if prompt.codes is not None and prompt.text is not None:
        _check_codes(prompt.codes)
        check_words(prompt.text, "text")


def _check_embedding(embedding: FloatArray) -> None:
    if embedding.dtype != np.float32 or embedding.ndim != 1 or embedding.size not in _EMBEDDING:
        raise InvalidRequest(
            f"A speaker embedding is float32 [{_EMBEDDING[0]} to {_EMBEDDING[-1]}].", param="speaker_embedding"
        )
    if not np.isfinite(embedding).all():
        raise InvalidRequest("A speaker embedding has finite numbers only.", param="speaker_embedding")


def _check_codes(codes: CodeArray) -> None:
    if codes.ndim != 2 or not 1 <= codes.shape[0] <= MAX_FRAMES or codes.shape[1] != _CODEBOOKS:
        raise InvalidRequest(
            f"A clone prompt has 1 to {MAX_FRAMES} frames of {_CODEBOOKS} codes, which is up to 32 seconds.",
            param="codes",
        )
    if not np.issubdtype(codes.dtype, np.integer) or codes.min() < 0 or codes.max() >= _CODES:
        raise InvalidRequest(f"Codes are whole numbers from 0 to {_CODES - 1}.", param="codes")
