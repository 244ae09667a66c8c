"""The errors that reach a client, as one tree of exceptions.

Each class has a stable `code` that clients may rely on. The message is one sentence for a person, without paths or
tracebacks. The surfaces translate these errors into their protocols.
"""


class SpeechError(Exception):
    """Base of all errors. Raised itself only for an internal error without a class of its own."""

    code = "internal_error"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        """`param` is the field of the request that is wrong, if there is one."""
        super().__init__(message)
        self.param = param
        self.utterance = ""
        """What was being spoken when it was raised, as key=value pairs for the log; "" if nothing was."""


# Errors of the caller: the same request will fail again.


class InvalidRequest(SpeechError):
    """The request can't be understood, or a value is out of range."""

    code = "invalid_request"


class VoiceNotFound(InvalidRequest):
    """No voice has that name."""

    code = "voice_not_found"


class ModelNotFound(InvalidRequest):
    """No checkpoint has that name."""

    code = "model_not_found"


class NotFound(InvalidRequest):
    """Nothing that is stored has that ID."""

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
    """The request, or a clip in it, is larger or longer than allowed."""

    code = "payload_too_large"


class TextTimeout(InvalidRequest):
    """The text of an utterance has started, but neither continued nor ended in time."""

    code = "text_timeout"


class NotSupported(InvalidRequest):
    """The request is valid, but this server can't do what it asks for."""

    code = "not_supported"


# Temporary errors: the same request may succeed later.


class Unavailable(SpeechError):
    """Base of the errors that may pass without a change to the request."""

    code = "unavailable"


class QueueFull(Unavailable):
    """The queue of waiting requests is full."""

    code = "queue_full"


class ModelInUse(Unavailable):
    """The checkpoint can't be unloaded because it is in use."""

    code = "model_in_use"


class ModelMissing(Unavailable):
    """The checkpoint is not on disk, and is not being downloaded."""

    code = "model_missing"


class ModelLoading(Unavailable):
    """The checkpoint is being downloaded."""

    code = "model_loading"


class ModelFailed(Unavailable):
    """The checkpoint is on disk but could not be loaded."""

    code = "model_failed"


class ModelDamaged(ModelFailed):
    """Files of the checkpoint are missing, incomplete, or belong to another model."""

    def __init__(self, message: str, *, param: str | None = None, mendable: bool = False) -> None:
        """`mendable` is True if a download would not overwrite files that a person may have put there."""
        super().__init__(message, param=param)
        self.mendable = mendable


class OutOfMemory(Unavailable):
    """Memory ran out while a checkpoint was loaded or was speaking."""

    code = "out_of_memory"


class BackendUnavailable(Unavailable):
    """No server that could speak the text is reachable and has room for another request."""

    code = "backend_unavailable"


class DownloadFailed(Unavailable):
    """The checkpoint could not be downloaded, and a retry will not help until a person changes something."""

    code = "download_failed"
    transient = False


class TransientDownloadFailed(DownloadFailed):
    """The checkpoint could not be downloaded, but a retry may help."""

    transient = True


# Errors of the server, which may come in the middle of speech.


class EngineFailed(SpeechError):
    """The engine process died, or failed in this utterance."""

    code = "engine_failed"


class StorageFailed(SpeechError):
    """The disk is full or can't be written. What was stored before has not changed."""

    code = "storage_failed"


class RunawaySpeech(SpeechError):
    """The generated speech can't be used: it did not end in time, fell silent, or repeated one sound."""

    code = "runaway_speech"
