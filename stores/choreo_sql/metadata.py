"""The one collection of tables, to which every part adds its own."""

from sqlalchemy import BigInteger, LargeBinary, MetaData, Text
from sqlalchemy.dialects import sqlite

metadata = MetaData()

Identity = BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
"""Type of a key that the database counts up: SQLite does so only for INTEGER."""
Name = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is only compared for equality, byte by byte, whatever language the database speaks."""
Fingerprint = LargeBinary(16)
"""Sixteen bytes that two different contents do not share."""
