"""Checkpoints: a zip of one JSON and some npy files. Nothing in it is executed, so a stranger's file can be opened."""

import hashlib
import json
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hebbit.agents.errors import CheckpointError, brief
from hebbit.agents.files import from_npy, little_endian, replacing, write_zip
from hebbit.backends.spec import CONTRACT_VERSION

FORMAT = 1
"""Layout of the file; the contract version says what the arrays mean."""
MAX_BYTES = 1 << 30
"""Largest sum of what a checkpoint unpacks to."""
MAX_META_BYTES = 1 << 24
MAX_MEMBERS = 256

_META = "meta.json"
_ARRAY_NAME = re.compile(r"[a-z_]{1,64}\.npy")
_OWN_KEYS = ("format", "contract", "hebbit")
# Without a comment the end record is the last 22 bytes of a zip; where the file is larger than 4 GB or has very many
# members, another record stands 20 bytes before it.
_END_BYTES, _END_MARK, _ZIP64_BYTES, _ZIP64_MARK = 22, b"PK\5\6", 20, b"PK\6\7"
_DTYPE_KINDS = "biuf"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds."""

    meta: dict[str, Any]
    """What was handed to :func:`write`, and format, contract, hebbit."""
    arrays: dict[str, NDArray[Any]]
    """Fresh arrays in native byte order."""


def hebbit_version() -> str:
    """Name the installed version; 'unknown' where only the sources are on the path."""
    try:
        return version("hebbit")
    except PackageNotFoundError:
        return "unknown"


def write(path: str | Path, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a checkpoint; equal content gives equal bytes, and a failure leaves what was there before.

    Args:
        path: where; missing folders are made.
        meta: plain JSON, without NaN and infinity; the keys format, contract and hebbit are this module's.
        arrays: numeric arrays; names of lower-case letters and underscores.

    Raises:
        CheckpointError: content that a checkpoint cannot hold, or the disk refused.
    """
    own = {"format": FORMAT, "contract": CONTRACT_VERSION, "hebbit": hebbit_version()}
    text = canonical_json({**meta, **own}, "a checkpoint's settings").encode()
    members: dict[str, bytes | NDArray[Any]] = {_META: text}
    for name, array in arrays.items():
        if not _ARRAY_NAME.fullmatch(f"{name}.npy"):
            raise CheckpointError(f"an array's name has lower-case letters and underscores alone, got {name!r}")
        if array.dtype.kind not in _DTYPE_KINDS or array.dtype.itemsize > 8:
            raise CheckpointError(f"a checkpoint holds numbers of at most 64 bits, got {array.dtype} in array {name!r}")
        members[f"{name}.npy"] = array
    total = len(text) + sum(array.nbytes + 4096 for array in arrays.values())
    if len(text) > MAX_META_BYTES or total > MAX_BYTES or len(members) > MAX_MEMBERS:
        raise CheckpointError(
            f"a checkpoint holds at most {MAX_BYTES} bytes in {MAX_MEMBERS} members, {MAX_META_BYTES} of them "
            f"settings, got about {total} in {len(members)}, {len(text)} of them settings: save fewer brains together"
        )
    with replacing(path, CheckpointError, "checkpoint") as file:
        write_zip(file, members)


def read(path: str | Path) -> Checkpoint:
    """Read a checkpoint, trusting nothing in it.

    Raises:
        CheckpointError: with what is wrong.
    """
    path = Path(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise CheckpointError(f"checkpoint {path} is not a file; name the .zip that was saved")
        with open(path, "rb") as file:
            return _read(path, file)
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint {path}; name the .zip that was saved") from error
    except OSError as error:
        raise CheckpointError(f"cannot read checkpoint {path}: {error.strerror or error}") from error


def _read(path: Path, file: BinaryIO) -> Checkpoint:
    _check_end(path, file)
    try:
        with zipfile.ZipFile(file) as archive:
            infos = _check_members(path, archive.infolist())
            meta = _check_meta(path, _content(archive, infos.pop(_META)))
            arrays = {name[: -len(".npy")]: _array(path, archive, info) for name, info in infos.items()}
    # What zipfile raises for damaged files, besides its own class.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        _damaged(path, str(error) or type(error).__name__, error)
    return Checkpoint(meta, arrays)


def _damaged(path: Path, what: str, cause: BaseException | None = None) -> NoReturn:
    raise CheckpointError(f"checkpoint {path} is damaged: {' '.join(what.split())}; use another copy") from cause


def _check_end(path: Path, file: BinaryIO) -> None:
    """Look at the last bytes before zipfile does: it would load an index of any length."""
    start = file.read(4)
    size = file.seek(0, os.SEEK_END)
    if start[:2] != b"PK" or size < _END_BYTES:
        raise CheckpointError(f"{path} is not a checkpoint: expected a zip archive that hebbit wrote")
    if size > MAX_BYTES + (1 << 20):
        raise CheckpointError(f"checkpoint {path} has {size} bytes; at most {MAX_BYTES} are read")
    file.seek(max(0, size - _END_BYTES - _ZIP64_BYTES))
    tail = file.read()
    end = tail[-_END_BYTES:]
    if end[:4] != _END_MARK or end[-2:] != b"\0\0":
        _damaged(path, "it is cut short, or something follows its end")
    if tail[: len(_ZIP64_MARK)] == _ZIP64_MARK or int.from_bytes(end[10:12], "little") > MAX_MEMBERS:
        raise CheckpointError(f"checkpoint {path} has more than {MAX_MEMBERS} members; it is none that hebbit wrote")
    file.seek(0)


def _check_members(path: Path, infos: Sequence[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """Judge the index before anything is unpacked."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        # orig_filename: zipfile cuts a name at its first zero byte.
        name = info.orig_filename
        if name != _META and not _ARRAY_NAME.fullmatch(name):
            raise CheckpointError(
                f"checkpoint {path} has a member {name[:80]!r} that hebbit did not write; do not use it"
            )
        if name in members:
            raise CheckpointError(f"checkpoint {path} has two members {name!r}; do not use it")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise CheckpointError(f"checkpoint {path} is compressed in another way than hebbit does; do not use it")
        members[name] = info
    if len(members) > MAX_MEMBERS:
        raise CheckpointError(f"checkpoint {path} has more than {MAX_MEMBERS} members; it is none that hebbit wrote")
    if _META not in members:
        raise CheckpointError(
            f"{path} is not a checkpoint: it has no {_META}; expected a zip archive that hebbit wrote"
        )
    total = sum(info.file_size for info in infos)
    if total > MAX_BYTES or members[_META].file_size > MAX_META_BYTES:
        raise CheckpointError(f"checkpoint {path} unpacks to {total} bytes; at most {MAX_BYTES} are read")
    return members


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Unpack no more than the index promised, whatever the compressed data would give."""
    with archive.open(info) as member:
        content = member.read(info.file_size)
        # The checksum is compared when the end is met.
        if len(content) != info.file_size or member.read(1):
            raise ValueError(f"{info.filename} has another length than the index says")
    return content


def _array(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    content = _content(archive, info)
    try:
        return from_npy(content)
    except ValueError as error:
        _damaged(path, f"{info.filename} {error}", error)


def _check_meta(path: Path, text: bytes) -> dict[str, Any]:
    """Read the settings and refuse what another hebbit wrote, naming it."""
    try:
        meta = json.loads(text.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        _damaged(path, f"{_META} cannot be read, {error}", error)
    if not isinstance(meta, dict) or any(type(meta.get(key)) is not int for key in ("format", "contract")):
        _damaged(path, f"{_META} lacks the numbers 'format' and 'contract'")
    writer, here = " ".join(str(meta.get("hebbit"))[:40].split()), hebbit_version()
    if meta["format"] != FORMAT:
        advice = "upgrade hebbit" if meta["format"] > FORMAT else "use the hebbit that wrote it"
        raise CheckpointError(
            f"checkpoint {path} has format {meta['format']}, written by hebbit {writer}; this is hebbit {here}, which "
            f"reads format {FORMAT}: {advice}"
        )
    if meta["contract"] != CONTRACT_VERSION:
        raise CheckpointError(
            f"checkpoint {path} follows version {meta['contract']} of the contract, written by hebbit {writer}; this "
            f"is hebbit {here}, which keeps version {CONTRACT_VERSION}: use hebbit {writer}, or train again"
        )
    return meta


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def expect(
    arrays: Mapping[str, NDArray[Any]], name: str, dtype: DTypeLike, shape: Sequence[int | None]
) -> NDArray[Any]:
    """Take an array out of a checkpoint, of exactly this type and shape.

    Args:
        arrays: of a :class:`Checkpoint`.
        name: of the array.
        dtype: its type.
        shape: its lengths; None where any will do.

    Raises:
        CheckpointError: it is missing or another.
    """
    wanted = f"{np.dtype(dtype)} [{', '.join('any' if size is None else str(size) for size in shape)}]"
    if name not in arrays:
        raise CheckpointError(f"the checkpoint has no array {name!r} ({wanted}); use another copy")
    array = arrays[name]
    fits = len(shape) == array.ndim and all(size in (None, got) for size, got in zip(shape, array.shape, strict=True))
    if array.dtype != np.dtype(dtype) or not fits:
        raise CheckpointError(
            f"the checkpoint's array {name!r} should be {wanted}, got {array.dtype} {list(array.shape)}; use another "
            "copy"
        )
    return array


def canonical_json(value: Any, what: str = "the settings") -> str:
    """Give JSON as one text for equal values: keys sorted, no blanks, ASCII, no NaN or infinity.

    Raises:
        CheckpointError: the value is no plain JSON.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{what} must be plain JSON without NaN and infinity: {brief(error)}") from error


def digest(settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """Give SHA-256, in hexadecimal, over settings and arrays, independent of machine, version and layout in memory.

    Each part is a line of JSON, which holds no line end, or the bytes of an array, whose number the line before tells:
    different content cannot give the same input.
    """
    sha = hashlib.sha256(canonical_json(settings).encode() + b"\n")
    for name in sorted(arrays):
        array = little_endian(arrays[name])
        if array.dtype.kind not in _DTYPE_KINDS:
            raise CheckpointError(f"a digest is of numbers, got {array.dtype} in array {name!r}")
        sha.update(canonical_json([name, array.dtype.str, list(array.shape)]).encode() + b"\n")
        sha.update(array.reshape(-1).view(np.uint8).data)
    return sha.hexdigest()
