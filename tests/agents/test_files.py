"""Files that are whole or absent, and arrays in files that nobody vouches for."""

import errno
import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hebbit.agents.errors import CheckpointError, RunError
from hebbit.agents.files import (
    RowFile,
    atomic_write_bytes,
    atomic_write_text,
    from_npy,
    npy,
    read_rows,
    remove_partial,
    replacing,
    write_zip,
)


def full(*_: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    for data in (b"old", b"new"):
        atomic_write_bytes(tmp_path / "file", data)
    atomic_write_text(tmp_path / "folder" / "text", "ä\r\n")
    assert (tmp_path / "folder" / "text").read_bytes() == "ä\r\n".encode()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder", "text"]
    assert (tmp_path / "file").read_bytes() == b"new"


def test_what_a_link_points_to_is_replaced(tmp_path: Path) -> None:
    atomic_write_bytes(tmp_path / "real", b"old")
    (tmp_path / "link").symlink_to("real")
    atomic_write_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    atomic_write_bytes(tmp_path / "file", b"old")
    monkeypatch.setattr(os, function, full)
    with pytest.raises(RunError, match="No space left on device: free some .* the previous file is intact"):
        atomic_write_bytes(tmp_path / "file", b"new")
    with pytest.raises(RunError, match="try again$"):
        atomic_write_bytes(tmp_path / "other", b"new")
    assert contents(tmp_path) == {"file": b"old"}


def test_an_interruption_leaves_the_old_file(tmp_path: Path) -> None:
    atomic_write_bytes(tmp_path / "file", b"old")
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "file") as file:
        file.write(b"new")
        raise KeyboardInterrupt
    assert contents(tmp_path) == {"file": b"old"}


def test_the_content_is_on_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(file: int) -> None:
        order.append("sync")
        fsync(file)

    def noted_replace(old: Path, new: Path) -> None:
        order.append("rename")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    atomic_write_bytes(tmp_path / "file", b"new")
    assert order == ["sync", "rename", "sync"]


def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "open", full)
    atomic_write_bytes(tmp_path / "file", b"new")
    assert contents(tmp_path) == {"file": b"new"}


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(CheckpointError, match="cannot write .*: choose another place"):
        with replacing(tmp_path / "file" / "below", CheckpointError):
            pytest.fail("there is nothing to write to")


def test_leftovers_of_a_kill_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".model.zip.17-0.partial").write_bytes(b"half")
    (tmp_path / "model.zip").write_bytes(b"whole")
    remove_partial(tmp_path)
    assert contents(tmp_path) == {"model.zip": b"whole"}


def test_rows_go_to_the_system_at_once(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_text("a\n")
    rows = RowFile(path)
    rows.append("b\n")
    assert path.read_text() == "a\nb\n"
    rows.close()


def test_a_full_disk_leaves_no_half_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows"
    path.write_text("a\n")
    rows = RowFile(path)

    class FillingUp:
        """Takes three bytes, then nothing."""

        def __init__(self, file: Any) -> None:
            self.file, self.calls = file, 0

        def write(self, data: bytes) -> int:
            self.calls += 1
            return int(self.file.write(data[:3])) if self.calls == 1 else full()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    monkeypatch.setattr(rows, "_file", FillingUp(rows._file))
    with pytest.raises(RunError, match="No space left on device: free some"):
        rows.append("bbbbbb\n")
    assert path.read_text() == "a\n"
    rows.close()


def test_rows_are_cut_where_the_checkpoint_was_made(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_text("header\n1\n2\n3\nhal")
    assert read_rows(path, 1, 2) == ["header\n", "1\n", "2\n"]
    assert read_rows(path, 1, 3) == ["header\n", "1\n", "2\n", "3\n"]
    with pytest.raises(RunError, match="expected 4 rows, which the checkpoint counts, got 3"):
        read_rows(path, 1, 4)
    with pytest.raises(RunError, match="No such file"):
        read_rows(tmp_path / "absent", 1, 0)
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(RunError, match="it is no text"):
        read_rows(path, 0, 1)


ARRAYS = [
    np.arange(6, dtype=np.int32).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(4, dtype=">u2"),
    np.array(True),
    np.array([True, False]),
    np.zeros((0, 4), np.uint8),
    np.array([-1.5, np.inf], np.float16),
    np.arange(12, dtype=np.int64)[::3],
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype.str}{array.shape}")
def test_arrays_come_back(array: NDArray[Any]) -> None:
    back = from_npy(npy(array))
    assert back.dtype == array.dtype.newbyteorder("=") and back.dtype.isnative and back.flags.writeable
    np.testing.assert_array_equal(back, array, strict=array.dtype.isnative)
    np.testing.assert_array_equal(np.load(io.BytesIO(npy(array))), array)


def test_arrays_of_numpy_are_read() -> None:
    buffer = io.BytesIO()
    np.save(buffer, ARRAYS[1])
    assert b"'fortran_order': True" in buffer.getvalue()
    np.testing.assert_array_equal(from_npy(buffer.getvalue()), ARRAYS[1])


def header(text: str, data: bytes = b"", version: bytes = b"\1\0") -> bytes:
    line = text.encode() + b"\n"
    return b"\x93NUMPY" + version + len(line).to_bytes(2, "little") + line + data


def described(descr: str, shape: str, data: bytes = b"") -> bytes:
    return header(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}", data)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "is no npy file"),
        (b"PK\3\4 not at all", "is no npy file"),
        (header("{}", version=b"\3\0"), "is no npy file of version 1.0"),
        (described("|O", "(1,)", b"cos\nsystem\n"), "is no plain numeric array"),
        (described("<U4", "(1,)", bytes(16)), "is no plain numeric array"),
        (described("<c8", "(1,)", bytes(8)), "is no plain numeric array"),
        (described("<b1", "(1,)", bytes(1)), "is no plain numeric array"),
        (described("|u1", "(-1,)", bytes(1)), "is no plain numeric array"),
        (header("__import__('os').abort()"), "is no plain numeric array"),
        (header("[" * 60000), "is no plain numeric array"),
        (described("|u1", "(4,)", bytes(3)), "promises 4 bytes of data and holds 3"),
        (described("|u1", "(4,)", bytes(5)), "promises 4 bytes of data and holds 5"),
        (described("|u1", "(999999999999,)", bytes(1)), "promises 999999999999 bytes"),
        (described("<i8", "(4294967296, 4294967296,)", b""), "promises 147573952589676412928 bytes"),
        (described("|u1", f"({'1, ' * 70})", bytes(1)), "dimension"),
        (described("|u1", "(0, 999999999999999, 999999999999999,)"), "array"),
        (described("|b1", "(3,)", b"\1\2\1"), "truth values"),
    ],
)
def test_hostile_arrays_are_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        from_npy(data)


def test_archives_of_equal_content_are_equal_bytes() -> None:
    members: list[tuple[str, bytes | NDArray[Any]]] = [("b.npy", np.arange(3, dtype=np.int32)), ("a.json", b"{}")]
    files = [io.BytesIO() for _ in range(3)]
    write_zip(files[0], dict(members))
    write_zip(files[1], dict(members[::-1]))
    write_zip(files[2], {**dict(members), "b.npy": np.arange(3, dtype=">i4")})
    assert files[0].getvalue() == files[1].getvalue() == files[2].getvalue()
    infos = zipfile.ZipFile(files[0]).infolist()
    assert [info.filename for info in infos] == ["a.json", "b.npy"]
    assert {(info.date_time, info.create_system) for info in infos} == {((1980, 1, 1, 0, 0, 0), 3)}
