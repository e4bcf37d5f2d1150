"""Files that are whole or absent, files that grow by whole rows, and arrays in files."""

import contextlib
import errno
import io
import itertools
import json
import math
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.errors import HebbitError, RunError

PARTIAL = ".partial"
"""Ending of a file that is still being written; after a kill it may be left behind and can be removed."""

_ADVICE = {
    errno.ENOSPC: "free some space there or choose another disk, and try again",
    errno.EDQUOT: "your quota is used up: free some space or choose another disk, and try again",
    errno.EACCES: "choose a place that you may write to",
    errno.EPERM: "choose a place that you may write to",
    errno.EROFS: "choose a place that can be written to",
}

_numbers = itertools.count()


def storage_error(
    path: Path, error: OSError, kind: type[HebbitError] = RunError, what: str = "file", intact: bool = False
) -> HebbitError:
    """Turn what the operating system said about writing a file into a sentence that says what to do.

    Args:
        path: the file that was to be written.
        error: what happened.
        kind: class of the result.
        what: what the file is to the user.
        intact: whether an earlier version is still in place, whole.
    """
    reason = error.strerror or type(error).__name__
    advice = _ADVICE.get(error.errno or 0, "choose another place")
    kept = f"; the previous {what} is intact" if intact else ""
    return kind(f"cannot write {path}: {reason}: {advice}{kept}")


@contextlib.contextmanager
def replacing(path: str | Path, kind: type[HebbitError] = RunError, what: str = "file") -> Iterator[BinaryIO]:
    """Write a file so that its place holds the old content or the new one, never a part, whatever happens.

    Folders on the way are made. Nothing is changed when the block or the disk fails.

    Args:
        path: the place; where it is a symbolic link, what it points to.
        kind: class of the error raised when the operating system refuses.
        what: what the file is to the user.
    """
    path = Path(os.path.realpath(path))
    # Unique among the processes and threads alive; a fixed name would let two of them write into one file.
    partial = path.with_name(f".{path.name}.{os.getpid()}-{next(_numbers)}{PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "wb") as file:
            yield file
            file.flush()
            # Before the rename: a power cut could otherwise keep the new name and lose the content.
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError):
            raise storage_error(path, error, kind, what, intact=path.is_file()) from error
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Bring a rename to the disk, where the system can: the file is whole and in place either way."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def atomic_write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        RunError: the operating system refused; what was there before is intact.
    """
    with replacing(path) as file:
        file.write(data)


def atomic_write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 file whole or not at all, with the line ends as they stand."""
    atomic_write_bytes(path, text.encode())


def read_object(path: Path, advice: str) -> dict[str, Any] | None:
    """Read a JSON object; None where there is no file.

    Args:
        path: of the file.
        advice: what to do if it is damaged.

    Raises:
        RunError: it cannot be read, or holds something else.
    """
    try:
        content = json.loads(path.read_bytes().decode())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged: {error}; {advice}") from error
    if not isinstance(content, dict):
        raise RunError(f"{path} is damaged: expected an object, got {type(content).__name__}; {advice}")
    return content


def remove_partial(folder: Path) -> None:
    """Remove what a killed process left half written; only for who holds the folder's lock."""
    for path in folder.glob(f".*{PARTIAL}"):
        with contextlib.suppress(OSError):
            path.unlink()


class RowFile:
    """A text file that grows by whole rows: each is handed to the system at once, so that a kill loses none."""

    def __init__(self, path: str | Path) -> None:
        """Open an existing file to append to it."""
        self.path = Path(path)
        try:
            self._file = open(self.path, "ab", buffering=0)
        except OSError as error:
            raise storage_error(self.path, error) from error

    def append(self, text: str) -> None:
        """Write rows, line ends included, in one piece.

        Raises:
            RunError: the disk refused.
        """
        data = text.encode()
        size = os.fstat(self._file.fileno()).st_size
        try:
            # A disk that fills up takes a part first and refuses the rest afterwards.
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(size)
            raise storage_error(self.path, error) from error

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def read_rows(path: Path, header_lines: int, keep: int) -> list[str]:
    """Read the header of a file of rows and the first ``keep`` rows, line ends included.

    Raises:
        RunError: there are fewer.
    """
    try:
        with open(path, encoding="utf-8", newline="\n") as file:
            lines = file.readlines()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise RunError(f"cannot go on with {path}: {reason}; start another run") from error
    if lines and not lines[-1].endswith("\n"):
        lines.pop()  # half a row, from a power cut
    if len(lines) < header_lines + keep:
        raise RunError(
            f"cannot go on with {path}: expected {keep} rows, which the checkpoint counts, got "
            f"{max(0, len(lines) - header_lines)}; rows were lost or another file took its place: start another run"
        )
    return lines[: header_lines + keep]


def write_zip(file: BinaryIO, members: Mapping[str, bytes | NDArray[Any]]) -> None:
    """Write a zip archive, arrays as npy; equal content gives equal bytes on every machine.

    Stored rather than compressed: weights are noise to a compressor, and what it emits differs between its versions.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            content = members[name]
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system = 3  # else it says which system wrote it
            info.external_attr = 0o644 << 16
            archive.writestr(info, content if isinstance(content, bytes) else npy(content))


def npy(array: NDArray[Any]) -> bytes:
    """Give an array as the npy file of version 1.0, little-endian and in C order."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, little_endian(array), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def little_endian(array: NDArray[Any]) -> NDArray[Any]:
    """Give an array in the byte order and layout that files and digests use."""
    # ascontiguousarray alone would turn a scalar array into one of one dimension.
    return np.asarray(array, array.dtype.newbyteorder("<"), order="C")


_NPY_HEADER = re.compile(
    rb"\{'descr': '(\|b1|\|[iu]1|<[iu][248]|<f[248])', 'fortran_order': (False|True), "
    rb"'shape': \(((?:[0-9]{1,15}, ?)*[0-9]{0,15})\), \} *\n"
)


def from_npy(data: bytes) -> NDArray[Any]:
    """Read a numeric array of an npy file of version 1.0, trusting nothing in it.

    NumPy's own reader evaluates the header as Python and allocates what it promises before it looks at the data.

    Returns:
        A fresh array in native byte order and C order.

    Raises:
        ValueError: with what is wrong.
    """
    if data[:8] != b"\x93NUMPY\x01\x00":
        raise ValueError("is no npy file of version 1.0")
    start = 10 + int.from_bytes(data[8:10], "little")
    header = _NPY_HEADER.fullmatch(data[10:start])
    if header is None:
        raise ValueError("is no plain numeric array")
    dtype = np.dtype(header[1].decode())
    shape = tuple(int(size) for size in header[3].split(b",") if size.strip())
    # Python's integers: a hostile shape must not overflow into a small number.
    expected = math.prod(shape) * dtype.itemsize
    if len(data) - start != expected:
        raise ValueError(f"promises {expected} bytes of data and holds {len(data) - start}")
    if dtype == np.bool_ and data[start:].strip(b"\0\1"):
        raise ValueError("holds truth values other than 0 and 1")
    flat = np.frombuffer(data, dtype, offset=start) if expected else np.empty(0, dtype)
    shaped = flat.reshape(shape, order="F" if header[2] == b"True" else "C")
    return np.array(shaped, dtype.newbyteorder("="), order="C")
