"""Every fault of the kit bites, proves it, and heals; one that does not is told."""

import asyncio
import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from choreo.testing.faults import (
    BlackHole,
    Custom,
    Cut,
    DidNotBite,
    DiskFull,
    Fault,
    Frozen,
    Jump,
    JumpingClock,
    Killed,
    Proxy,
    Rolled,
    Slow,
    Storm,
    Terminated,
    driven,
    schedule,
    struck,
    written,
)
from choreo.testing.faults.processes import state
from tests.conftest import OwnDisk
from tests.local import Process
from tests.patience import patient

SHORT = 0.3


@contextmanager
def sleepers(folder: Path, count: int = 1) -> Generator[list[Process]]:
    """Run processes that do nothing until they are told to end."""
    processes = [Process(["sleep", "600"], log=folder / f"{n}.log") for n in range(count)]
    try:
        for process in processes:
            process.start()
        yield processes
    finally:
        for process in processes:
            process.thaw()
            process.kill()


@pytest.mark.parametrize("kind", [Killed, Terminated])
async def test_a_process_is_gone_and_another_takes_its_place(
    kind: type[Killed], tmp_path: Path
) -> None:
    with sleepers(tmp_path) as (process,):
        was = process.pid

        proof = await struck(kind(process), SHORT)

        assert process.alive
        assert proof == f"{was} was killed, {process.pid} came"


async def test_a_process_that_was_gone_before_was_not_killed_by_us(tmp_path: Path) -> None:
    with sleepers(tmp_path) as (process,):
        process.kill()

        with pytest.raises(DidNotBite, match="kill -9 had no effect"):
            await struck(Killed(process), 0)


async def test_a_frozen_process_stands_still_all_the_while_and_goes_on(tmp_path: Path) -> None:
    with sleepers(tmp_path) as (process,):
        fault = Frozen(process)

        await fault.begin()
        await asyncio.sleep(SHORT)
        meanwhile = state(process.pid)
        proof = await fault.end()

        assert meanwhile == "T"
        assert proof == f"{process.pid} stood still all the while"
        async with asyncio.timeout(patient(5)):
            while state(process.pid) == "T":
                await asyncio.sleep(0.01)


async def test_a_freeze_that_somebody_else_ended_is_none(tmp_path: Path) -> None:
    with sleepers(tmp_path) as (process,):
        fault = Frozen(process)
        await fault.begin()
        await asyncio.sleep(SHORT)

        os.kill(process.pid, signal.SIGCONT)
        await asyncio.sleep(SHORT)

        assert await fault.end() == ""


async def test_members_leave_and_join_in_a_storm_and_all_are_there_after_it(
    tmp_path: Path,
) -> None:
    with sleepers(tmp_path, 3) as members:
        storm = Storm(members, every=0.02)

        proof = await struck(storm, 2 * SHORT)

        assert all(member.alive for member in members)
        assert "left" in proof


async def test_a_storm_that_moved_nothing_did_not_bite(tmp_path: Path) -> None:
    with sleepers(tmp_path, 2) as members, pytest.raises(DidNotBite):
        await struck(Storm(members, every=0.02, moved=lambda: 7), SHORT)


async def test_a_roll_replaces_one_after_the_other_and_waits_for_each(tmp_path: Path) -> None:
    with sleepers(tmp_path, 3) as servers:
        was, alive = [server.pid for server in servers], list[int]()

        proof = await struck(
            Rolled(servers, lambda: alive.append(sum(one.alive for one in servers))), 0
        )

        assert alive == [3, 3, 3]
        assert proof == ", ".join(
            f"{old} → {server.pid}" for old, server in zip(was, servers, strict=True)
        )


def faults_of(proxy: Proxy) -> list[Fault]:
    return [
        Cut(proxy),
        BlackHole(proxy),
        BlackHole(proxy, "down"),
        Slow(proxy, delay=0.01),
        Slow(proxy, rate=100_000.0),
    ]


@pytest.mark.parametrize("number", range(5))
async def test_a_fault_of_the_network_bites_a_client_that_talks_and_nobody_else(
    number: int,
) -> None:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Proxy.running("127.0.0.1", port) as proxy:
        fault = faults_of(proxy)[number]
        with pytest.raises(DidNotBite):
            await struck(fault, 0.01)

        talking = asyncio.create_task(_talk(proxy.port))
        await asyncio.sleep(SHORT)
        proof = await struck(fault, SHORT)
        talking.cancel()
        await asyncio.wait({talking})

        assert proof
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.close()
        await writer.wait_closed()


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(100):
            writer.write(data)
    except OSError:
        pass
    finally:
        writer.close()


async def _talk(port: int) -> None:
    """Say something again and again, on a new connection if need be."""
    while True:
        writer: asyncio.StreamWriter | None = None
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            while True:
                writer.write(b"hello")
                if not await reader.read(100):
                    break
        except OSError:
            pass
        finally:
            if writer is not None:
                writer.close()
        await asyncio.sleep(0.01)


async def test_a_full_disk_takes_nothing_until_there_is_room_again(own_disk: OwnDisk) -> None:
    with own_disk(2) as folder:
        fault = DiskFull(folder)

        await fault.begin()
        with pytest.raises(OSError, match="No space left"):
            (folder / "data").write_bytes(bytes(100_000))
        proof = await fault.end()

        assert "one more was refused" in proof
        assert (folder / "data").write_bytes(bytes(100_000)) == 100_000


@pytest.mark.parametrize("by", [timedelta(hours=1), timedelta(hours=-1)])
async def test_a_wall_clock_jumps_and_time_goes_on_as_before(by: timedelta) -> None:
    clock = JumpingClock()
    before, passed = clock.now(), clock.monotonic()
    fault = Jump(clock, by)

    await fault.begin()
    meanwhile, elapsed = clock.now(), clock.monotonic() - passed
    proof = await fault.end()

    assert abs((meanwhile - before) - by) < timedelta(minutes=1)
    assert 0 <= elapsed < 60
    assert "was followed by" in proof
    assert abs(clock.now() - before) < timedelta(minutes=1)


async def test_a_fault_of_ones_own_is_healed_even_if_nobody_waits_any_more() -> None:
    happened: list[str] = []

    async def note(text: str) -> str:
        happened.append(text)
        return text

    fault = Custom(name="lock", beginning=lambda: note("locked"), ending=lambda: note("unlocked"))
    task = asyncio.create_task(struck(fault, 60))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})

    assert happened == ["locked", "unlocked"]


async def test_a_schedule_follows_from_its_seed_and_strikes_with_each_fault_alike() -> None:
    blows = schedule(7, 3, blows=12, every=0.001, lasting=0.001)
    struck_with: list[str] = []

    def fault(name: str) -> Custom:
        async def note() -> str:
            struck_with.append(name)
            return "bit"

        return Custom(name=name, beginning=note, ending=note)

    faults = [fault(name) for name in ("a", "b", "c")]
    proofs = await driven(faults, blows)

    assert blows == schedule(7, 3, blows=12, every=0.001, lasting=0.001)
    assert blows != schedule(8, 3, blows=12, every=0.001, lasting=0.001)
    assert sorted(proofs) == sorted(["a: bit", "b: bit", "c: bit"] * 4)
    assert [line.split()[1] for line in written(faults, blows).splitlines()] == struck_with[::2]


def test_nothing_of_a_small_disk_is_left_behind(own_disk: OwnDisk) -> None:
    with own_disk(1) as folder:
        (folder / "data").write_bytes(b"x")
        assert os.path.ismount(folder)

    assert not os.path.ismount(folder)
    assert list(folder.iterdir()) == []
