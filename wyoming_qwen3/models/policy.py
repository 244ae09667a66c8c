"""What the manager may do: the part of the settings that concerns checkpoints."""

from dataclasses import dataclass
from pathlib import Path

from wyoming_qwen3.core.checkpoints import Size


@dataclass(frozen=True)
class Policy:
    """What the manager may download and keep in memory."""

    models_dir: Path
    size: Size | None
    """None for the one that the engine process chooses for its device."""

    download: bool = True
    """Whether a request starts the download of the checkpoint that it needs."""

    revision: str = "main"
    idle_unload: float = 0.0
    """Seconds after its last use at which a checkpoint is unloaded; 0 keeps it."""

    memory_budget: int | None = None
    """Limit on the bytes of all checkpoints in memory. None is the memory that the engine finds free."""

    offline: bool = False
    """Whether the hub is never contacted, not even if a person asks for a download."""

    engine: bool = True
    """Whether this server has an engine; without one it needs no checkpoints."""
