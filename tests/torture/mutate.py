"""Small changes that make good input bad: of JSON documents, and of bytes."""

from __future__ import annotations

import json
import random
from typing import Any

# What stands where something else should.
WRONG: list[Any] = [
    None, True, False, -1, 0, 1, 2**31, 2**64, -(10**400), 1e308, -0.0, float("nan"), float("inf"),
    "", " ", "0", "NaN", "\ud800", "٣", "x" * 5000, "\x1b[2J", "a\0b", "../../x", "/etc/passwd",
    [], [[]], ["\ud800", 2**70], {}, {"": {}}, {"\ud800": "\ud800"}, {"name": 3},
]  # fmt: skip


def mutate(rng: random.Random, value: Any) -> Any:
    """The value with one of its parts, at any depth, taken away, repeated, swapped or replaced."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        name = rng.choice(list(value))
        chance = rng.random()
        if chance < 0.1:
            return {key: one for key, one in value.items() if key != name}
        if chance < 0.15:
            other = rng.choice(list(value))
            return value | {name: value[other], other: value[name]}
        return value | {name: mutate(rng, value[name])}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        chance = rng.random()
        if chance < 0.1:
            return [*value[:at], *value[at + 1 :]]
        if chance < 0.15:
            return [*value, value[at]]
        return [*value[:at], mutate(rng, value[at]), *value[at + 1 :]]
    if isinstance(value, int | float) and not isinstance(value, bool) and rng.random() < 0.3:
        return rng.choice([-value, value + 1, value * 1_000_000, str(value), [value]])
    return rng.choice(WRONG)


def mutate_text(rng: random.Random, text: str) -> bytes:
    """A text file as bytes with changes anywhere, nested far too deep, or in another encoding."""
    chance = rng.random()
    if chance < 0.05:
        at = rng.randrange(len(text) + 1)
        return (text[:at] + rng.choice("[{(<\"'") * rng.choice([100, 5_000, 200_000]) + text[at:]).encode()
    if chance < 0.1:
        at = rng.randrange(len(text) + 1)
        return (text[:at] + "9" * rng.choice([20, 400, 5_000]) + text[at:]).encode()
    if chance < 0.15:
        return text.encode(rng.choice(["utf-16", "utf-8-sig", "utf-32"]), errors="replace")
    return mutate_bytes(rng, text.encode(errors="replace"))


def mutate_bytes(rng: random.Random, data: bytes) -> bytes:
    """The bytes with one to eight changes: flipped, cut, repeated, overwritten or inserted ones."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(changed) + 1)
        length = rng.choice([1, 1, 2, 4, 16, 200])
        match rng.randrange(5):
            case 0 if at < len(changed):
                changed[at] ^= 1 << rng.randrange(8)
            case 1:
                del changed[at : at + length]
            case 2:
                changed[at:at] = changed[at : at + length] * rng.choice([1, 2, 50])
            case 3:
                changed[at : at + length] = rng.choice([b"\0", b"\xff", rng.randbytes(1)]) * length
            case _:
                changed[at:at] = rng.randbytes(length)
    return bytes(changed) if rng.random() < 0.95 else bytes(changed[: rng.randrange(len(changed) + 1)])


def mutate_document(rng: random.Random, document: object) -> bytes:
    """A JSON document as bytes: mostly one that is wrong inside, sometimes one that does not parse."""
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        document = mutate(rng, document)
    text = json.dumps(document)
    return mutate_text(rng, text) if rng.random() < 0.2 else text.encode()
