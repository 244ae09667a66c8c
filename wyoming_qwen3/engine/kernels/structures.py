"""The structures that the C++ sources and Python share, and the check that both have the same memory layout.

The code that creates a structure must keep the tensors alive that it points to.
"""

import ctypes
from ctypes import POINTER, Structure, c_char_p, c_float, c_int32, c_int64, c_void_p
from typing import ClassVar


class LinearStruct(Structure):
    """Linear of linear.h."""

    _fields_: ClassVar = [
        ("weights", c_void_p),
        ("scales", c_void_p),
        ("bias", c_void_p),
        ("outputs", c_int32),
        ("inputs", c_int32),
        ("bits", c_int32),
        ("blocks", c_int32),
        ("ahead", c_int32),
    ]


class LayerStruct(Structure):
    """Layer of stack.h."""

    _fields_: ClassVar = [
        ("queries_keys", LinearStruct),
        ("values", LinearStruct),
        ("out", LinearStruct),
        ("gate_up", LinearStruct),
        ("down", LinearStruct),
        ("attention_norm", c_void_p),
        ("query_norm", c_void_p),
        ("key_norm", c_void_p),
        ("mlp_norm", c_void_p),
    ]


class StackStruct(Structure):
    """Stack of stack.h."""

    _fields_: ClassVar = [
        ("layers", POINTER(LayerStruct)),
        ("norm", c_void_p),
        ("cosines", c_void_p),
        ("sines", c_void_p),
        ("count", c_int32),
        ("hidden", c_int32),
        ("inner", c_int32),
        ("heads", c_int32),
        ("kv_heads", c_int32),
        ("head_dim", c_int32),
        ("eps", c_float),
    ]


class TokenStruct(Structure):
    """Token of stack.h."""

    _fields_: ClassVar = [
        ("keys", c_void_p),
        ("values", c_void_p),
        ("capacity", c_int32),
        ("position", c_int32),
    ]


class WarpStruct(Structure):
    """Warp of sampling.h."""

    _fields_: ClassVar = [("temperature", c_float), ("top_p", c_float), ("top_k", c_int32)]


class TableStruct(Structure):
    """Table of kernels.cpp."""

    _fields_: ClassVar = [("rows", c_void_p), ("bfloat16", c_int32)]


class PredictorStruct(Structure):
    """Predictor of kernels.cpp."""

    _fields_: ClassVar = [
        ("stack", StackStruct),
        ("projection", LinearStruct),
        ("heads", POINTER(LinearStruct)),
        ("tables", POINTER(TableStruct)),
        ("codebooks", c_int32),
        ("width", c_int32),
    ]


class ConvolutionStruct(Structure):
    """Convolution of convolution.h."""

    _fields_: ClassVar = [
        ("weights", c_void_p),
        ("scales", c_void_p),
        ("bias", c_void_p),
        ("frequencies", c_void_p),
        ("gains", c_void_p),
        ("inputs", c_int32),
        ("outputs", c_int32),
        ("taps", c_int32),
        ("dilation", c_int32),
        ("period", c_int32),
        ("bits", c_int32),
    ]


class StreamStruct(Structure):
    """Stream of convolution.h."""

    _fields_: ClassVar = [
        ("input", c_void_p),
        ("history", c_void_p),
        ("output", c_void_p),
        ("steps", c_int32),
    ]


class CodecLayerStruct(Structure):
    """CodecLayer of codec_transformer.h."""

    _fields_: ClassVar = [
        ("qkv", ConvolutionStruct),
        ("out", ConvolutionStruct),
        ("gate_up", ConvolutionStruct),
        ("down", ConvolutionStruct),
        ("attention_norm", c_void_p),
        ("mlp_norm", c_void_p),
    ]


class CodecTransformerStruct(Structure):
    """CodecTransformer of codec_transformer.h."""

    _fields_: ClassVar = [
        ("layers", POINTER(CodecLayerStruct)),
        ("norm", c_void_p),
        ("frequencies", c_void_p),
        ("count", c_int32),
        ("hidden", c_int32),
        ("inner", c_int32),
        ("heads", c_int32),
        ("kv_heads", c_int32),
        ("head_dim", c_int32),
        ("window", c_int32),
        ("eps", c_float),
    ]


class PastStruct(Structure):
    """Past of codec_transformer.h."""

    _fields_: ClassVar = [("rows", c_void_p), ("position", c_int64)]


class FieldStruct(Structure):
    """Field of kernels.cpp."""

    _fields_: ClassVar = [("structure", c_char_p), ("name", c_char_p), ("offset", c_int64), ("size", c_int64)]


MIRRORED: tuple[type[Structure], ...] = (
    *(LinearStruct, LayerStruct, StackStruct, TokenStruct, WarpStruct, TableStruct, PredictorStruct),
    *(ConvolutionStruct, StreamStruct, CodecLayerStruct, CodecTransformerStruct, PastStruct),
)


def check_layouts(library: ctypes.CDLL) -> None:
    """Compare sizes and offsets with a library's. Raises OSError if any differ; the message names them."""
    library.fields.restype = POINTER(FieldStruct)
    theirs: dict[str, tuple[int, int]] = {}
    for field in library.fields():
        if field.structure is None:
            break
        theirs[_full(field.structure.decode(), field.name.decode())] = field.offset, field.size
    ours = {}
    for mirrored in MIRRORED:
        ours[_full(mirrored.__name__.removesuffix("Struct"), "")] = 0, ctypes.sizeof(mirrored)
        for name, *_ in mirrored._fields_:
            place = getattr(mirrored, name)
            ours[_full(mirrored.__name__.removesuffix("Struct"), name)] = place.offset, place.size
    if differing := sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)):
        raise OSError(f"the memory layout differs between the library and structures.py: {', '.join(differing)}")


def _full(structure: str, name: str) -> str:
    return f"{structure}.{name}" if name else structure
