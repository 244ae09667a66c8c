"""What a Supervisor and the linter of its community take as an app's manifest.

https://developers.home-assistant.io/docs/apps/configuration; a key that only repeats its default is refused as well.
"""

import re
from typing import Any

ELEMENT = (
    r"^(bool|email|url|port|(str|password)(\(\d*,\d*\))?|int(\(-?\d*,-?\d*\))?"
    r"|float(\(-?\d*\.?\d*,-?\d*\.?\d*\))?|match\(.*\)|list\(.+\)|device(\(subsystem=[a-z]+\))?)\??$"
)

_TEXT = {"type": "string", "minLength": 1}
_ON = {"const": True}
_OFF = {"const": False}

MANIFEST: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "version", "slug", "description", "arch"],
    "properties": {
        "name": _TEXT,
        "version": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
        "slug": {"type": "string", "pattern": r"^[-_.A-Za-z0-9]+$"},
        "description": _TEXT,
        "url": {"type": "string", "format": "uri"},
        "image": {"type": "string", "pattern": r"^[a-z0-9./{}_-]+$"},
        "arch": {"type": "array", "items": {"enum": ["amd64", "aarch64"]}, "minItems": 1, "uniqueItems": True},
        "homeassistant": {"type": "string", "pattern": r"^\d{4}\.\d+\.\d+$"},
        "stage": {"enum": ["experimental", "deprecated"]},
        "boot": {"enum": ["manual", "manual_only"]},
        "startup": {"enum": ["initialize", "system", "services", "once"]},
        "init": _OFF,
        "timeout": {"type": "integer", "minimum": 11, "maximum": 300},
        "discovery": {"type": "array", "items": _TEXT},
        "services": {"type": "array", "items": {"pattern": r"^(mqtt|mysql):(provide|want|need)$"}},
        "homeassistant_api": _ON,
        "ingress": _ON,
        "ingress_stream": _ON,
        "ingress_entry": _TEXT,
        "ingress_port": {"type": "integer", "minimum": 1, "maximum": 65535, "not": {"const": 8099}},
        "panel_icon": {"type": "string", "pattern": r"^mdi:[a-z0-9-]+$", "not": {"const": "mdi:puzzle"}},
        "panel_title": _TEXT,
        "panel_admin": _OFF,
        "map": {
            "type": "array",
            "items": {"type": "string", "pattern": r"^(homeassistant_config|ssl|backup|share|media)(:(ro|rw))?$"},
        },
        "backup": {"const": "cold"},
        "backup_pre": _TEXT,
        "backup_post": _TEXT,
        "backup_exclude": {"type": "array", "items": _TEXT},
        "ports": {
            "type": "object",
            "propertyNames": {"pattern": r"^\d+/(tcp|udp)$"},
            "additionalProperties": {"type": ["integer", "null"], "minimum": 1, "maximum": 65535},
        },
        "video": _ON,
        "options": {"type": "object", "minProperties": 1},
        "schema": {
            "type": "object",
            "additionalProperties": {
                "anyOf": [
                    {"type": "string", "pattern": ELEMENT},
                    {"type": "array", "items": {"type": "string", "pattern": ELEMENT}, "minItems": 1, "maxItems": 1},
                ]
            },
        },
    },
}


def fits(value: Any, element: Any) -> bool:
    """Whether an option's value is what its element of the schema says."""
    if isinstance(element, list):
        return isinstance(value, list) and all(fits(item, element[0]) for item in value)
    kind, arguments = re.fullmatch(r"(\w+)(?:\((.*)\))?\??", element).groups()  # type: ignore[union-attr]
    match kind:
        case "list":
            return value in arguments.split("|")
        case "match":
            return isinstance(value, str) and re.match(arguments, value) is not None
        case "bool":
            return isinstance(value, bool)
        case "int" | "float":
            number = isinstance(value, int | (float if kind == "float" else int)) and not isinstance(value, bool)
            low, high = (float(bound) for bound in arguments.split(","))
            return number and low <= value <= high
    return isinstance(value, str)
