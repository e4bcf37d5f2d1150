"""Checkpoints that come back as they were, and files that are refused with a sentence instead."""

import errno
import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hebbit.agents import checkpoint
from hebbit.agents.checkpoint import FORMAT, digest, expect, read, write
from hebbit.agents.errors import CheckpointError
from hebbit.agents.files import npy
from hebbit.backends.spec import CONTRACT_VERSION

META = {"env": {"id": "CartPole-v1", "kwargs": {}}, "steps": 12, "rate": 0.1, "note": "käse\n"}
ARRAYS: dict[str, NDArray[Any]] = {
    "weights": np.arange(24, dtype=np.int8).reshape(2, 3, 4) - 5,
    "brain": np.array([7], np.uint32),
    "empty": np.zeros((0, 3), np.int32),
    "seen": np.array([True, False]),
}
OWN = {"format": FORMAT, "contract": CONTRACT_VERSION, "hebbit": checkpoint.hebbit_version()}


def archive(path: Path, *members: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members:
            file.writestr(zipfile.ZipInfo(name), content, compression)
    return path


def meta(**changes: object) -> tuple[str, bytes]:
    return "meta.json", json.dumps({**OWN, **changes}).encode()


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read(path)
    text = str(caught.value)
    assert "\n" not in text and str(path) in text
    return text


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    write(tmp_path / "model.zip", META, ARRAYS)
    return tmp_path / "model.zip"


def test_a_checkpoint_comes_back(saved: Path) -> None:
    back = read(saved)
    assert back.meta == META | OWN
    assert back.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(back.arrays[name], array, strict=True)
        assert back.arrays[name].flags.writeable


def test_what_was_read_can_be_written_again(saved: Path, tmp_path: Path) -> None:
    back = read(saved)
    write(tmp_path / "again.zip", {**back.meta, "format": 99, "hebbit": "9.9.9"}, back.arrays)
    assert (tmp_path / "again.zip").read_bytes() == saved.read_bytes()


def test_equal_content_gives_equal_bytes(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 2e9)
    turned = {name: np.asfortranarray(array) for name, array in reversed(ARRAYS.items())}
    write(tmp_path / "again.zip", dict(reversed(META.items())), turned)
    assert (tmp_path / "again.zip").read_bytes() == saved.read_bytes()


def test_numpy_reads_it_without_pickle(saved: Path) -> None:
    with np.load(saved, allow_pickle=False) as file:
        np.testing.assert_array_equal(file["weights"], ARRAYS["weights"])


def test_a_full_disk_leaves_the_previous_checkpoint(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    sentence = "No space left on device: free some space .*; the previous checkpoint is intact$"
    with pytest.raises(CheckpointError, match=sentence):
        write(saved, {}, ARRAYS)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["model.zip"]


def test_a_disk_that_fills_up_while_writing_leaves_it_too(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()
    original = zipfile.ZipFile.writestr
    calls = []

    def writestr(self: zipfile.ZipFile, *arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(self, *arguments)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", writestr)
    with pytest.raises(CheckpointError, match="the previous checkpoint is intact"):
        write(saved, {}, ARRAYS)
    assert {path.name: path.read_bytes() for path in saved.parent.iterdir()} == {"model.zip": before}


@pytest.mark.parametrize(
    ("settings", "arrays", "complaint"),
    [
        ({"x": float("nan")}, {}, "plain JSON without NaN"),
        ({"x": np.int64(1)}, {}, "plain JSON"),
        ({"x": {1, 2}}, {}, "plain JSON"),
        ({}, {"w1": np.zeros(1)}, "lower-case letters and underscores alone, got 'w1'"),
        ({}, {"../w": np.zeros(1)}, "lower-case letters"),
        ({}, {"w": np.array([None])}, "numbers of at most 64 bits, got object in array 'w'"),
        ({}, {"w": np.array(["a"])}, "numbers"),
        ({}, {"w": np.zeros(1, np.complex64)}, "numbers"),
        ({}, {"w": np.broadcast_to(np.zeros(1, np.int8), (1 << 31,))}, "save fewer brains"),
    ],
)
def test_what_no_checkpoint_holds_is_refused(
    settings: dict[str, Any], arrays: dict[str, NDArray[Any]], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=complaint):
        write(tmp_path / "model.zip", settings, arrays)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "there is no checkpoint" in refusal(tmp_path / "model.zip")
    assert "is not a file" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "is not a file" in refusal(tmp_path / "pipe")


def test_a_file_that_is_no_zip(tmp_path: Path) -> None:
    for content in (b"", b"P", b"hello" * 100, b"\x80\x04pickle."):
        (tmp_path / "model.zip").write_bytes(content)
        assert "is not a checkpoint: expected a zip archive" in refusal(tmp_path / "model.zip")


def test_every_truncation_is_refused(saved: Path) -> None:
    whole = saved.read_bytes()
    for length in range(len(whole)):
        saved.write_bytes(whole[:length])
        refusal(saved)
    saved.write_bytes(whole + b"x")
    assert "something follows its end" in refusal(saved)


def test_other_formats_and_contracts_name_who_wrote_them(tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    archive(path, meta(format=FORMAT + 1, hebbit="9.9.9"))
    assert "has format 2, written by hebbit 9.9.9" in refusal(path)
    assert refusal(path).endswith("upgrade hebbit")
    archive(path, meta(format=0, contract=CONTRACT_VERSION))
    assert refusal(path).endswith("use the hebbit that wrote it")
    archive(path, meta(contract=CONTRACT_VERSION + 1, hebbit="9.9.9"))
    assert f"keeps version {CONTRACT_VERSION}: use hebbit 9.9.9, or train again" in refusal(path)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"format": 1}',
        b'{"format": true, "contract": 1}',
        b'{"format": 1, "contract": "1"}',
        b'{"format": 1, "contract": 1, "x": NaN}',
        b'{"format": 1, "contract": 1, "x": -Infinity}',
        b'{"format": 1, "contract": 1, "x": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"x": ' * 100_000,
        b"\xff\xfe",
    ],
    ids=lambda text: text[:40].decode(errors="replace"),
)
def test_damaged_settings_are_refused(text: bytes, tmp_path: Path) -> None:
    assert "is damaged: meta.json" in refusal(archive(tmp_path / "model.zip", ("meta.json", text)))


@pytest.mark.parametrize(
    "name",
    ["../weights.npy", "/weights.npy", "a/b.npy", "Weights.npy", "w1.npy", "weights.pkl", ".npy", "w.npy\0", "w.npy\n"],
)
def test_names_that_hebbit_does_not_write_are_refused(name: str, tmp_path: Path) -> None:
    # writestr cuts a name at a zero byte, so a letter of the same length is replaced in the bytes.
    path = archive(tmp_path / "model.zip", meta(), (name.replace("\0", "~"), npy(np.zeros(1))))
    path.write_bytes(path.read_bytes().replace(b"w.npy~", b"w.npy\0"))
    assert "that hebbit did not write" in refusal(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_odd_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    content = npy(np.zeros(1))
    assert "two members 'w.npy'" in refusal(archive(path, meta(), ("w.npy", content), ("w.npy", content)))
    assert "it has no meta.json" in refusal(archive(path, ("w.npy", content)))
    assert "it has no meta.json" in refusal(archive(path))
    assert "compressed in another way" in refusal(archive(path, meta(), compression=zipfile.ZIP_BZIP2))
    many = [("abcdefghijklmnop"[i % 16] * (1 + i // 16) + ".npy", content) for i in range(300)]
    assert "more than 256 members" in refusal(archive(path, meta(), *many))


def test_a_checkpoint_that_was_packed_again_is_read(tmp_path: Path) -> None:
    path = archive(tmp_path / "model.zip", meta(), ("w.npy", npy(np.arange(3))), compression=zipfile.ZIP_DEFLATED)
    np.testing.assert_array_equal(read(path).arrays["w"], np.arange(3))


@pytest.mark.parametrize(("limit", "message"), [("MAX_BYTES", "unpacks to"), ("MAX_META_BYTES", "unpacks to")])
def test_bombs_are_refused_unopened(limit: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "model.zip", meta(text="0" * 1_000_000), compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10_000
    assert len(read(path).meta["text"]) == 1_000_000
    monkeypatch.setattr(checkpoint, limit, 900_000)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("it was opened"))
    assert message in refusal(path)


def patched(path: Path, change: Callable[[bytearray, int], None]) -> Path:
    """Change the index entry of the last member, whose size field is at 24 and checksum at 16."""
    content = bytearray(path.read_bytes())
    change(content, content.rindex(b"PK\1\2"))
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("claimed", [0, 100, 10_000, 100_000])
def test_sizes_that_lie_are_found(claimed: int, tmp_path: Path) -> None:
    data = npy(np.zeros(1000, np.int8))
    path = archive(tmp_path / "model.zip", meta(), ("w.npy", data), compression=zipfile.ZIP_DEFLATED)
    patched(path, lambda content, at: struct.pack_into("<I", content, at + 24, claimed))
    assert "is damaged" in refusal(path)


def test_checksums_are_compared(saved: Path) -> None:
    content = saved.read_bytes()
    at = content.index(ARRAYS["weights"].tobytes())
    saved.write_bytes(content[:at] + b"\x7f" + content[at + 1 :])
    assert "is damaged: Bad CRC-32" in refusal(saved)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "model.zip", meta(), ("w.npy", npy(np.zeros(1))))
    patched(path, lambda content, at: struct.pack_into("<H", content, at + 8, 1))
    assert "is damaged" in refusal(path)


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], object), allow_pickle=True)
    text = refusal(archive(tmp_path / "model.zip", meta(), ("w.npy", buffer.getvalue())))
    assert "w.npy is no plain numeric array" in text


@given(st.data())
def test_no_damage_escapes_as_another_error(data: st.DataObject) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(zipfile.ZipInfo("meta.json"), meta()[1], data.draw(st.sampled_from([0, 8])))
        file.writestr(zipfile.ZipInfo("w.npy"), npy(np.zeros(3)), data.draw(st.sampled_from([0, 8])))
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file_like = io.BytesIO(bytes(content))
    try:
        checkpoint._read(Path("model.zip"), file_like)
    except (CheckpointError, OSError):
        pass  # read() makes one of the other


def test_expect_takes_what_fits() -> None:
    assert expect(ARRAYS, "weights", np.int8, (2, 3, 4)) is ARRAYS["weights"]
    assert expect(ARRAYS, "weights", "int8", (None, 3, None)) is ARRAYS["weights"]


@pytest.mark.parametrize(
    ("name", "dtype", "shape", "complaint"),
    [
        ("traces", np.int8, (2,), r"no array 'traces' \(int8 \[2\]\)"),
        ("weights", np.int8, (2, 3), r"should be int8 \[2, 3\], got int8 \[2, 3, 4\]"),
        ("weights", np.int8, (None, 4, 4), r"should be int8 \[any, 4, 4\]"),
        ("weights", np.uint8, (2, 3, 4), r"should be uint8"),
    ],
)
def test_expect_refuses_the_rest(name: str, dtype: Any, shape: tuple[int | None, ...], complaint: str) -> None:
    with pytest.raises(CheckpointError, match=complaint):
        expect(ARRAYS, name, dtype, shape)


def test_the_digest_is_a_known_number() -> None:
    # sha256 of '{"a":1,"b":[0.5]}\n["w","<i2",[2]]\n' and the bytes 01 00 02 00
    known = "e0065e6b2b3ea8266e8abca93b9dfa1ae0ee8d3b89a6b94da552d4ce257da752"
    assert digest({"b": [0.5], "a": 1}, {"w": np.array([1, 2], np.int16)}) == known


def test_the_digest_is_of_content_not_of_layout() -> None:
    one = digest(META, ARRAYS)
    turned = {name: np.asfortranarray(array.astype(array.dtype.newbyteorder(">"))) for name, array in ARRAYS.items()}
    assert digest(dict(reversed(META.items())), dict(reversed(turned.items()))) == one


@pytest.mark.parametrize(
    ("settings", "arrays"),
    [
        ({"a": 2}, {"w": np.zeros(4, np.int8)}),
        ({"a": 1}, {"w": np.zeros((2, 2), np.int8)}),
        ({"a": 1}, {"w": np.zeros(4, np.uint8)}),
        ({"a": 1}, {"v": np.zeros(4, np.int8)}),
        ({"a": 1}, {"w": np.array([0, 0, 0, 1], np.int8)}),
        ({"a": 1}, {"w": np.zeros(4, np.int8), "x": np.zeros(0, np.int8)}),
        ({"a": 1}, {}),
    ],
)
def test_the_digest_sees_every_change(settings: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    assert digest(settings, arrays) != digest({"a": 1}, {"w": np.zeros(4, np.int8)})


def test_the_digest_refuses_what_is_no_number() -> None:
    with pytest.raises(CheckpointError, match="a digest is of numbers, got object"):
        digest({}, {"w": np.array([None])})
