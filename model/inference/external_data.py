"""Find tensors of an ONNX file whose data are in other files. Needs no package `onnx`.

Hashes cover only the files of a bundle. onnxruntime would read external data from any file below
the current folder. So a network with such a tensor is refused, wherever in the file the tensor is.

An ONNX file is a protobuf message. Only the fields that can contain a tensor are read:
https://protobuf.dev/programming-guides/encoding/ and
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5
EXTERNAL = "external data"

FIELDS: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {
        5: "Tensor",
        6: "Graph",
        10: "Tensor",
        11: "Graph",
        22: "SparseTensor",
        23: "SparseTensor",
    },
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: EXTERNAL, 14: EXTERNAL},
}
"""Fields that can contain a tensor: the message of each field number, by the message around it.

`Tensor.external_data` is 13. `Tensor.data_location` is 14; its only values are DEFAULT (0), which
exporters leave out, and EXTERNAL (1).
"""


def has_external_data(model: bytes) -> bool:
    """Return whether a tensor of an ONNX file has its data in another file.

    Raises:
        ValueError: the file is not a valid protobuf message.
    """
    waiting = [("Model", 0, len(model))]
    while waiting:
        message, position, end = waiting.pop()
        fields = FIELDS[message]
        while position < end:
            tag, position = _read_varint(model, position, end)
            number, wire_type = tag >> 3, tag & 7
            if number == 0 or tag >= 1 << 32:
                raise ValueError(f"invalid tag at byte {position}")
            if wire_type == VARINT:
                value, position = _read_varint(model, position, end)
                if fields.get(number) == EXTERNAL and value != 0:
                    return True
                continue
            if wire_type == LENGTH_DELIMITED:
                size, position = _read_varint(model, position, end)
            elif wire_type in (FIXED32, FIXED64):
                size = 4 if wire_type == FIXED32 else 8
            else:
                raise ValueError(f"unknown wire type {wire_type} at byte {position}")
            start, position = position, position + size
            if position > end:
                raise ValueError(f"a field ends outside its message at byte {start}")
            if (field := fields.get(number)) == EXTERNAL:
                return True
            if field is not None and wire_type == LENGTH_DELIMITED:
                waiting.append((field, start, position))
    return False


def _read_varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Return an integer in base 128, lowest digit first, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError(f"an integer does not end at byte {position}")
