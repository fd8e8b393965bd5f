"""The pickles of Python 2 that CIFAR-10 comes in, read as data: nothing is imported, called or built by its name."""

import math
import pickletools
from typing import Any

import numpy as np

# What the genuine files hold, besides numbers, strings and containers: one array of bytes, rebuilt by these names.
REBUILD, ARRAY, DTYPE = "numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"
# NumPy's state of the dtype u1: version, byte order, no fields, no size of its own, no flags.
BYTE = (3, b"|", None, None, None, -1, -1, 0)
# Bytes, as opposed to a count, a shape or a name.
STRINGS = ("SHORT_BINSTRING", "BINSTRING")
NUMBERS = ("BININT", "BININT1", "BININT2")
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


class _Name(str):
    """A function or class that the file asks for: only ever compared."""

    __slots__ = ()


class _Described:
    """An array or dtype, as far as the file has described it.

    Args:
        kind: `ARRAY` or `DTYPE`.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.value: np.ndarray | np.dtype | None = None


class _Mark:
    """Where a tuple or a list of items begins on the stack."""


def load(content: bytes) -> dict[bytes, Any]:
    """The content of a pickle, protocol 2: a dict of integers, strings, lists and arrays of bytes.

    The reader has only the few instructions that such files need, and knows an array by its description: no function
    of the file's choice is called, and NumPy is given bytes of the right number or nothing.

    Args:
        content: the pickle.

    Returns:
        Its dict; strings are bytes, arrays are uint8.

    Raises:
        ValueError: if it asks for anything else, or is no such pickle; one line.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name == "STOP":
                return _whole(machine.pop())
            machine.do(opcode.name, argument)
    # What a damaged stream does to the stack: an empty one, a missing entry, a key that is a list.
    except (IndexError, KeyError, TypeError, AttributeError):
        raise ValueError("its instructions do not fit together") from None
    raise ValueError("it has no end")


class _Machine:
    """A stack of values, and those that the file numbered to use again."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        return self.stack.pop()

    def do(self, name: str, argument: Any) -> None:
        """Follow one instruction."""
        if name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name in ("SETITEM", "SETITEMS"):
            values = [self.pop(), self.pop()][::-1] if name == "SETITEM" else self._above_mark()
            _only(dict, self.stack[-1]).update(
                zip((_only(bytes, key) for key in values[::2]), values[1::2], strict=True)
            )
        elif name in ("APPEND", "APPENDS"):
            values = [self.pop()] if name == "APPEND" else self._above_mark()
            _only(list, self.stack[-1]).extend(values)
        elif name == "BUILD":
            state = _only(tuple, self.pop())
            described = _only(_Described, self.stack[-1])
            described.value = _byte(state) if described.kind == DTYPE else _array(*state)
        elif name != "PROTO":
            self.stack.append(self._pushed(name, argument))

    def _pushed(self, name: str, argument: Any) -> Any:
        """The value that an instruction leaves on the stack."""
        if name in NUMBERS:
            return argument
        if name in STRINGS:
            # `pickletools` gives the bytes as the text of the same code points.
            return argument.encode("latin-1")
        if name in CONSTANTS:
            return CONSTANTS[name]
        if name in ("EMPTY_LIST", "EMPTY_DICT", "EMPTY_TUPLE", "MARK"):
            return {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple, "MARK": _Mark}[name]()
        if name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            return tuple([self.pop() for _ in range(int(name[-1]))][::-1])
        if name == "TUPLE":
            return tuple(self._above_mark())
        if name == "GLOBAL":
            return _allowed(argument)
        if name == "REDUCE":
            arguments = self.pop()
            return _begun(self.pop(), arguments)
        raise ValueError(f"it has the instruction {name}, which is not allowed")

    def _above_mark(self) -> list[Any]:
        values = []
        while not isinstance(value := self.pop(), _Mark):
            values.append(value)
        return values[::-1]


def _allowed(argument: str) -> _Name:
    if argument not in (REBUILD, ARRAY, DTYPE):
        raise ValueError(f"it asks for {ascii(argument)[1:-1].replace(' ', '.')}, which is not allowed")
    return _Name(argument)


def _begun(function: Any, arguments: Any) -> _Described:
    if isinstance(function, _Name) and function == REBUILD and arguments == (ARRAY, (0,), b"b"):
        return _Described(ARRAY)
    if isinstance(function, _Name) and function == DTYPE and arguments == (b"u1", 0, 1):
        return _Described(DTYPE)
    raise ValueError("it holds an array of something else than bytes")


def _byte(state: tuple[Any, ...]) -> np.dtype:
    if state != BYTE:
        raise ValueError("it describes a dtype that is not uint8")
    return np.dtype(np.uint8)


def _array(version: Any, shape: Any, dtype: Any, fortran: Any, raw: Any) -> np.ndarray:
    fits = isinstance(raw, bytes) and isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)
    if version != 1 or type(fortran) is not bool or not fits or len(shape) > 2:
        raise ValueError("it holds an array of another form than rows of bytes")
    if not isinstance(dtype, _Described) or not isinstance(dtype.value, np.dtype):
        raise ValueError("it holds an array of something else than bytes")
    if math.prod(shape) != len(raw):
        raise ValueError(f"it holds an array of shape {shape} in {len(raw)} bytes")
    return np.frombuffer(raw, dtype.value).reshape(shape, order="F" if fortran else "C")


def _whole(value: Any) -> dict[bytes, Any]:
    """The batch, with the arrays in the place of their descriptions."""
    return {key: item.value if isinstance(item, _Described) else item for key, item in _only(dict, value).items()}


def _only(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise ValueError("its instructions do not fit together")
    return value
