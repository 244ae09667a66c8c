"""config.yaml and what lies beside it, as a Supervisor reads them."""

import subprocess
from pathlib import PurePosixPath
from typing import Any

import jsonschema_rs
import pytest

from tests.app.files import CHOSEN, CONFIG, ROOT, read
from tests.app.schema import MANIFEST, fits
from wyoming_qwen3 import __version__
from wyoming_qwen3.cli.option_table import OPTIONS
from wyoming_qwen3.cli.options import parse
from wyoming_qwen3.core.speakers import LANGUAGES, SPEAKERS

LANGUAGE_FILES = {"en", "de", "zh-Hans", "ja", "ko", "fr", "ru", "pt", "es", "it"}


def faults(manifest: dict[str, Any]) -> list[str]:
    return [error.message for error in jsonschema_rs.Draft202012Validator(MANIFEST).iter_errors(manifest)]


def test_the_manifest_is_one() -> None:
    assert faults(CONFIG) == []


@pytest.mark.parametrize(
    "key",
    [
        {"watchdog": "tcp://[HOST]:10200"},
        {"boot": "auto"},
        {"init": True},
        {"arch": ["armv7"]},
        {"slug": "a b"},
        {"ports": {"10200": None}},
        {"schema": {"voice": "choice(a|b)"}},
        {"apparmor": True},
    ],
)
def test_a_manifest_that_a_supervisor_or_its_linter_would_mind_is_seen(key: dict[str, Any]) -> None:
    assert faults(CONFIG | key)


def test_its_version_is_the_programs_and_the_changelogs() -> None:
    assert CONFIG["version"] == __version__
    assert f"\n## {__version__}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_every_default_is_one_that_may_be_chosen() -> None:
    schema = CONFIG["schema"]
    for name, value in CONFIG["options"].items():
        assert fits(value, schema[name]), name
    needless = {name for name, element in schema.items() if isinstance(element, str) and element.endswith("?")}
    assert needless | set(CONFIG["options"]) == set(schema)
    assert needless & set(CONFIG["options"]) == set()


def test_what_the_tests_choose_may_be_chosen_and_is_not_the_default() -> None:
    assert set(CHOSEN) == set(CONFIG["schema"])
    for name, value in CHOSEN.items():
        assert fits(value, CONFIG["schema"][name]), name
        assert name == "vllm_fallback" or value != CONFIG["options"].get(name), name


def test_voices_and_languages_are_those_that_there_are() -> None:
    assert CONFIG["schema"]["voice"] == f"list({'|'.join(speaker.id for speaker in SPEAKERS)})"
    assert CONFIG["schema"]["language"] == f"list({'|'.join(['auto', *(one.code for one in LANGUAGES)])})"


def test_every_option_is_one_of_the_program_with_the_same_default() -> None:
    """So an app that was just installed is as the program is anywhere."""
    told = parse([], {}).shown_options
    assert set(CONFIG["schema"]) == {option.name for option in OPTIONS if option.app}
    for name, value in CONFIG["options"].items():
        text = ",".join(value) if isinstance(value, list) else str(value)
        assert parse([], {f"TTS_QWEN3_{name.upper()}": text}).shown_options[name] == told[name], name


@pytest.mark.parametrize("language", sorted(LANGUAGE_FILES))
def test_a_translation_names_every_option_and_port_and_no_other(language: str) -> None:
    translation = read(f"translations/{language}.yaml")
    assert list(translation) == ["configuration", "network"]
    assert list(translation["configuration"]) == list(CONFIG["schema"])
    assert list(translation["network"]) == list(CONFIG["ports"])
    for entry in translation["configuration"].values():
        assert set(entry) == {"name", "description"}
        assert all(isinstance(text, str) and text.strip() for text in entry.values())
        assert len(entry["name"]) < 50


def test_there_is_a_translation_for_every_language_that_is_spoken() -> None:
    assert {file.stem for file in (ROOT / "translations").iterdir()} == LANGUAGE_FILES
    assert {name.partition("-")[0] for name in LANGUAGE_FILES} == {language.code for language in LANGUAGES}


@pytest.mark.parametrize(("name", "size"), [("icon.png", (128, 128)), ("logo.png", (250, 100))])
def test_the_pictures_have_the_size_that_the_store_shows(name: str, size: tuple[int, int]) -> None:
    data = (ROOT / name).read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")  # the width and height follow in IHDR, big-endian
    assert (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == size


def test_the_repository_has_a_name_and_one_manifest() -> None:
    """A Supervisor takes every other file of that name for an app too."""
    assert read("repository.yaml")["name"]
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [PurePosixPath(name) for name in listed.split("\0") if name]
    visible = [path for path in paths if not any(part.startswith(".") or part == "rootfs" for part in path.parts)]
    assert [str(path) for path in visible if path.name in {"config.yaml", "config.yml", "config.json"}] == [
        "config.yaml"
    ]


def test_the_least_home_assistant_is_the_one_that_the_documentation_names() -> None:
    """Older ones take no notice of an error, keep what was cut short, and play it again for ever."""
    assert CONFIG["homeassistant"] == "2026.9.0"
    assert f"Home Assistant {CONFIG['homeassistant'].removesuffix('.0')} or newer" in (ROOT / "DOCS.md").read_text()


def test_the_files_that_the_store_shows_are_there() -> None:
    for name in ("README.md", "DOCS.md", "CHANGELOG.md", "apparmor.txt"):
        assert (ROOT / name).read_text().strip(), name


def test_the_security_profile_has_the_one_name_that_a_supervisor_replaces() -> None:
    lines = (ROOT / "apparmor.txt").read_text().splitlines()
    assert [line.split()[1] for line in lines if line.startswith("profile ")] == [CONFIG["slug"]]


def test_build_yaml_keeps_step_with_the_dockerfile() -> None:
    default = next(line for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("ARG BUILD_FROM"))
    assert set(read("build.yaml")["build_from"]) == set(CONFIG["arch"])
    assert set(read("build.yaml")["build_from"].values()) == {default.partition("=")[2]}
