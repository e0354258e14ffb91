"""Types that are narrower on the wire than in Python, for contracts that others have written."""

from dataclasses import dataclass
from datetime import time
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

Narrow = Literal["int", "float", "timestamp-millis", "time-millis"]


@dataclass(frozen=True, slots=True)
class Wire:
    """Says in ``Annotated`` what Avro shall have in place of its widest type."""

    type: Narrow


Int32 = Annotated[int, Field(ge=-(2**31), le=2**31 - 1), Wire("int")]
"""Avro's int, of 32 bits."""
Float32 = Annotated[float, Wire("float")]
"""Avro's float: of what is written, seven digits are kept."""
MillisDatetime = Annotated[AwareDatetime, Wire("timestamp-millis")]
"""A moment of which milliseconds are kept."""
MillisTime = Annotated[time, Wire("time-millis")]
"""A time of day of which milliseconds are kept."""
