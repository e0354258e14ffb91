"""The event that every measure handles: five fields, as many headers as choreo writes."""

from choreo import Event


class Order(Event, topic="bench-orders", key="customer"):
    customer: str
    number: int
    article: str
    note: str
    total: float


class Receipt(Event, topic="bench-receipts", key="customer"):
    customer: str
    number: int


class Load(Event, topic="bench-loads", key="customer"):
    """For what is measured while it arrives: a run of its own, and a place in its order."""

    customer: str
    run: str
    number: int
    article: str
    note: str


KEYS = 1_000


def orders(count: int, keys: int = KEYS) -> list[Order]:
    """Make *count* orders over that many customers, numbered per customer."""
    return [
        Order(
            customer=f"customer-{n % keys}",
            number=n // keys,
            article="article-" + str(n % 97),
            note="as discussed on the phone",
            total=n * 0.25,
        )
        for n in range(count)
    ]


def loads(run: str, count: int, keys: int = KEYS, first: int = 0) -> list[Load]:
    """Make the *count* loads of *run* that follow its *first* ones, over so many customers."""
    return [
        Load(
            customer=f"customer-{n % keys}",
            run=run,
            number=n // keys,
            article="article-" + str(n % 97),
            note="as discussed on the phone",
        )
        for n in range(first, first + count)
    ]


class Tally:
    """Counts what was handled and insists on the order of each key."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._next: dict[str, int] = {}
        self.count = 0

    def note(self, order: Order | Load) -> bool:
        """Count *order*; say whether it was the last. Raises AssertionError out of order."""
        due = self._next.get(order.customer, 0)
        if order.number != due:
            raise AssertionError(f"{order.customer}: {order.number} came instead of {due}")
        self._next[order.customer] = due + 1
        self.count += 1
        return self.count == self._expected
