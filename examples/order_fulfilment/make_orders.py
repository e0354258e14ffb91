"""Write orders.jsonl: what a shop sends on a bad day. Same seed, same file."""

import json
from pathlib import Path
from random import Random
from uuid import UUID

SEED = 20_260
FILE = Path(__file__).with_name("orders.jsonl")
PRICES = {"kettle": "34.90", "lamp": "59.00", "teapot": "18.50", "umbrella": "12.75"}
CUSTOMERS = ("Ada", "Blaise", "Chien", "Dorothy", "Edsger", "Fatima", "Grace", "Hedy")

GOOD, DECLINED, MISSING, EMPTY, DUPLICATES = 500, 9, 14, 2, 12
UNREADABLE = (
    '{"order_id": "0d2c6c5e-3a3f-4a5c-9d2e-1f6f0a7b1c11", "customer": "Ada", "items": [{"sku"',
    "not json at all",
    '["a", "list"]',
    '{"customer": "Nobody", "card": "4000-0000", "items": []}',
    '{"order_id": "not-a-uuid", "customer": "Blaise", "card": "4000-0001", "items": []}',
    '{"order_id": "5f1d7a52-6a43-4c9e-8a94-b4f7d0c7a2d9", "customer": "Grace", "items": []}',
    '{"order_id": "b7c3a4de-5a1e-4a63-8c55-0f53cc0cf1ab", "items": [{"quantity": -1}]}',
)


def text() -> str:
    """Make the orders, mix them with spoilt lines, and repeat some later on."""
    random = Random(SEED)
    lines = (
        [_order(random) for _ in range(GOOD)]
        + [_order(random, card="declined-4000") for _ in range(DECLINED)]
        + [_order(random, sku="unicorn") for _ in range(MISSING)]
        + [_order(random, items=0) for _ in range(EMPTY)]
        + list(UNREADABLE)
    )
    random.shuffle(lines)
    readable = [line for line in lines if line not in UNREADABLE]
    for line in random.sample(readable[:GOOD], DUPLICATES):
        lines.insert(random.randrange(lines.index(line) + 1, len(lines) + 1), line)
    return "\n".join(lines) + "\n"


def _order(
    random: Random, *, card: str | None = None, sku: str | None = None, items: int | None = None
) -> str:
    skus = random.sample(sorted(PRICES), random.randint(1, 3) if items is None else items)
    order = {
        "order_id": str(UUID(int=random.getrandbits(128), version=4)),
        "customer": random.choice(CUSTOMERS),
        "card": card or f"4000-{random.randrange(10_000):04}",
        "items": [
            {"sku": name, "quantity": random.randint(1, 3), "price": PRICES[name]} for name in skus
        ]
        + ([{"sku": sku, "quantity": 1, "price": "999.00"}] if sku else []),
    }
    return json.dumps(order)


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
