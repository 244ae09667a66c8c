"""The files that Home Assistant and Docker read, as these read them."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent.parent
ROOTFS = ROOT / "addon/rootfs"
SERVICES = ROOTFS / "etc/s6-overlay/s6-rc.d"
HEALTHCHECK = ROOTFS / "usr/local/bin/wyoming-qwen3-healthcheck"


def read(name: str) -> Any:
    """A YAML file of the root."""
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


CONFIG: dict[str, Any] = read("config.yaml")

CHOSEN: dict[str, Any] = {
    "model": "1.7B",
    "voice": "uncle_fu",
    "style": "calm and 'friendly'",
    "language": "de",
    "speed": 1.25,
    "voice_fallback": "off",
    "alias": "nova=Anna,onyx=uncle_fu",
    "standby": "only",
    "http_standby": "off",
    "clear_cache": False,
    "quantize": "int4",
    "codec": "int8",
    "start": "asap",
    "max_hold": 3.5,
    "preload": ["voice_design", "base"],
    "hf_endpoint": "https://hf-mirror.example",
    "hf_token": "hf_x",
    "proxy": "socks5h://a:b@127.0.0.1:9",
    "idle_unload": 900,
    "normalize": "units",
    "sentence_pause": 0.35,
    "history": True,
    "history_days": 7,
    "history_entries": 123,
    "history_size": "1.5G",
    "api_key": 'it\'s "quoted" and $HOME `spaced`',
    "backend": "vllm",
    "vllm_url": "http://127.0.0.1:9,http://127.0.0.1:19",
    "vllm_customvoice_url": "http://127.0.0.1:29",
    "vllm_voicedesign_url": "http://127.0.0.1:39",
    "vllm_base_url": "http://127.0.0.1:49",
    "vllm_api_key": "another 'secret'",
    "vllm_fallback": False,
    "log_level": "debug",
}
"""A value for every option, none of them the default where that can be told apart."""
