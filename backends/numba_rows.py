"""Rows of 32-bit words as values, compiled by Numba: what the kernels reckon with.

A *row* is a value of one of LLVM's vector types. It becomes SIMD instructions of whatever width the processor has; a
loop would depend on what the compiler makes of it.
"""

import operator

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from hebbit.backends import philox as reference
from hebbit.backends.numba_layout import B
from hebbit.backends.spec import LANES

BIT, BYTE, WORD, LONG = (ir.IntType(bits) for bits in (1, 8, 32, 64))
VECTOR, WIDE = ir.VectorType(WORD, B), ir.VectorType(LONG, B // 2)
LOW = 0xFFFFFFFF


class Row(types.Type):
    """The type of a row."""

    def __init__(self, words):
        """A row of so many words."""
        super().__init__(f"Row({words})")
        self.vector = ir.VectorType(WORD, words)


ROW, SHORT = Row(B), Row(B // 2)


@register_model(Row)
class RowModel(models.PrimitiveModel):
    """A row is a vector of LLVM's."""

    def __init__(self, manager, kind):
        """See Numba's extending.models."""
        super().__init__(manager, kind, kind.vector)


def _constant(vector, number):
    """A vector of equal constants."""
    return ir.Constant(vector, [number] * vector.count)


def _splat(builder, value, vector=VECTOR):
    """A vector of equal numbers."""
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(WORD, 0))
    return builder.shuffle_vector(first, first, _constant(ir.VectorType(WORD, vector.count), 0))


def _llvm(builder, name, result, *args):
    """Call an intrinsic function of LLVM's."""
    kind = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}"), args)


def _operator(operation, instruction):
    """Give rows an operator; a number on its right counts for all of their words."""

    @infer_global(operation)
    class Template(AbstractTemplate):
        def generic(self, args, kws):
            if isinstance(args[0], Row) and len(args) == 2:
                return signature(args[0], args[0], args[1] if args[1] == args[0] else types.uint32)
            return None

    @lower_builtin(operation, Row, Row)
    @lower_builtin(operation, Row, types.uint32)
    def lower(context, builder, sig, args):
        x, y = args
        return getattr(builder, instruction)(x, y if sig.args[1] == sig.args[0] else _splat(builder, y, x.type))


_operator(operator.and_, "and_")
_operator(operator.or_, "or_")
_operator(operator.xor, "xor")
_operator(operator.add, "add")
_operator(operator.mul, "mul")
_operator(operator.lshift, "shl")
_operator(operator.rshift, "lshr")


@infer_global(operator.invert)
class Invert(AbstractTemplate):
    """The type of ~row."""

    def generic(self, args, kws):
        """See Numba's templates."""
        return signature(args[0], args[0]) if isinstance(args[0], Row) else None


@lower_builtin(operator.invert, Row)
def invert(context, builder, sig, args):
    """The code of ~row."""
    return builder.not_(args[0])


@intrinsic
def pointer(typingctx, array):
    """Where the numbers of a contiguous array begin. Passing that on is free, passing an array counts references."""

    def codegen(context, builder, sig, args):
        return context.make_array(sig.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), codegen


@intrinsic
def beyond(typingctx, start, by):
    """A pointer to the number that comes so much later."""

    def codegen(context, builder, sig, args):
        return builder.gep(args[0], [args[1]])

    return start(start, types.intp), codegen


@intrinsic
def signed(typingctx, start):
    """The same words as signed numbers."""

    def codegen(context, builder, sig, args):
        return builder.bitcast(args[0], WORD.as_pointer())

    return types.CPointer(types.int32)(start), codegen


@intrinsic
def octets(typingctx, start):
    """The same words as bytes, four of each."""

    def codegen(context, builder, sig, args):
        return builder.bitcast(args[0], BYTE.as_pointer())

    return types.CPointer(types.uint8)(start), codegen


def _place(builder, start, at, vector):
    """Pointer to a vector."""
    return builder.bitcast(builder.gep(start, [at]), vector.as_pointer())


@intrinsic
def load(typingctx, start, at):
    """The row that begins at an index."""

    def codegen(context, builder, sig, args):
        return builder.load(_place(builder, *args, ROW.vector), align=4)

    return ROW(start, types.intp), codegen


@intrinsic
def load_short(typingctx, start, at):
    """The short row that begins at an index."""

    def codegen(context, builder, sig, args):
        return builder.load(_place(builder, *args, SHORT.vector), align=4)

    return SHORT(start, types.intp), codegen


@intrinsic
def store(typingctx, start, at, row):
    """Write a row that is to begin at an index."""

    def codegen(context, builder, sig, args):
        builder.store(args[2], _place(builder, args[0], args[1], args[2].type), align=4)
        return context.get_dummy_value()

    return types.void(start, types.intp, row), codegen


@intrinsic
def spread(typingctx, word):
    """A row of equal words."""

    def codegen(context, builder, sig, args):
        return _splat(builder, args[0])

    return ROW(types.uint32), codegen


@intrinsic
def ascending(typingctx):
    """The numbers 0 to 15."""

    def codegen(context, builder, sig, args):
        return ir.Constant(VECTOR, list(range(B)))

    return ROW(), codegen


@intrinsic
def rotated(typingctx, row, by):
    """Lane j of each word takes lane j - by, modulo 32."""

    def codegen(context, builder, sig, args):
        kind = args[0].type
        return _llvm(builder, f"fshl.v{kind.count}i32", kind, args[0], args[0], _splat(builder, args[1], kind))

    return row(row, types.uint32), codegen


@intrinsic
def empty(typingctx, row):
    """Whether no bit is set."""

    def codegen(context, builder, sig, args):
        words = builder.icmp_unsigned("!=", args[0], _constant(VECTOR, 0))
        return builder.icmp_unsigned("==", builder.bitcast(words, ir.IntType(B)), ir.Constant(ir.IntType(B), 0))

    return types.boolean(ROW), codegen


@intrinsic
def popcount(typingctx, row):
    """Number of set bits of each word."""

    def codegen(context, builder, sig, args):
        return _llvm(builder, f"ctpop.v{B}i32", VECTOR, args[0])

    return ROW(ROW), codegen


@intrinsic
def total(typingctx, row):
    """Sum of the words, which are signed."""

    def codegen(context, builder, sig, args):
        wide = builder.sext(args[0], ir.VectorType(LONG, B))
        return _llvm(builder, f"vector.reduce.add.v{B}i64", LONG, wide)

    return types.int64(ROW), codegen


def _planes_of(count):
    """Code that makes so many bit planes of 32 numbers, one byte each."""

    def codegen(context, builder, sig, args):
        kind = ir.VectorType(BYTE, LANES)
        numbers = builder.load(_place(builder, *args, kind), align=1)
        digits = [builder.lshr(numbers, _constant(kind, digit)) for digit in range(count)]
        planes = [builder.bitcast(builder.trunc(digit, ir.VectorType(BIT, LANES)), WORD) for digit in digits]
        return context.make_tuple(builder, sig.return_type, planes)

    return codegen


@intrinsic
def nibble_planes(typingctx, start, at):
    """The four bit planes of 32 numbers of four bits, one byte each."""
    return types.UniTuple(types.uint32, 4)(start, types.intp), _planes_of(4)


@intrinsic
def byte_planes(typingctx, start, at):
    """The eight bit planes of 32 bytes."""
    return types.UniTuple(types.uint32, 8)(start, types.intp), _planes_of(8)


def _rounds(builder, counter, keys):
    """Philox4x32-10 over vectors of 64-bit words, of which the upper halves are of no account."""
    c0, c1, c2, c3 = counter
    low, half = _constant(WIDE, LOW), _constant(WIDE, 32)
    for k0, k1 in keys:
        p0 = builder.mul(builder.and_(c0, low), _constant(WIDE, reference.MULTIPLIER_0))
        p1 = builder.mul(builder.and_(c2, low), _constant(WIDE, reference.MULTIPLIER_1))
        c0 = builder.xor(builder.xor(builder.lshr(p1, half), c1), k0)
        c2 = builder.xor(builder.xor(builder.lshr(p0, half), c3), k1)
        c1, c3 = p1, p0
    return c0, c1, c2, c3


@intrinsic
def philox_row(typingctx, c0, c1, c2, c3, k0, k1):
    """Philox4x32-10 of 16 counters whose first and third words are rows: four rows.

    Products have 64 bits, so even and odd words are reckoned in vectors of their own.
    """

    def codegen(context, builder, sig, args):
        def wide(word):
            return _splat(builder, builder.zext(word, LONG), WIDE)

        def schedule(key, weyl):
            steps = (ir.Constant(WORD, i * weyl & LOW) for i in range(reference.ROUNDS))
            return [wide(builder.add(key, step)) for step in steps]

        keys = list(zip(schedule(args[4], reference.WEYL_0), schedule(args[5], reference.WEYL_1), strict=True))
        c0, c1, c2, c3 = builder.bitcast(args[0], WIDE), wide(args[1]), builder.bitcast(args[2], WIDE), wide(args[3])
        even = _rounds(builder, (c0, c1, c2, c3), keys)
        c0, c2 = (builder.lshr(c, _constant(WIDE, 32)) for c in (c0, c2))
        odd = _rounds(builder, (c0, c1, c2, c3), keys)
        in_turn = ir.Constant(VECTOR, [i & ~1 | (i & 1) * B for i in range(B)])
        pairs = [[builder.bitcast(half, VECTOR) for half in pair] for pair in zip(even, odd, strict=True)]
        return context.make_tuple(builder, sig.return_type, [builder.shuffle_vector(*pair, in_turn) for pair in pairs])

    word = types.uint32
    return types.UniTuple(ROW, 4)(ROW, word, ROW, word, word, word), codegen
