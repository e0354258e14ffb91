"""A program of the bench in a process of its own, asked and answering by lines of JSON."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

ANSWER_SECONDS = 240.0
"""Time after which a question is given up."""
END_SECONDS = 20.0
ROOT = Path(__file__).parents[1]

Numbers = Mapping[str, float]


class Child:
    """One process, which lives as long as its block."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @asynccontextmanager
    async def running(cls, module: str, *arguments: str) -> AsyncGenerator[Self]:
        """Start ``python -m module``; it ends when nothing more will be asked."""
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", module, *arguments)
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, cwd=ROOT)
        try:
            yield cls(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                async with asyncio.timeout(END_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    async def ask(self, question: str) -> Numbers:
        """Ask, and wait for the answer. Raises RuntimeError if the program has ended instead."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{question}\n".encode())
        async with asyncio.timeout(ANSWER_SECONDS):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a process of the bench has ended instead of telling {question!r}")
        answer: Numbers = json.loads(line)
        return answer


async def answering(answer: Callable[[str], Awaitable[Numbers]]) -> None:
    """Answer, in the process that was started, until nothing more will be asked."""
    while question := (await asyncio.to_thread(sys.stdin.readline)).strip():
        print(json.dumps(await answer(question)), flush=True)
