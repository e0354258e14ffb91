"""The instruments of one meter provider, shared by every service of the process.

Theory of operation.  A provider keeps instruments for its whole life and cannot let go of a
callback, while services start and stop.  So the instruments are made once per provider; services
add to tallies and register what there is to read, and take only the latter away when they stop.  A
tally is a number that the event loop adds to at the cost of an addition; the provider reads it when
it collects, from whatever thread, so dictionaries are copied before they are walked.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from importlib.metadata import PackageNotFoundError, version

from opentelemetry.metrics import CallbackOptions, Histogram, Meter, MeterProvider, Observation

from choreo.telemetry import conventions as names
from choreo.telemetry.conventions import Metric
from choreo.telemetry.labels import Attributes

COUNTED = (
    names.SENT,
    names.CONSUMED,
    names.RETRIES,
    names.DUPLICATES,
    names.DEAD_LETTERS,
    names.SKIPPED,
    names.NOTICES,
)
READ = (
    names.LAG,
    names.SPAN,
    names.OLDEST,
    names.HELD,
    names.WAITING,
    names.LANES,
    names.PAUSED,
    names.OUTBOX,
    names.OUTBOX_OLDEST,
    names.OUTBOX_REFUSED,
)

Reading = Iterable[tuple[Metric, float, Attributes]]
Source = Callable[[], Reading]
"""Reads every gauge of one running service."""

MAX_PROVIDERS = 16


class Tally:
    """A count with its attributes."""

    __slots__ = ("attributes", "count")

    def __init__(self, attributes: Attributes) -> None:
        self.attributes = attributes
        self.count = 0


class Instruments:
    """Histograms to record in, tallies to add to, gauges that read running services."""

    def __init__(self, provider: MeterProvider) -> None:
        meter = provider.get_meter(names.SCOPE, library_version(), names.SCHEMA_URL)
        self.operation_duration = _histogram(meter, names.OPERATION_DURATION)
        self.process_duration = _histogram(meter, names.PROCESS_DURATION)
        self.sources: set[Source] = set()
        self._tallies: dict[str, dict[frozenset[tuple[str, str | int]], Tally]] = {}
        for metric in COUNTED:
            self._tallies[metric.name] = {}
            meter.create_observable_counter(
                metric.name, [partial(self._counted, metric)], metric.unit, metric.description
            )
        for metric in READ:
            meter.create_observable_gauge(
                metric.name, [partial(self._read, metric)], metric.unit, metric.description
            )

    def tally(self, metric: Metric, attributes: Attributes) -> Tally:
        """Find or begin the count with these attributes."""
        tallies = self._tallies[metric.name]
        key = frozenset(attributes.items())
        if key not in tallies:
            tallies[key] = Tally(dict(attributes))
        return tallies[key]

    def _counted(self, metric: Metric, _: CallbackOptions) -> Iterator[Observation]:
        for tally in list(self._tallies[metric.name].values()):
            yield Observation(tally.count, tally.attributes)

    def _read(self, metric: Metric, _: CallbackOptions) -> Iterator[Observation]:
        for source in list(self.sources):
            for read, value, attributes in source():
                if read is metric:
                    yield Observation(value, attributes)


@lru_cache(maxsize=MAX_PROVIDERS)
def instruments(provider: MeterProvider) -> Instruments:
    """Make the instruments of *provider*, once."""
    return Instruments(provider)


def library_version() -> str | None:
    """Tell the installed version, None in a bare source tree."""
    try:
        return version("choreo")
    except PackageNotFoundError:
        return None


def _histogram(meter: Meter, metric: Metric) -> Histogram:
    return meter.create_histogram(
        metric.name,
        metric.unit,
        metric.description,
        explicit_bucket_boundaries_advisory=names.DURATION_BUCKETS,
    )
