"""The Qwen3-TTS engine: combines checkpoints, the decode loop's rows and the codec into an Engine.

Knows which models belong together, and the messages, but not how they travel, credit, or who sent a request.
"""

import contextlib
import logging
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch

from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.cpu_speed import Quantize, quantize_candidates
from wyoming_qwen3.core.errors import EngineFailed, ModelFailed, OutOfMemory
from wyoming_qwen3.core.hardware import Selection
from wyoming_qwen3.core.request import ClonePrompt, CodeArray, Description, Sampling, SpeechRequest, Voice
from wyoming_qwen3.core.speakers import SPEAKERS

from .base import STEP_FAILED, JobStopped, as_speech_error
from .checkpoint.on_disk import checkpoint_name
from .checkpoint.published import Published, open_checkpoint, open_codec, reading
from .chosen_device import ChosenDevice, taken
from .codec.chunks import Codec, FrameDecoder, fingerprint
from .codec.decoder import CodecDecoder
from .codec.gpu_decoder import static_codec
from .codec.thread import CodecThread
from .cpu_quota import usable_threads
from .cpu_speed import Spare, Speeds, measure_speed
from .cuda_graphs import Graphs, Lane, Staging, choose_graphs, streams_of
from .devices import enter, free_memory
from .isolation import DEVICE_LOST
from .kernels.library import load_kernels
from .lm import decode
from .lm.fused.choice import choose_fused, why_no_kernels
from .lm.language_model import LoadedLanguageModel, load_exact, load_int8, load_quantized, load_static
from .out_of_memory import give_back, let_go, ran_out
from .rows import (
    DecodingRow,
    LoadedModel,
    SpeakingRow,
    decode_next_chunk,
    new_sound,
    open_row,
)
from .step import step_rows
from .wire import (
    ClipJob,
    Clone,
    Encode,
    Failed,
    Loaded,
    OnProgress,
    Opening,
    Output,
    Room,
    Submit,
    ignore_progress,
)

_LOGGER = logging.getLogger(__name__)

_WARM_UP_CHUNKS = 3
"""Enough chunks to reach every chunk size."""

CODEC_BITS: Mapping[str, int] = MappingProxyType({"float32": 32, "int16": 16, "int8": 8})
"""How many bits the codec's weights have with kernels, by `--codec`; see CodecDecoder."""

_BESIDE = 1.25
"""Free memory that is wanted to load other weights beside those of a checkpoint, in footprints of its language model.

Only to go back from 4 to 8 bits takes more, up to 1.7."""

_NO_MEMORY = "Memory ran out while this was spoken."


class NativeEngine:
    """Speaks with Qwen3-TTS checkpoints on this machine."""

    fatal = DEVICE_LOST

    def __init__(
        self,
        device: str,
        dtype: str,
        quantize: str = "none",
        threads: int = 0,
        *,
        codec: str = "int16",
        graphs: bool = True,
        models_dir: Path | None = None,
    ) -> None:
        """The arguments are those of the command line.

        `codec` concerns only our kernels: without them, the codec computes in float32. `models_dir` is where it is
        looked up how fast checkpoints are on this CPU, to choose a size.
        """
        lacking = why_no_kernels() if graphs else "--no-graphs goes without them"
        self._device = ChosenDevice(device, dtype, "none" if lacking else quantize)
        self.selection, self.device = self._device.selection, self._device.name
        torch.set_num_threads(threads or usable_threads(torch.get_num_threads()))
        if self.device == "cpu":
            packs = quantize_candidates(quantize) != ("none",)
            self._kernels = load_kernels(torch.get_num_threads()) if packs else None
            self._candidates = quantize_candidates(quantize, kernels=self._kernels is not None)
        else:
            self._kernels = None
            warn_of_refused_weights(quantize, self.selection, lacking)
            self._candidates = (self.selection.quantize,)
        if self._kernels:
            torch.set_num_threads(1)  # torch has little left to do, and its threads would compete with the kernels'
            ways = " or ".join(self._candidates)
            _LOGGER.info("Speaking in %s with %d threads, kernels %s", ways, self._kernels.threads, self._kernels.kind)
            kernels, threads = f"{self._kernels.kind}, codec {codec}", self._kernels.threads
        else:
            kernels, threads = f"PyTorch {self._device.dtype}", torch.get_num_threads()
        self._speeds = Speeds(self._candidates, kernels, threads)
        self._codec_kernels = load_kernels(self._kernels.threads, self._kernels.kind) if self._kernels else None
        self._codec_thread = CodecThread(self._kernels, self._codec_kernels)
        self._codec_bits = CODEC_BITS[codec]
        if self.device == "cpu" and models_dir:
            self.selection = self._speeds.select_size(self.selection, models_dir)
        self._dtype = self._device.dtype
        self._static = self.device.startswith("cuda")
        self._graphs = graphs
        self._fuse = choose_fused(self.device) if graphs else None
        self._streams = streams_of(self.device)
        self._lane = Lane(torch.device(self.device), self._streams)
        """That of loads and jobs, beside which speech goes on."""

        self._copy = Staging(torch.device(self.device)).copy if self._static else None
        self.weight_bytes = self._dtype.itemsize if self.device != "cpu" or self._candidates == ("none",) else 1
        self.batch_invariant = self._kernels is not None
        self._models: dict[Checkpoint, LoadedModel] = {}
        self._footprints: dict[Checkpoint, int] = {}
        self._codecs: dict[bytes, Codec] = {}
        self._speaking_rows: dict[int, SpeakingRow] = {}
        self._decoding_rows: dict[int, DecodingRow] = {}

    def measure(self) -> Room:
        """Return how much memory the device has now; see Room."""
        return self._device.room(sum(self._footprints.values()))

    def load(self, checkpoint: Checkpoint, path: Path, report: OnProgress = ignore_progress) -> Loaded:
        """Read a checkpoint; its footprint does not include a codec that was loaded before.

        `report` is called with the bytes that are rounded or read for our kernels, or with how many GPU kernels are
        compiled. Raises ModelFailed if the checkpoint can't be used, and OutOfMemory if it does not fit; nothing stays
        in memory then.
        """
        self._load(checkpoint, path, self._speeds.choose(path), report)
        return self._loaded(checkpoint)

    def gauge(self, checkpoint: Checkpoint, spare: Spare) -> Loaded | None:
        """Measure on a CPU how fast a checkpoint speaks, unless that is known, and change its weights if others suit.

        Rows that are open keep the weights that they began with. Returns None if `spare` became false before the end,
        and on a GPU. Raises what `load` raises; the checkpoint stays as it is then.
        """
        if checkpoint not in self._models or self.device != "cpu":
            return None
        while True:
            model = self._models[checkpoint]
            path, voice = model.published.path, _any_voice(checkpoint, model.published)
            own = decode.Decoder(model.published, model.decoder.model)
            measure = partial(measure_speed, own, model.codec.decoder, self._codec_thread, voice, spare)
            if not self._speeds.learn(path, model.quantize, measure):
                return None
            better = self._speeds.choose(path)
            if better == model.quantize:
                return self._loaded(checkpoint)
            if free_memory(self.device) < _BESIDE * model.footprint:
                name = model.published.name
                _LOGGER.info("%s is loaded in %s at the next start: memory does not suffice for both", name, better)
                return self._loaded(checkpoint)
            try:
                self._load(checkpoint, path, better, partial(_stop_unless, spare))
            except JobStopped:
                return None

    def _loaded(self, checkpoint: Checkpoint) -> Loaded:
        """Describe a loaded checkpoint."""
        model = self._models[checkpoint]
        weights = str(self._dtype).removeprefix("torch.") if model.quantize == "none" else model.quantize
        speed = self._speeds.known(model.published.path, model.quantize) if self.device == "cpu" else None
        return Loaded(self._footprints[checkpoint], weights, speed)

    def _load(self, checkpoint: Checkpoint, path: Path, quantize: Quantize, report: OnProgress) -> None:
        """Read a checkpoint in these weights; if it is loaded already, new rows use the new ones."""
        enter(self.device)
        free = free_memory(self.device)
        try:
            with self._memory_for(f"{checkpoint.name} does not fit into the free memory."), self._lane.entered():
                loaded, codec, added = self._read(path, quantize, report)
                _warm_up(checkpoint, loaded)
                loaded.decoder.forget()  # so that the lane's memory is in use until the checkpoint is unloaded
                self._lane.finish()
        except Exception:
            self._drop_unused_codecs()
            raise
        before = self._models.get(checkpoint)
        self._models[checkpoint] = LoadedModel(loaded.published, loaded.decoder, codec, quantize, loaded.footprint)
        give_back(self.device)
        footprint = loaded.footprint + added
        if before:
            footprint += self._footprints[checkpoint] - before.footprint
        elif self.device != "cpu":
            footprint = taken(footprint, free, free_memory(self.device))
        self._footprints[checkpoint] = footprint

    def _read(self, path: Path, quantize: Quantize, report: OnProgress) -> tuple[LoadedLanguageModel, Codec, int]:
        """Read language model and codec; the last value is the bytes that the codec adds."""
        # Not side by side: both would keep what they need only while they load. Nor may other work run on a GPU while
        # the codec's steps are captured.
        codec, added = self._codec(path)
        give_back(self.device)
        return self._language_model(path, quantize, report), codec, added

    def unload(self, checkpoint: Checkpoint) -> None:
        """Release a checkpoint's memory, if it is loaded, and its codec's if no other checkpoint uses that."""
        self._models.pop(checkpoint, None)
        self._footprints.pop(checkpoint, None)
        self._drop_unused_codecs()
        give_back(self.device)

    def compute(self, job: ClipJob) -> ClonePrompt | CodeArray:
        """Return a job's result. The encoders are read from disk for each job and dropped afterwards.

        Raises InvalidRequest if the clip can't be used, EngineFailed if the checkpoint is not loaded, ModelFailed if an
        encoder can't be read, and OutOfMemory.
        """
        from .codec.encoder import clone_prompt, encode_clip  # noqa: PLC0415  takes seconds, and only clips need it

        enter(self.device)
        model = self._model(job.checkpoint)
        codec = model.codec.published
        try:
            with self._memory_for("Memory ran out while this recording was processed."), self._lane.entered():
                match job:
                    case Clone(_, reference):
                        dtype = model.decoder.model.talker.dtype
                        return clone_prompt(model.published, codec, reference, self.device, dtype)
                    case Encode(_, samples, sample_rate):
                        return encode_clip(codec, samples, sample_rate, self.device)
        finally:
            give_back(self.device)

    def admit(self, opening: Opening) -> None:
        """Open a row. Raises a SpeechError if it can't be spoken or decoded."""
        try:
            self._admit(opening)
        except OutOfMemory:  # there may be enough now, since the caches were dropped
            self._admit(opening)

    def _admit(self, opening: Opening) -> None:
        model = self._model(opening.checkpoint)
        with self._memory_for(_NO_MEMORY):
            self._take_in(opening, model)

    def _take_in(self, opening: Opening, model: LoadedModel) -> None:
        if isinstance(opening, Submit):
            self._speaking_rows[opening.row] = open_row(model, opening.request, opening.text, live=opening.live)
        else:
            codes = model.codec.take(opening.codes)
            self._decoding_rows[opening.row] = DecodingRow(codes, new_sound(model.codec))

    def add_text(self, row: int, text: str) -> None:
        """Add text to a live row."""
        self._speaking_rows[row].codes.add_text(text)
        self._speaking_rows[row].text += text

    def end_text(self, row: int) -> None:
        """Mark a live row's text as complete."""
        self._speaking_rows[row].codes.end_text()

    def cancel(self, row: int) -> None:
        """Drop a row; does nothing if there is none of this number."""
        self._speaking_rows.pop(row, None)
        self._decoding_rows.pop(row, None)

    def waiting(self, row: int) -> bool:
        """Return whether the row must wait for more of its text."""
        speech = self._speaking_rows.get(row)
        return speech is not None and not speech.codes.can_advance and speech.chunk is None

    def step(self, rows: Collection[int]) -> Iterator[Output]:
        """Advance speaking rows by one frame, all rows of a checkpoint together, and decoding rows by one chunk."""
        groups: dict[LoadedModel, dict[int, SpeakingRow]] = {}
        decoding = {row: self._decoding_rows[row] for row in rows if row in self._decoding_rows}
        for number in rows:  # all looked up first: a row that ends is cancelled while the others go on
            if speech := self._speaking_rows.get(number):
                groups.setdefault(speech.model, {})[number] = speech
        for model, speeches in groups.items():
            yield from self._fail_rows_on_error(speeches, step_rows(model, speeches, self._codec_thread))
        for number, decoding_row in decoding.items():
            yield from self._fail_rows_on_error([number], decode_next_chunk(number, decoding_row))

    def _fail_rows_on_error(self, rows: Collection[int], outputs: Iterator[Output]) -> Iterator[Output]:
        """Yield the outputs of these rows; an error that is not known to be a single row's ends all of them."""
        try:
            with self._memory_for(_NO_MEMORY):
                yield from outputs
        except self.fatal:
            raise
        except Exception as error:
            failure = as_speech_error(error, STEP_FAILED)
            yield from (Failed(row, failure) for row in rows)

    def _model(self, checkpoint: Checkpoint | None) -> LoadedModel:
        model = self._models.get(checkpoint) if checkpoint else None
        if model is None:
            raise EngineFailed("The checkpoint for this request is not loaded.")
        return model

    def _language_model(self, path: Path, quantize: Quantize, report: OnProgress) -> LoadedLanguageModel:
        published = open_checkpoint(path)
        if self._kernels and quantize != "none":
            return load_quantized(published, quantize, self._kernels, report)
        if self._static:
            fuse = partial(self._fuse, report=report) if self._fuse else None
            rounded, graphs = quantize == "int8", self._new_graphs()
            return load_static(published, self.device, self._dtype, graphs, fuse, rounded=rounded, copy=self._copy)
        if quantize == "none":
            return load_exact(published, self.device, self._dtype)
        advice = "compile them with python -m wyoming_qwen3.engine.kernels"
        if quantize == "int4":
            raise ModelFailed(f"--quantize int4 needs the CPU kernels, which are missing: {advice}.")
        _LOGGER.warning("The CPU kernels are missing, so speech is several times slower: %s", advice)
        return load_int8(published)

    @contextlib.contextmanager
    def _memory_for(self, failure: str) -> Iterator[None]:
        """If memory runs out inside, drop all caches and raise OutOfMemory with `failure`."""
        try:
            yield
        except self.fatal:
            raise
        except Exception as error:
            if not ran_out(error):
                raise
            _LOGGER.warning("Memory ran out: %s", error)
            let_go(error)
            for model in list(self._models.values()):  # another thread may add one at any moment
                model.decoder.forget()
                model.codec.forget()
            give_back(self.device)
            raise OutOfMemory(failure) from None

    def _drop_unused_codecs(self) -> None:
        used = {id(model.codec) for model in self._models.values()}
        self._codecs = {key: codec for key, codec in self._codecs.items() if id(codec) in used}

    def _codec(self, path: Path) -> tuple[Codec, int]:
        """Return a checkpoint's codec and the bytes that it adds; all published checkpoints have the same codec."""
        published = open_codec(path / "speech_tokenizer")
        with reading(checkpoint_name(path)):
            key = fingerprint(published.file)
            if codec := self._codecs.get(key):
                return codec, 0
            read = published.decoder(self.device, self._copy)
            decoder = CodecDecoder(read, published.config, kernels=self._codec_kernels, bits=self._codec_bits)
        codec = Codec(self._frame_decoder(decoder), published, self.device)
        _warm_up_codec(codec)
        self._codecs[key] = codec
        return codec, published.decoder_bytes()

    def _frame_decoder(self, decoder: CodecDecoder) -> FrameDecoder:
        """Return the decoder for this device: with CUDA graphs on a GPU."""
        return static_codec(decoder, self._new_graphs(), self._streams) if self._static else decoder

    def _new_graphs(self) -> Graphs:
        """Return new graphs for steps that are replayed one after the other."""
        return choose_graphs(self.device, wanted=self._graphs, streams=self._streams)


def _warm_up(checkpoint: Checkpoint, loaded: LoadedLanguageModel) -> None:
    """Generate a few frames and discard them, because first calls allocate memory and choose kernels.

    The frames are not decoded: other rows may be using a shared codec at the same time.
    """
    request = SpeechRequest(_any_voice(checkpoint, loaded.published), sampling=Sampling(temperature=0.0, max_frames=3))
    row = loaded.decoder.admit(request, text="Ready.")
    while row.ending is None:
        for frame in loaded.decoder.step([row]):
            if frame.error:
                raise frame.error


def _warm_up_codec(codec: Codec) -> None:
    """Decode a few chunks and discard them, for a codec that no row uses yet."""
    sound = new_sound(codec)
    for _ in range(_WARM_UP_CHUNKS):
        sound.decode(torch.zeros(sound.wanted, codec.published.config.num_quantizers, dtype=torch.int64))


def _any_voice(checkpoint: Checkpoint, published: Published) -> Voice:
    match checkpoint.kind:
        case "custom_voice":
            return SPEAKERS[0]
        case "voice_design":
            return Description("A calm voice.")
        case "base":
            hidden = published.config.talker_config.hidden_size
            return ClonePrompt(np.zeros(hidden, dtype=np.float32))


def _stop_unless(spare: Spare, _done: int, _total: int) -> None:
    """Stop a load, when it reports, that nothing needs to wait for."""
    if not spare():
        raise JobStopped("This was stopped.")


def warn_of_refused_weights(wanted: str, selection: Selection, lacking: str | None) -> None:
    """Log where a GPU can't have the weights that are wanted.

    `lacking` is why there are no fused kernels, which 8-bit weights need on a GPU; None if there are.
    """
    if wanted == "int8" and selection.quantize == "none":
        reason = lacking or f"they don't run on {selection.device}"
        _LOGGER.warning("--quantize int8 needs the fused kernels (%s); weights are used as they are", reason)
    if wanted == "int4":
        _LOGGER.warning("--quantize int4 works on CPUs only; weights are used as they are")
