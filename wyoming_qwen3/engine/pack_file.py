"""A checkpoint's language model as the kernels want it: packed once, kept beside the checkpoint, read in a blink.

Knows upstream's names of tensors, and files. The file is only a cache: it is made anew where it is missing, damaged,
or of other weights or another format, and where it can't be written speech does without.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from .memory import huge_pages
from .packing import BLOCK, interleave, pack
from .weights import weight_files

_LOGGER = logging.getLogger(__name__)

_FORMAT = "1"
"""To be changed with what is packed, how, or under which names."""

_ALIGNMENT = 64
_DTYPES = {"U8": torch.uint8, "F32": torch.float32, "BF16": torch.bfloat16}

_TALKER, _PREDICTOR = "talker.", "talker.code_predictor."

Read = Callable[[str], Tensor]
Tensors = Mapping[str, Tensor]


def is_packed(name: str) -> bool:
    """Whether a tensor of a checkpoint has its place in the pack."""
    parts = ("talker.model.layers.", "talker.model.norm.", "talker.model.codec_embedding.", "talker.codec_head.")
    return name.startswith((*parts, _PREDICTOR))


def packed_tensors(path: Path, bits: int) -> Tensors:
    """What a checkpoint's language model is made of, heads always in 8 bits.

    `talker.N.qkv` and so on are matrices (`.data`, `.scales`), norms and tables of embeddings as they are. Raises
    what safetensors raises of a damaged file, and KeyError where a tensor is missing.
    """
    key = {"format": _FORMAT, "bits": str(bits), "source": _source(path)}
    file = path / f"packed-int{bits}.safetensors"
    if found := _read(file, key):
        return found
    _LOGGER.info("Rounding the weights of %s to %d bits", path.name, bits)
    tensors = dict(_pack(path, bits))
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        save_file(tensors, part, metadata=key)
        part.replace(file)
    except Exception as error:  # safetensors has an error of its own for a full disk or a read-only folder
        part.unlink(missing_ok=True)
        _LOGGER.warning("The rounded weights can't be kept in %s, so each start takes longer: %s", path, error)
        return _gathered(tensors)
    tensors.clear()
    return _read(file, key) or _gathered(dict(_pack(path, bits)))


def _source(path: Path) -> str:
    """Tells weights apart without reading them."""
    stats = [(path / name).stat() for name in weight_files(path)]
    return ",".join(f"{stat.st_size}:{stat.st_mtime_ns}" for stat in stats)


def _pack(path: Path, bits: int) -> Iterator[tuple[str, Tensor]]:
    """Tensors in the order in which a frame reads them."""
    read = _reader(path)
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))["talker_config"]
    predictor = config["code_predictor_config"]
    yield from _stack(read, f"{_TALKER}model.", "talker.", config["num_hidden_layers"], bits)
    yield from _matrix("talker.head", read(f"{_TALKER}codec_head.weight"), 8)
    yield from _stack(read, f"{_PREDICTOR}model.", "predictor.", predictor["num_hidden_layers"], bits)
    for number in range(config["num_code_groups"] - 1):
        yield from _matrix(f"predictor.heads.{number}", read(f"{_PREDICTOR}lm_head.{number}.weight"), 8)
    if config["hidden_size"] != predictor["hidden_size"]:
        yield from _matrix("predictor.projection", read(f"{_PREDICTOR}small_to_mtp_projection.weight"), 8)
        bias = read(f"{_PREDICTOR}small_to_mtp_projection.bias").float()
        yield "predictor.projection.bias", F.pad(bias, (0, -len(bias) % BLOCK))
    yield "predictor.tables.0", _as_stored(read(f"{_TALKER}model.codec_embedding.weight"))
    for number in range(config["num_code_groups"] - 1):
        table = read(f"{_PREDICTOR}model.codec_embedding.{number}.weight")
        yield f"predictor.tables.{number + 1}", _as_stored(table)


def _stack(read: Read, source: str, name: str, layers: int, bits: int) -> Iterator[tuple[str, Tensor]]:
    for number in range(layers):
        layer, own = f"{source}layers.{number}.", f"{name}{number}."
        attention, mlp = f"{layer}self_attn.", f"{layer}mlp."
        qkv = torch.cat([read(f"{attention}{part}_proj.weight") for part in "qkv"])
        yield from _matrix(f"{own}qkv", qkv, bits)
        yield from _matrix(f"{own}out", read(f"{attention}o_proj.weight"), bits)
        gate_up = interleave(read(f"{mlp}gate_proj.weight"), read(f"{mlp}up_proj.weight"))
        yield from _matrix(f"{own}gate_up", gate_up, bits)
        yield from _matrix(f"{own}down", read(f"{mlp}down_proj.weight"), bits)
        yield f"{own}attention_norm", read(f"{layer}input_layernorm.weight").float()
        yield f"{own}query_norm", read(f"{attention}q_norm.weight").float()
        yield f"{own}key_norm", read(f"{attention}k_norm.weight").float()
        yield f"{own}mlp_norm", read(f"{layer}post_attention_layernorm.weight").float()
    yield f"{name}norm", read(f"{source}norm.weight").float()


def _matrix(name: str, weight: Tensor, bits: int) -> Iterator[tuple[str, Tensor]]:
    packed = pack(weight, bits)
    yield f"{name}.data", packed.data
    if packed.scales is not None:
        yield f"{name}.scales", packed.scales


def _as_stored(table: Tensor) -> Tensor:
    return table.clone() if table.dtype == torch.bfloat16 else table.float()


def _reader(path: Path) -> Read:
    """Reads a tensor by its name; files are opened anew each time, so that nothing stays mapped."""
    homes: dict[str, Path] = {}
    for file in (path / name for name in weight_files(path)):
        with safe_open(file, framework="pt") as content:
            homes |= dict.fromkeys(content.keys(), file)

    def read(name: str) -> Tensor:
        with safe_open(homes[name], framework="pt") as content:
            tensor: Tensor = content.get_tensor(name)
            return tensor

    return read


def _read(file: Path, key: Mapping[str, str]) -> Tensors | None:
    """Content of a cache file, if it is whole and of this key."""
    try:
        with file.open("rb") as source:
            length = int.from_bytes(source.read(8), "little")
            header: dict[str, Any] = json.loads(source.read(min(length, file.stat().st_size)))
            if header.pop("__metadata__", None) != dict(key):
                return None
            start = source.tell()
            places = {name: entry["data_offsets"] for name, entry in header.items()}
            if start + max(end for _, end in places.values()) != file.stat().st_size:
                return None
            tensors = _rooms({name: (_DTYPES[entry["dtype"]], entry["shape"]) for name, entry in header.items()})
            for name, tensor in tensors.items():
                source.seek(start + places[name][0])
                source.readinto(tensor.view(torch.uint8).numpy().data)
            return tensors
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _LOGGER.warning("%s can't be read, and is made anew: %s", file, error)
        return None


def _gathered(tensors: Tensors) -> Tensors:
    """The same tensors in memory of their own."""
    rooms = _rooms({name: (tensor.dtype, list(tensor.shape)) for name, tensor in tensors.items()})
    for name, tensor in tensors.items():
        rooms[name].copy_(tensor)
    return rooms


def _rooms(shapes: Mapping[str, tuple[torch.dtype, list[int]]]) -> dict[str, Tensor]:
    """Tensors of these types and shapes, as yet without content, one behind the other in huge pages."""
    sizes = {
        name: -(-dtype.itemsize * prod(shape) // _ALIGNMENT) * _ALIGNMENT for name, (dtype, shape) in shapes.items()
    }
    whole = huge_pages(sum(sizes.values()))
    place = 0
    rooms = {}
    for name, (dtype, shape) in shapes.items():
        rooms[name] = whole[place : place + dtype.itemsize * prod(shape)].view(dtype).view(shape)
        place += sizes[name]
    return rooms
