"""Who is told how runs end: ``notify:`` in the configuration."""

from __future__ import annotations

import shlex
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ravenml.common.secrets import HIDDEN

When = Literal["failed", "hung", "ended"]
_ALWAYS: list[When] = ["failed", "hung", "ended"]


class Notify(BaseModel):
    """Where a small JSON document goes when a run fails, hangs or ends.

    A text instead of the mapping is a webhook if it is a URL, and else a command.
    """

    model_config = ConfigDict(extra="forbid")

    command: list[str] = Field(
        default_factory=list, description="A program with its arguments; gets the JSON on its standard input."
    )
    webhook: str | None = Field(None, description="A URL that the JSON is posted to.")
    when: list[When] = Field(
        default_factory=lambda: list(_ALWAYS),
        min_length=1,
        description="failed (or lost), hung, ended (in whatever way).",
    )
    silence: float = Field(
        30.0, gt=0, allow_inf_nan=False, description="Minutes without any event after which a run hangs."
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return {"webhook": value} if "://" in value.partition(" ")[0] else {"command": value}

    @field_validator("command", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        try:
            return shlex.split(value) if isinstance(value, str) else value
        except ValueError as error:
            raise ValueError(f"cannot be split into words: {error}") from None

    @field_validator("when", mode="before")
    @classmethod
    def _one(cls, value: object) -> object:
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value

    @field_validator("webhook")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or " " in value:
            raise ValueError("should be a URL, such as https://hooks.example.org/…")
        return value

    @model_validator(mode="after")
    def _somewhere(self) -> Notify:
        if not self.command and not self.webhook:
            raise ValueError("should have a `command` or a `webhook`")
        return self

    def masked(self) -> dict[str, Any]:
        """Plain values to show: of the URL, whose path is often a secret, only the host."""
        shown = self.model_dump()
        if self.webhook is not None:
            parts = urlsplit(self.webhook)
            shown["webhook"] = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/{HIDDEN}"
        return shown
