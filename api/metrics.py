"""What the API measures of itself, as Prometheus metrics of one application."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class Metrics:
    """The metrics of one application; a registry of its own, so that two do not mix."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "sevenfold_requests",
            "Requests by route, method and status.",
            ("method", "route", "status"),
            registry=registry,
        )
        self.seconds = Histogram(
            "sevenfold_request_seconds",
            "Time from the first byte of a request to the last of its answer.",
            ("method", "route"),
            buckets=SECONDS,
            registry=registry,
        )
        self.errors = Counter(
            "sevenfold_errors", "Answers that are errors, by code.", ("code",), registry=registry
        )
        self.decisions = Counter(
            "sevenfold_decisions", "Decisions made on demand.", ("model",), registry=registry
        )
        self.cache = Counter(
            "sevenfold_cache_hits",
            "Stored reads answered from memory (hit) or from the warehouse (miss).",
            ("outcome",),
            registry=registry,
        )
        self.callbacks = Counter(
            "sevenfold_webhook_attempts",
            "Attempts to deliver to webhooks, by what the delivery is then.",
            ("outcome",),
            registry=registry,
        )
        self.version = Gauge(
            "sevenfold_model_version",
            "1 for the version that serves each model.",
            ("model", "version"),
            registry=registry,
        )
        self.feature_age = Gauge(
            "sevenfold_feature_age_days",
            "Days since the day of the stored features that on-demand calls read.",
            ("model",),
            registry=registry,
        )
        self._request = lru_cache(maxsize=4096)(self._labelled)
        self._decided = lru_cache(maxsize=256)(self.decisions.labels)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request; unknown methods are one, so that callers cannot add series."""
        counter, histogram = self._request(method if method in METHODS else "other", route, status)
        counter.inc()
        histogram.observe(seconds)

    def _labelled(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        counter = self.requests.labels(method, route, str(status))
        return counter, self.seconds.labels(method, route)

    def decided(self, model: str, count: int) -> None:
        """Count decisions made on demand."""
        self._decided(model).inc(count)

    def serving(self, model: str, version: str | None) -> None:
        """Note which version serves a model from now on."""
        for labels in [one for one in self._versions() if one[0] == model]:
            self.version.remove(*labels)
        if version is not None:
            self.version.labels(model, version).set(1)

    def features_of(self, model: str, as_of: date, today: date) -> None:
        """Note the day of a model's stored features."""
        self.feature_age.labels(model).set((today - as_of).days)

    def _versions(self) -> list[tuple[str, str]]:
        return [
            (sample.labels["model"], sample.labels["version"])
            for metric in self.version.collect()
            for sample in metric.samples
        ]

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def summary(self) -> dict[str, float]:
        """Each counter and gauge by its name and labels, for a JSON answer."""
        return {
            _named(sample.name, sample.labels): sample.value
            for metric in self.registry.collect()
            for sample in metric.samples
            if not sample.name.endswith(("_created", "_bucket"))
        }


def _named(name: str, labels: dict[str, str]) -> str:
    inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{inside}}}" if inside else name
