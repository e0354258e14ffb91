"""Taking rows of the inbox for events: new ones are inserted, and existing ones judged and taken.

The unique constraint is the arbiter (O13).  New rows are tried first, because an event is new as a
rule; inserting waits for a twin that is being written elsewhere.  What was there already is locked,
judged, and then taken in one statement.  All steps go in order of the keys, so that two batches
never wait for each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter

from sqlalchemy import (
    BigInteger,
    Integer,
    SmallInteger,
    and_,
    bindparam,
    case,
    delete,
    func,
    literal,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.base import Executable

from choreo.store.port import Claim, Key, State, Verdict
from choreo.store.rules import Kept, bearer, judge, judge_purpose
from choreo_sql.inbox import KEY, NUMBERS, PURPOSE, RowKey, inbox, keys, standing
from choreo_sql.link import Link, Say
from choreo_sql.metadata import Fingerprint, Name
from choreo_sql.moments import micros, now
from choreo_sql.rows import Rows
from choreo_sql.scopes import Scopes
from choreo_sql.texts import compact, compact_source


@dataclass(slots=True, kw_only=True)  # not frozen: one is made for each event
class Wish:
    """A claim, and the state in which its rows are to be left."""

    claim: Claim
    state: State
    fence: int | None = None
    """The lease under which it is held already."""
    owner: str | None = None
    """Who wants the lease, for CLAIMED."""
    span: int | None = None
    """Microseconds of the lease, for CLAIMED."""


@dataclass(slots=True, kw_only=True)  # not frozen: one is made for each event
class Answer:
    """What became of a wish."""

    verdict: Verdict
    fence: int = 0
    """Of the event's row, where it was taken."""
    partly: bool = False
    """It was refused, but one of its rows was inserted: the transaction must not commit."""


NEW = Answer(verdict=Verdict.WRITTEN, fence=1)
"""To all whose rows are new."""


@dataclass(slots=True)
class Row:
    """One row that a wish wants."""

    key: RowKey
    wish: Wish
    purpose: bool
    inserted: bool = False
    kept: Kept | None = None

    @property
    def values(self) -> Sequence[object]:
        """Its values in the order of ``wanted``."""
        wish, claim = self.wish, self.wish.claim
        state = wish.state
        if self.purpose and state is State.DEAD:
            state = State.OPEN  # what failed leaves the idempotency key to the next event
        return (
            *self.key,
            NUMBERS[state],
            0 if self.purpose else claim.generation,
            bearer(claim) if self.purpose else claim.fingerprint,
            micros(claim.at) if wish.state is State.DONE or wish.state is State.DEAD else None,
            wish.owner,
            wish.span,
        )

    def judge(self) -> Verdict:
        """Say whether it may be taken."""
        rule = judge_purpose if self.purpose else judge
        return rule(self.kept, self.wish.claim, self.wish.fence)


@dataclass(slots=True)  # not frozen: one is made for each event
class Claimed:
    """A wish that was judged, and the rows that it wants."""

    answer: Answer
    rows: Sequence[Row]
    there: Sequence[Row] = ()
    """Those that were there before, and may be taken."""


wanted = Rows(
    "wanted",
    scope=Integer(),
    id=Name,
    source=Name,
    state=SmallInteger(),
    generation=Integer(),
    fingerprint=Fingerprint,
    ended=BigInteger(),
    owner=Name,
    span=BigInteger(),
)


async def take(
    connection: AsyncConnection, scopes: Scopes, wishes: Sequence[Wish]
) -> Sequence[Answer]:
    """Take the rows of *wishes*, no two of which may want the same row; an answer for each."""
    wants = [rows_of(wish, scopes) for wish in wishes]
    claimed = await _approach(connection, wants, connection.execute)
    await take_over(connection, [row for one in claimed for row in one.there])
    return [one.answer for one in claimed]


async def begin(link: Link, wants: Sequence[Sequence[Row]]) -> Sequence[Claimed]:
    """Begin a transaction and take rows in it that are new, in one trip if all are.

    Those that were there are left as they are, locked. *wants* are the rows of one wish each, none
    of which has a lease.
    """
    rows = _sorted(wants)
    made = await link.begin_with(*_inserting(link.dialect.name, rows))
    if made == len(rows):
        for row in rows:
            row.inserted = True
        return [Claimed(NEW, want) for want in wants]
    if len(rows) == 1:
        await _look(link.own, rows)
        return [_judged(want) for want in wants]
    # nobody knows which
    await link.roll_back()
    await link.begin()
    return await _approach(link.own, wants, link.say)


async def _approach(
    connection: AsyncConnection, wants: Sequence[Sequence[Row]], say: Say
) -> Sequence[Claimed]:
    """Take rows that are new, and leave those that were there as they are, locked."""
    rows = _sorted(wants)
    # Who holds a lease has its rows already, and must not make new ones where they are gone.
    fresh = [row for row in rows if row.wish.fence is None]
    if fresh:
        done = await say(*_inserting(connection.dialect.name, fresh))
        inserted = {tuple(key) for key in done}
        for row in fresh:
            row.inserted = row.key in inserted
    others = [row for row in rows if not row.inserted]
    if others:
        await _look(connection, others)
    return [_judged(want) for want in wants]


def _sorted(wants: Sequence[Sequence[Row]]) -> Sequence[Row]:
    if len(wants) == 1 and len(wants[0]) == 1:  # as it is with each event by itself
        return wants[0]
    return sorted([row for want in wants for row in want], key=attrgetter("key"))


async def take_over(connection: AsyncConnection, rows: Sequence[Row]) -> None:
    """Take *rows* that were there, and found free for it."""
    if rows:
        dialect = connection.dialect.name
        values = [row.values for row in sorted(rows, key=lambda row: row.key)]
        await connection.execute(_overwrite(dialect), wanted.bind(dialect, values))


async def give_up(connection: AsyncConnection, claimed: Sequence[Claimed]) -> None:
    """Take away the rows that this transaction has inserted for *claimed*."""
    mine = [row.key for one in claimed for row in one.rows if row.inserted]
    if mine:
        await connection.execute(delete(inbox).where(tuple_(*KEY).in_(mine)))


def rows_of(wish: Wish, scopes: Scopes) -> Sequence[Row]:
    """Return the rows that a wish wants: its event's, and its idempotency key's."""
    claim = wish.claim
    event = Row(row_key(claim.key, scopes), wish, purpose=False)
    if claim.purpose is not None and (wish.state is not State.DEAD or wish.fence is not None):
        return [event, Row(purpose_key(claim, scopes), wish, purpose=True)]
    return [event]


def row_key(key: Key, scopes: Scopes) -> RowKey:
    """Return the key of the row of the event."""
    handler, source, identity = key
    return (scopes.handlers[handler], compact(identity), compact_source(source))


def purpose_key(claim: Claim, scopes: Scopes) -> RowKey:
    """Return the key of the row of the idempotency key, which *claim* must have."""
    return (scopes.handlers[claim.key[0]], compact(claim.purpose or ""), PURPOSE)


async def bury(connection: AsyncConnection, scopes: Scopes, claim: Claim) -> None:
    """Leave rows that this transaction has taken as those of a dead event."""
    for row in rows_of(Wish(claim=claim, state=State.DONE), scopes):
        state = NUMBERS[State.OPEN if row.purpose else State.DEAD]
        mine = tuple_(*KEY) == tuple_(*row.key)
        await connection.execute(update(inbox).values(state=state).where(mine))


def _inserting(dialect: str, rows: Sequence[Row]) -> tuple[Executable, Mapping[str, object]]:
    """Return what inserts *rows*, in their order, as far as they are not there."""
    if len(rows) == 1:
        return _insert_one(dialect), dict(zip(wanted.names, rows[0].values, strict=True))
    return _insert(dialect), wanted.bind(dialect, [row.values for row in rows])


async def _look(connection: AsyncConnection, rows: Sequence[Row]) -> None:
    """Lock the rows that are there, and learn what they hold."""
    dialect = connection.dialect.name
    bound = keys.bind(dialect, [row.key for row in rows])
    found: Mapping[RowKey, Kept] = {
        (row.scope, row.id, row.source): Kept(
            state=standing(row.state, live=row.live),
            fingerprint=bytes(row.fingerprint),
            generation=row.generation,
            fence=row.fence,
        )
        for row in await connection.execute(_lock(dialect), bound)
    }
    for row in rows:
        row.kept = found.get(row.key)


def _judged(want: Sequence[Row]) -> Claimed:
    answer = _answer(want)
    well = answer.verdict is Verdict.WRITTEN
    return Claimed(answer, want, [row for row in want if not row.inserted] if well else ())


def _answer(rows: Sequence[Row]) -> Answer:
    """Judge what one wish wants; inserted rows are its own already."""
    for row in rows:
        verdict = Verdict.WRITTEN if row.inserted else row.judge()
        if verdict is not Verdict.WRITTEN:
            return Answer(verdict=verdict, partly=any(one.inserted for one in rows))
    event = rows[0]
    return Answer(verdict=Verdict.WRITTEN, fence=1 if event.kept is None else event.kept.fence + 1)


@cache
def _insert(dialect: str) -> Executable:
    """Insert what is not there, and tell which rows that was."""
    rows = wanted.of(dialect)
    names = [*wanted.names[:-1], "until", "fence"]
    values = [*(rows.c[name] for name in wanted.names[:-1]), now() + rows.c.span, literal(1)]
    # "WHERE true" tells SQLite's parser that ON belongs to the insert, not to a join.
    chosen = select(*values).where(true()).order_by(rows.c.place)
    return (
        (postgresql.insert if dialect == "postgresql" else sqlite.insert)(inbox)
        .from_select(names, chosen)
        .on_conflict_do_nothing()
        .returning(*KEY)
    )


@cache
def _insert_one(dialect: str) -> Executable:
    """Do so with plain values: PostgreSQL takes a third longer over arrays of one."""
    plain = [name for name in wanted.names if name != "span"]
    given: dict[str, object] = {name: bindparam(name, type_=inbox.c[name].type) for name in plain}
    until = now() + bindparam("span", type_=BigInteger())
    return (
        (postgresql.insert if dialect == "postgresql" else sqlite.insert)(inbox)
        .values({**given, "until": until, "fence": literal(1)})
        .on_conflict_do_nothing()
        .returning(*KEY)
    )


@cache
def _overwrite(dialect: str) -> Executable:
    """Take rows that are there, locked and found free for it."""
    rows = wanted.of(dialect)
    names = [*wanted.names[:-1], "until", "fence"]
    values = [*(rows.c[name] for name in wanted.names[:-1]), now() + rows.c.span, literal(1)]
    chosen = select(*values).where(true()).order_by(rows.c.place)
    insert = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(inbox)
    new, same = insert.excluded, inbox.c.generation == insert.excluded.generation
    died = and_(inbox.c.state == NUMBERS[State.CLAIMED], new.state == NUMBERS[State.CLAIMED])
    taken = {name: new[name] for name in (*wanted.names[3:-1], "until")}
    return insert.from_select(names, chosen).on_conflict_do_update(
        index_elements=list(KEY),
        set_={
            **taken,
            "fence": inbox.c.fence + 1,
            "attempts": case((same, inbox.c.attempts), else_=0),
            "first_failed": case((same, inbox.c.first_failed), else_=None),
            "crashes": case(
                (and_(same, died), inbox.c.crashes + 1), (same, inbox.c.crashes), else_=0
            ),
        },
    )


@cache
def _lock(dialect: str) -> Executable:
    """Read rows by their keys and keep others from changing them."""
    rows = keys.of(dialect)
    live = func.coalesce(inbox.c.until > now(), literal(value=False)).label("live")
    found = (
        select(*KEY, inbox.c.state, inbox.c.fingerprint, inbox.c.generation, inbox.c.fence, live)
        .join(rows, and_(*(column == rows.c[column.name] for column in KEY)))
        .order_by(*KEY)
    )
    return found.with_for_update(of=inbox)
