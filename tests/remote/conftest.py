"""The fixture of the tests on a real Ray."""

from __future__ import annotations

from on_ray import cluster

__all__ = ["cluster"]
