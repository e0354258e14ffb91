"""A small disk of one's own, and a disk that is full."""

import errno
import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

BLOCK = 64 * 1024
FILLER = "filler"


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Generator[Path]:
    """Mount an empty disk of so many megabytes at *folder*, which needs the rights of root.

    Raises OSError where that is not allowed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = ("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder))
    _run("mount", *options)
    try:
        yield folder
    finally:
        _run("umount", "--lazy", str(folder))


class DiskFull:
    """Nothing can be written to the disk that *folder* is on, until it is over."""

    def __init__(self, folder: Path) -> None:
        """Fill it: give a disk of its own, as of ``small_disk``."""
        self.name = f"disk full at {folder}"
        self._filler = folder / FILLER
        self._full = False

    async def begin(self) -> None:
        """Write until the disk takes no more."""
        with self._filler.open("ab", buffering=0) as file:
            size = BLOCK
            while size:
                try:
                    file.write(bytes(size))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2
        self._full = _is_full(self._filler.parent)

    async def end(self) -> str:
        """Make room again."""
        size = self._filler.stat().st_size
        self._filler.unlink()
        return f"{size} bytes filled it, and one more was refused" if self._full else ""


def _is_full(folder: Path) -> bool:
    probe = folder / f"{FILLER}.probe"
    try:
        probe.write_bytes(bytes(BLOCK))
    except OSError as error:
        return error.errno == errno.ENOSPC
    finally:
        probe.unlink(missing_ok=True)
    return False


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=30)  # noqa: S603 -- mount and umount, with arguments of ours
    if done.returncode:
        raise OSError(errno.EPERM, f"{command[0]}: {done.stderr.strip()}", os.fspath(command[-1]))
