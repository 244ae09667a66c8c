"""Reads the fields of a JSON object that anybody may have written: a voice's record, or an archive's manifest."""

from collections.abc import Mapping
from typing import Any, TypeVar

from wyoming_qwen3.core.errors import InvalidRequest

from .checks import check_words

_T = TypeVar("_T")


class JsonObject:
    """The fields of one JSON object in `file`. Each method returns a field's value.

    Raises InvalidRequest if the value is not of the kind that the method returns. The message names the file and the
    field; `param` is the error's field of the request.
    """

    def __init__(self, value: object, file: str, param: str | None = None, place: str = "") -> None:
        """`place` is where the object is in the file, such as "design"; empty for the file's own object."""
        if not isinstance(value, dict):
            raise InvalidRequest(f"{file}: {place or 'it'} must be an object.", param=param)
        self._fields: dict[str, Any] = value
        self._file = file
        self._param = param
        self._place = place

    def check_names(self, *names: str) -> None:
        """Raise InvalidRequest if there is a field that is not among `names`."""
        unknown = sorted(self._fields.keys() - set(names))
        if unknown:
            name = self._path(unknown[0])[:64]
            raise InvalidRequest(f"{self._file}: there is no field {name!r}; remove it.", param=self._param)

    def get(self, name: str) -> object:
        """Return any value; None if the field is absent."""
        return self._fields.get(name)

    def text(self, name: str) -> str:
        """Return a text of at most MAX_CHARACTERS characters."""
        value = self.get(name)
        if not isinstance(value, str):
            raise self.wrong(name, "text")
        check_words(value, f"{self._file}: {self._path(name)}")
        return value

    def optional_text(self, name: str) -> str | None:
        """Return a text; None if the field is null or absent."""
        return None if self.get(name) is None else self.text(name)

    def number(self, name: str, low: float, high: float) -> float:
        """Return a number from `low` to `high`."""
        value = self.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        raise self.wrong(name, f"a number from {low:g} to {high:g}")

    def whole_number(self, name: str, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`."""
        value = self.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise self.wrong(name, f"a whole number from {low} to {high}")

    def choice(self, name: str, choices: Mapping[Any, _T]) -> _T:
        """Return the value in `choices` that the field names. Its keys are texts, and None if the field may be null."""
        value = self.get(name)
        if (value is None or isinstance(value, str)) and value in choices:
            return choices[value]
        accepted = ("null" if choice is None else choice for choice in choices)
        raise self.wrong(name, f"one of {', '.join(accepted)}")

    def items(self, name: str) -> list[object]:
        """Return a list."""
        value = self.get(name)
        if not isinstance(value, list):
            raise self.wrong(name, "a list")
        return value

    def child(self, name: str) -> "JsonObject":
        """Return the fields of an object."""
        return JsonObject(self.get(name), self._file, self._param, self._path(name))

    def children(self, name: str) -> list["JsonObject"]:
        """Return the fields of each object in a list."""
        path = self._path(name)
        return [
            JsonObject(item, self._file, self._param, f"{path}[{number}]")
            for number, item in enumerate(self.items(name))
        ]

    def wrong(self, name: str, accepted: str) -> InvalidRequest:
        """Return the error for a field that is not what is `accepted`."""
        return InvalidRequest(f"{self._file}: {self._path(name)} must be {accepted}.", param=self._param)

    def _path(self, name: str) -> str:
        return f"{self._place}.{name}" if self._place else name
