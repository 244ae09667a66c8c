"""Everything that can go wrong, as one tree.

Each class has a stable `code` that clients may rely on; the message is one sentence for a person, without paths
or tracebacks. The middle of the program raises these; a surface translates them once into its protocol's error.
"""


class SpeechError(Exception):
    """Root of the tree; raised itself only for a fault of ours that has no better name."""

    code = "internal_error"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        """`param` names the field of the request that is at fault, where one is."""
        super().__init__(message)
        self.param = param


# The caller's fault: the same request will fail again.


class InvalidRequest(SpeechError):
    """The request can't be understood or is out of range."""

    code = "invalid_request"


class VoiceNotFound(InvalidRequest):
    """No voice has that name."""

    code = "voice_not_found"


class ModelNotFound(InvalidRequest):
    """No checkpoint has that name."""

    code = "model_not_found"


class NotFound(InvalidRequest):
    """Nothing that is kept has that id."""

    code = "not_found"


class NameExists(InvalidRequest):
    """Another voice has that name."""

    code = "name_exists"


class LanguageNotSupported(InvalidRequest):
    """Qwen3-TTS does not speak that language."""

    code = "language_not_supported"


class InstructionsNotSupported(InvalidRequest):
    """The checkpoint that would speak can't follow an instruction."""

    code = "instructions_not_supported"


class TooLarge(InvalidRequest):
    """The request, or a clip in it, is larger or longer than is taken."""

    code = "payload_too_large"


class TextTimeout(InvalidRequest):
    """The text of an utterance was begun and neither went on nor ended."""

    code = "text_timeout"


class NotSupported(InvalidRequest):
    """What is asked for makes sense, but this server can't do it."""

    code = "not_supported"


# Not now: the same request may succeed later.


class Unavailable(SpeechError):
    """Root of what may pass by itself."""

    code = "unavailable"


class QueueFull(Unavailable):
    """As many requests wait as may wait."""

    code = "queue_full"


class ModelInUse(Unavailable):
    """The checkpoint can't be unloaded while it speaks."""

    code = "model_in_use"


class ModelMissing(Unavailable):
    """The checkpoint is not on disk, and is not being downloaded."""

    code = "model_missing"


class ModelLoading(Unavailable):
    """The checkpoint is being downloaded."""

    code = "model_loading"


class ModelFailed(Unavailable):
    """The checkpoint is there but could not be loaded."""

    code = "model_failed"


class ModelDamaged(ModelFailed):
    """Files of the checkpoint are missing, cut short or another model's."""

    def __init__(self, message: str, *, param: str | None = None, mendable: bool = False) -> None:
        """`mendable` says whether a download would overwrite nothing that a person may have written."""
        super().__init__(message, param=param)
        self.mendable = mendable


class OutOfMemory(Unavailable):
    """Memory ran out while the checkpoint was loaded or spoke."""

    code = "out_of_memory"


class BackendUnavailable(Unavailable):
    """No server that could speak it can be reached, or takes more."""

    code = "backend_unavailable"


class DownloadFailed(Unavailable):
    """The checkpoint could not be downloaded, and trying again won't help before a person has changed something."""

    code = "download_failed"
    transient = False


class TransientDownloadFailed(DownloadFailed):
    """The checkpoint could not be downloaded now; trying again may help."""

    transient = True


# Our fault, in the middle of speaking.


class EngineFailed(SpeechError):
    """The engine process died, or failed on this utterance."""

    code = "engine_failed"


class StorageFailed(SpeechError):
    """The disk is full or can't be written; what was kept before is as it was."""

    code = "storage_failed"


class RunawaySpeech(SpeechError):
    """The model did not end its speech within the frames that the text can need."""

    code = "runaway_speech"


def from_code(code: str, message: str) -> SpeechError:
    """Rebuild an error that crossed a process boundary as its code and message."""
    return _by_code(SpeechError).get(code, SpeechError)(message)


def _by_code(root: type[SpeechError]) -> dict[str, type[SpeechError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found = _by_code(child) | found  # of classes that share a code, the base stands for it
    return found
