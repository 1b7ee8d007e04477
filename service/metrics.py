"""Every Prometheus metric of the service, and the text that shows them for all its processes."""

from __future__ import annotations

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from service.settings import METRICS_FOLDER_VARIABLE

CONTENT_TYPE = CONTENT_TYPE_LATEST
_FAST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SLOW_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)

INSTANCES_TOTAL = Counter("pandok_instances_total", "Instances that came in, by door and outcome.", ("door", "outcome"))
INTAKE_SECONDS = Histogram(
    "pandok_intake_seconds", "From the last byte of an instance to its durable outcome.", ("door",), buckets=_FAST_S
)
STUDIES_SETTLED_TOTAL = Counter("pandok_studies_settled_total", "Studies that settled, by what settled them.", ("by",))
RUNS_TOTAL = Counter("pandok_runs_total", "Runs of model packages, by outcome.", ("package", "outcome"))
RUN_SECONDS = Histogram("pandok_run_seconds", "Seconds in one stage of a run.", ("package", "stage"), buckets=_SLOW_S)
UNSCORED_TOTAL = Counter("pandok_unscored_total", "Study revisions that ended unscored, by reason.", ("reason",))
SERIES_ARRANGED_TOTAL = Counter(
    "pandok_series_arranged_total", "CT and MR series whose slices were put in order, by outcome.", ("outcome",)
)
SERIES_PROBLEMS_TOTAL = Counter(
    "pandok_series_problems_total", "Problems of CT and MR series, each once a series, by code.", ("code",)
)
QUEUE_DEPTH = Gauge(
    "pandok_queue_depth", "Study revisions that wait for a worker or are with one.", multiprocess_mode="livemostrecent"
)
ASSOCIATIONS = Gauge("pandok_associations", "DICOM associations open now.", multiprocess_mode="livesum")
ASSOCIATIONS_REJECTED_TOTAL = Counter(
    "pandok_associations_rejected_total", "DICOM associations and connections refused, by reason.", ("reason",)
)
PRESSURE = Gauge(
    "pandok_pressure", "Back-pressure: 0 none, 1 low storage, 2 overloaded, 3 full.", multiprocess_mode="livemostrecent"
)
STORAGE_FREE_BYTES = Gauge(
    "pandok_storage_free_bytes", "Free space of the data folder's volume.", multiprocess_mode="livemostrecent"
)
HTTP_SECONDS = Histogram(
    "pandok_http_seconds", "From request to whole answer.", ("method", "route", "status"), buckets=_FAST_S
)


def exposition() -> bytes:
    """Return the numbers of every process of this service in Prometheus' text format."""
    if not os.environ.get(METRICS_FOLDER_VARIABLE):
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library's constructor has no annotations
    return generate_latest(registry)
