"""What an ONNX file holds, read from its bytes: a bounded protobuf walk, nothing loaded and nothing opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

MAX_FIELDS = 500_000
MAX_DEPTH = 32

FLOAT32 = 1
DOMAINS = frozenset({b"", b"ai.onnx"})

# Wire types (protobuf encoding guide).
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

# message → field number → message inside it; numbers from onnx.proto (ONNX IR version 13).
MESSAGES: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 8: "opset", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 11: "input", 12: "output", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}

OPERATORS = frozenset(
    """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization Cast CastLike
    Ceil Celu CenterCropPad Clip Compress Concat Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh CumSum
    DepthToSpace DequantizeLinear Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten
    Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater
    GreaterOrEqual GridSample GroupNormalization HardSigmoid HardSwish Hardmax Identity InstanceNormalization IsInf
    IsNaN LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization LpPool MatMul
    MatMulInteger Max MaxPool Mean MeanVarianceNormalization Min Mish Mod Mul Neg NonZero Not OneHot Or PRelu Pad Pow
    QLinearConv QLinearMatMul QuantizeLinear RMSNormalization RNN Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum
    ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize Round
    ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign
    SpaceToDepth Split Sqrt Squeeze Sub Sum Swish Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze
    Upsample Where Xor
    """.split()  # noqa: SIM905 - a block of words reads better than 140 quoted lines
)
"""What networks for images are made of. Control flow, sequences, strings and random numbers are not among them: a
graph's time and result must depend on its input's shape and values alone."""


class OnnxFileRefused(Exception):
    """Why the bytes are no ONNX graph that may serve, in one sentence."""


@dataclass(frozen=True, slots=True)
class TensorSummary:
    """Type and shape of one input or output; None stands for an axis of free size, or for an unknown shape."""

    is_float32: bool
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True, slots=True)
class OnnxSummary:
    """Names and shapes at the edges of a graph."""

    inputs: Mapping[str, TensorSummary]
    outputs: Mapping[str, TensorSummary]


class _Budget:
    """Counts fields, so that a small file of many tiny messages cannot hold the loader."""

    def __init__(self, fields: int) -> None:
        self.left = fields

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise OnnxFileRefused(f"more than {MAX_FIELDS} fields")


def summarize(content: bytes) -> OnnxSummary:
    """Check an ONNX file's bytes and return what enters and leaves its graph.

    Args:
        content: The whole file.

    Returns:
        The inputs that are no initializers, and the outputs.

    Raises:
        OnnxFileRefused: Not an ONNX file (a pickle with another name, for instance), external data anywhere in it,
            operators from outside the allowed list, functions, training information, or too deep or too many parts.
    """
    view = memoryview(content)
    budget = _Budget(MAX_FIELDS)
    inputs: dict[str, TensorSummary] = {}
    outputs: dict[str, TensorSummary] = {}
    initializers: set[str] = set()
    graphs = 0
    waiting: list[tuple[str, int, int, int]] = [("model", 0, len(view), 0)]
    while waiting:
        message, start, end, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise OnnxFileRefused(f"nested deeper than {MAX_DEPTH}")
        if message in ("training", "function"):
            raise OnnxFileRefused(f"holds a {message} part; only a plain graph is accepted")
        fields = list(_fields(view, start, end, budget))
        if message == "node":
            _check_node(view, fields)
        elif message == "opset":
            _check_domain(_text(view, fields, 1))
        elif message == "tensor":
            _check_tensor(fields)
        inner = MESSAGES.get(message, {})
        for number, wire, low, high in fields:
            kind = inner.get(number)
            if kind is None:
                continue
            if wire != BYTES:
                raise OnnxFileRefused("not an ONNX file")
            if kind in ("input", "output"):
                if depth == 1:
                    name, tensor = _value(view, low, high, budget)
                    (inputs if kind == "input" else outputs)[name] = tensor
                continue
            graphs += kind == "graph" and message == "model"
            if message == "graph" and kind == "tensor" and depth == 1:
                initializers.add(_text(view, list(_fields(view, low, high, budget)), 8).decode("utf-8", "replace"))
            waiting.append((kind, low, high, depth + 1))
    if graphs != 1:
        raise OnnxFileRefused("not an ONNX file")
    return OnnxSummary(inputs={n: t for n, t in inputs.items() if n not in initializers}, outputs=outputs)


def _check_node(view: memoryview, fields: list[tuple[int, int, int, int]]) -> None:
    _check_domain(_text(view, fields, 7))
    operator = _text(view, fields, 4).decode("utf-8", "replace")
    if operator not in OPERATORS:
        raise OnnxFileRefused(f"operator {operator[:40]!r} is not on the allowed list")


def _check_domain(domain: bytes) -> None:
    if domain not in DOMAINS:
        raise OnnxFileRefused(f"operators of domain {domain[:40].decode('utf-8', 'replace')!r} are not allowed")


def _check_tensor(fields: list[tuple[int, int, int, int]]) -> None:
    """Field 13 is external_data; field 14 is data_location, 0 for inside the file."""
    for number, wire, low, _ in fields:
        if number == 13 or (number == 14 and (wire != VARINT or low != 0)):
            raise OnnxFileRefused("weights in other files (external data) are not allowed")


def _value(view: memoryview, start: int, end: int, budget: _Budget) -> tuple[str, TensorSummary]:
    """Read a ValueInfoProto: name, element type, shape."""
    fields = list(_fields(view, start, end, budget))
    name = _text(view, fields, 1).decode("utf-8", "replace")
    element, shape = 0, None
    for low, high in _messages(fields, 2):
        for tensor_low, tensor_high in _messages(list(_fields(view, low, high, budget)), 1):
            tensor = list(_fields(view, tensor_low, tensor_high, budget))
            element = next((value for number, wire, value, _ in tensor if number == 1 and wire == VARINT), 0)
            for shape_low, shape_high in _messages(tensor, 2):
                axes = _messages(list(_fields(view, shape_low, shape_high, budget)), 1)
                shape = tuple(_axis(view, low_, high_, budget) for low_, high_ in axes)
    return name, TensorSummary(is_float32=element == FLOAT32, shape=shape)


def _axis(view: memoryview, start: int, end: int, budget: _Budget) -> int | None:
    sizes = [value for number, wire, value, _ in _fields(view, start, end, budget) if number == 1 and wire == VARINT]
    return sizes[-1] if sizes else None


def _messages(fields: list[tuple[int, int, int, int]], wanted: int) -> list[tuple[int, int]]:
    return [(low, high) for number, wire, low, high in fields if number == wanted and wire == BYTES]


def _text(view: memoryview, fields: list[tuple[int, int, int, int]], wanted: int) -> bytes:
    spans = _messages(fields, wanted)
    return bytes(view[slice(*spans[-1])]) if spans else b""


def _fields(view: memoryview, start: int, end: int, budget: _Budget) -> Iterator[tuple[int, int, int, int]]:
    """Yield (field number, wire type, value or start, end) of one message; anything malformed is refused."""
    at = start
    while at < end:
        budget.spend()
        key, at = _varint(view, at, end)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = _varint(view, at, end)
            yield number, wire, value, 0
            continue
        if wire == BYTES:
            length, at = _varint(view, at, end)
        elif wire in (FIXED64, FIXED32):
            length = 8 if wire == FIXED64 else 4
        else:
            raise OnnxFileRefused("not an ONNX file")
        if number == 0 or length > end - at:
            raise OnnxFileRefused("not an ONNX file, or cut short")
        yield number, wire, at, at + length
        at += length


def _varint(view: memoryview, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise OnnxFileRefused("not an ONNX file, or cut short")
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise OnnxFileRefused("not an ONNX file")
