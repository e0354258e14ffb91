"""Events of every shape that Avro can say."""

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AliasChoices, AwareDatetime, BaseModel, Field

from choreo.event import Event

Money = Annotated[Decimal, Field(max_digits=12, decimal_places=2)]


class Channel(Enum):
    """Where it came from."""

    WEB = "web"
    SHOP = "shop"
    OTHER = "other"

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        del value
        return cls("other")


class Priority(IntEnum):
    LOW = 1
    HIGH = 9


class Address(BaseModel, frozen=True):
    street: str
    city: str = "Vienna"


class Card(BaseModel, frozen=True):
    kind: Literal["card"] = "card"
    digits: str


class Transfer(BaseModel, frozen=True):
    kind: Literal["transfer"] = "transfer"
    iban: str
    priority: Priority = Priority.LOW


class Shipped(
    Event, topic="building/{site}/orders", key="site", name="com.example.Shipped", version=2
):
    """An order left the house."""

    site: str
    order: UUID
    total: Money
    at: AwareDatetime
    due: date
    weight: float
    count: int
    fragile: bool
    label: bytes
    channel: Channel
    priority: Priority
    address: Address
    second: Address | None = None
    payment: Card | Transfer = Field(discriminator="kind")
    tags: list[str] = Field(default_factory=list[str])
    codes: tuple[int, ...] = ()
    notes: dict[str, str] = Field(default_factory=dict[str, str])
    parts: list[Address] = Field(default_factory=list[Address])
    measure: int | str = 0
    state: Literal["new", "sent"] = "new"
    rebate: Money = Decimal("1.50")
    since: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    remark: str | None = Field(default="none", description="Free text.")
    amount: int = Field(
        default=1,
        validation_alias=AliasChoices("amount", "quantity"),
        serialization_alias="amount",
    )
    old: int = Field(default=0, deprecated="use count")
    serial: UUID = UUID(int=5)
