"""Sixteen numbers as one value of compiled code, for loops that LLVM cannot vectorise by itself: it would have to prove that rows of one
array do not overlap, and test it at each row where it cannot. Arithmetic is written as for numbers; sums keep the order in which they are
written, products may be contracted with them. The compiler maps a value to as many registers as the processor needs.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, overload, register_model

from .jit import INLINED

WIDTH = 16
_CONTRACT = ("contract",)


class LanesType(types.Type):
    """WIDTH numbers of one real type."""

    def __init__(self, real: types.Float):
        self.real = real
        super().__init__(name=f"lanes({real})")


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: LanesType):
        element = ir.FloatType() if lanes.real == types.float32 else ir.DoubleType()
        super().__init__(manager, lanes, ir.VectorType(element, WIDTH))


def _place(context: Any, builder: Any, signature: Any, array: Any, index: Any) -> Any:
    """Pointer to WIDTH numbers of a contiguous array from a flat index on."""
    base = context.make_array(signature.args[0])(context, builder, array).data
    index = context.cast(builder, index, signature.args[1], types.intp)
    element = context.get_value_type(signature.args[0].dtype)
    return builder.bitcast(builder.gep(base, [index], source_etype=element), ir.VectorType(element, WIDTH).as_pointer())


@intrinsic
def load(typing_context, array, index):
    """load(array, index): the numbers from a flat index of a contiguous array on; nothing checks that they are there."""
    lanes = LanesType(array.dtype)

    def generate(context, builder, signature, arguments):
        place = _place(context, builder, signature, *arguments)
        return builder.load(place, align=array.dtype.bitwidth // 8, typ=context.get_value_type(lanes))

    return lanes(array, index), generate


@intrinsic
def store(typing_context, array, index, value):
    """store(array, index, value): the inverse of `load`."""

    def generate(context, builder, signature, arguments):
        place = _place(context, builder, signature, *arguments[:2])
        builder.store(arguments[2], place, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, index, value), generate


@intrinsic
def spread(typing_context, real, number):
    """spread(real, number): the number in each lane, in the type of `real`, a number or lanes."""
    lanes = real if isinstance(real, LanesType) else LanesType(real)

    def generate(context, builder, signature, arguments):
        vector = context.get_value_type(lanes)
        number = context.cast(builder, arguments[1], signature.args[1], lanes.real)
        one = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.IntType(32)(0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
        return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), mask)

    return lanes(real, number), generate


def _arithmetic(instruction: str) -> Callable:
    @intrinsic
    def apply(typing_context, x, y):
        def generate(context, builder, signature, arguments):
            return getattr(builder, instruction)(*arguments, flags=_CONTRACT)

        return x(x, y), generate

    return apply


def _define(symbol: Callable, instruction: str) -> None:
    apply = _arithmetic(instruction)

    @overload(symbol, jit_options=INLINED)
    def define(x, y):
        if isinstance(x, LanesType) and isinstance(y, LanesType):
            return lambda x, y: apply(x, y)
        if isinstance(x, LanesType) and isinstance(y, types.Number):
            return lambda x, y: apply(x, spread(x, y))


for _symbol, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _define(_symbol, _instruction)
