"""What ``/metrics`` tells Prometheus; of all worker processes together where there are several."""

from __future__ import annotations

import os
from typing import Any

_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._registry = CollectorRegistry()
        more: dict[str, Any] = {"registry": self._registry}
        self.requests = Counter("raven_requests", "Requests to /predict, by status.", ["status"], **more)
        self.images = Counter("raven_images", "Images answered.", **more)
        self.seconds = Histogram("raven_request_seconds", "Request duration.", buckets=_SECONDS, **more)
        self.spent = Histogram(
            "raven_stage_seconds",
            "Time per processing stage of an image.",
            ["stage"],
            buckets=_SECONDS,
            **more,
        )
        self.batches = Histogram("raven_batch_images", "Images per batch.", buckets=_SIZES, **more)
        self.network = Histogram(
            "raven_network_seconds", "Inference time of a batch.", buckets=_SECONDS, **more
        )
        self.inside = Gauge("raven_images_inside", "Images in progress.", multiprocess_mode="livesum", **more)

    def batch(self, size: int, seconds: float) -> None:
        """A batch went through the network."""
        self.batches.observe(size)
        self.network.observe(seconds)

    def text(self) -> tuple[bytes, str]:
        """The page that Prometheus reads, and its content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = self._registry
        if os.environ.get(_DIRECTORY):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        return generate_latest(registry), CONTENT_TYPE_LATEST
