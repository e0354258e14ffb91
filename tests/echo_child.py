"""A program for ``bench.child``: doubles numbers, and dies of anything else."""

import asyncio

from bench.child import Numbers, answering


async def _double(question: str) -> Numbers:
    return {"twice": 2 * float(question)}


if __name__ == "__main__":
    asyncio.run(answering(_double))
