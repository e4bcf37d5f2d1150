"""The machine code of a kernel as text: a binary taken apart by NVIDIA's disassembler, each instruction with its lines.

The disassembler prints before a group of instructions the source line that they come from and where that was inlined.
"""

import re
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

DISASSEMBLER = "nvdisasm"
WHEEL = "nvidia-cuda-nvdisasm"
INSTRUCTION_BYTES = 16

_SECTION = re.compile(r"^\.text\.(\w+):")
_LABEL = re.compile(r"^([.$\w]+):")
_LINE = re.compile(r'//## File "(?P<file>[^"]+)", line (?P<line>\d+)(?P<inlined> inlined at)?')
_INSTRUCTION = re.compile(
    r"^\s*/\*(?P<address>[0-9a-f]{4,})\*/\s+(?:@(?P<guard>!?U?P[T\d]+)\s+)?(?P<opcode>[A-Z][\w.]*)\s*(?P<rest>.*?)\s*;"
)


class Line(NamedTuple):
    """A place in the source."""

    file: str
    """Name without folder."""
    number: int


class Instruction(NamedTuple):
    """One machine instruction."""

    address: int
    guard: str
    """Predicate under which it acts; empty: always."""
    opcode: str
    """With its modifiers: IMAD.WIDE.U32."""
    operands: tuple[str, ...]
    lines: tuple[Line, ...]
    """The source line, then where that was inlined, and so on; empty in subroutines of the compiler's own."""


@dataclass(frozen=True)
class Kernel:
    """The code of one kernel and the constants that come with it."""

    name: str
    instructions: tuple[Instruction, ...]
    """By address, without gaps."""
    labels: dict[str, int]
    """Addresses."""
    constants: dict[int, bytes]
    """Constant banks that the compiler filled; bank 0 is as long as the launch needs it, parameters last."""
    table: bytes
    """Initialised global memory, to which the first entry of bank 4 points."""
    static_shared: int
    """Bytes of shared memory below what a launch asks for."""


def disassembler() -> Path:
    """Where the disassembler is: from its wheel, or on the path.

    Raises:
        ImportError: nowhere.
    """
    try:
        found = [Path(str(file.locate())) for file in metadata.files(WHEEL) or () if file.stem == DISASSEMBLER]
    except metadata.PackageNotFoundError:
        found = []
    if known := shutil.which(DISASSEMBLER):
        found.append(Path(known))
    if not found:
        raise ImportError(f"counting instructions needs NVIDIA's disassembler; install it with pip install {WHEEL}")
    return found[0]


def disassembled(binary: bytes) -> str:
    """What the disassembler says about a binary.

    Raises:
        RuntimeError: it refuses.
    """
    with tempfile.TemporaryDirectory(prefix="hebbit-") as folder:
        path = Path(folder) / "brain.cubin"
        path.write_bytes(binary)
        command = [str(disassembler()), "-gi", "-c", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{DISASSEMBLER} does not read the binary: {done.stderr.strip()}")
    return done.stdout


def sections(binary: bytes) -> dict[str, tuple[int, bytes]]:
    """Sections of an ELF file by name: size and content (empty if the file holds none)."""
    start, size, number, names = *struct.unpack_from("<Q", binary, 40), *struct.unpack_from("<3H", binary, 58)
    headers = [struct.unpack_from("<IIQQQQ", binary, start + i * size) for i in range(number)]
    base, found = headers[names][4], {}
    for name, kind, _, _, offset, length in headers:
        text = binary[base + name : binary.index(b"\0", base + name)].decode()
        empty = kind == 8  # SHT_NOBITS
        found[text] = (length, b"" if empty else binary[offset : offset + length])
    return found


def split_operands(text: str) -> tuple[str, ...]:
    """Operands between commas that stand outside of brackets, without marks that mean nothing here."""
    bare = re.sub(r"\.reuse\b|`|\(\*.*", "", text).strip()
    return tuple(part.strip() for part in re.split(r",\s*(?![^\[(]*[\])])", bare)) if bare else ()


class Listing:
    """What the disassembler printed, read line by line."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.code: dict[str, list[Instruction]] = {}
        """Instructions by kernel."""
        self.labels: dict[str, dict[str, int]] = {}
        """Addresses by kernel and label."""
        self.section = ""
        self._lines: list[Line] = []
        self._fresh = True

    def read(self, text: str) -> None:
        """Take one line."""
        if found := _LINE.search(text):
            if self._fresh:
                self._lines = []
            self._fresh = False
            self._lines.append(Line(re.split(r"[/\\]", found["file"])[-1], int(found["line"])))
        elif found := _SECTION.match(text):
            self.section = found[1]
            self.code[self.section], self.labels[self.section] = [], {}
        elif self.section and (found := _LABEL.match(text)):
            self.labels[self.section][found[1]] = INSTRUCTION_BYTES * len(self.code[self.section])
            if found[1].startswith("$"):
                self._lines = []
        elif found := _INSTRUCTION.match(text):
            self._fresh = True
            self.code[self.section].append(
                Instruction(
                    int(found["address"], 16),
                    found["guard"] or "",
                    found["opcode"],
                    split_operands(found["rest"]),
                    tuple(self._lines),
                )
            )


def kernels(binary: bytes) -> dict[str, Kernel]:
    """The kernels of a binary by name.

    Raises:
        ImportError: there is no disassembler.
        RuntimeError: it refuses, or prints what is not understood.
    """
    listing = Listing()
    for line in disassembled(binary).splitlines():
        listing.read(line)
    parts = sections(binary)
    found = {}
    for name, code in listing.code.items():
        size = len(parts[f".text.{name}"][1])
        if [one.address for one in code] != list(range(0, size, INSTRUCTION_BYTES)):
            raise RuntimeError(f"{DISASSEMBLER} printed {len(code)} instructions for the {size} bytes of {name}")
        banks = {bank: parts.get(f".nv.constant{bank}.{name}", (0, b""))[1] for bank in (0, 2)}
        table, shared = parts.get(".nv.global.init", (0, b""))[1], parts.get(f".nv.shared.{name}", (0, b""))[0]
        found[name] = Kernel(name, tuple(code), listing.labels[name], banks, table, shared)
    return found
