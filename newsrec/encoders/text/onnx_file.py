"""A student as an ONNX model whose table of token vectors is int8.

Each row of the table has a scale of its own, its largest number over 127, so a row of small numbers loses as little as
a row of large ones; the error of a number is at most half a scale. The scale joins the token's weight, so the table is
never unpacked. The small network stays float32: it is a hundredth of the bytes.
"""

import numpy as np

OPSET = 17
LEAST_LENGTH = 1e-12


def quantised(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``table`` [V, W] as int8 [V, W] and scales [V] float32."""
    scale = np.maximum(np.abs(table).max(1), 1e-12) / 127.0
    return np.round(table / scale[:, None]).astype(np.int8), scale.astype(np.float32)


def model(table: np.ndarray, straight: np.ndarray, first: np.ndarray, second: np.ndarray) -> bytes:
    """The bytes of the model (bucket [n, T], weight [n, T]) -> [n, EMBEDDING_DIM] of length 1, or zeros.

    A text's bag b is the weighted sum of its rows of ``table`` [V, W]; the vector is ``b straight + relu(b first)
    second`` at length 1.
    """
    from onnx import TensorProto, helper, numpy_helper

    numbers, scale = quantised(table)
    constants = {"table": numbers, "scale": scale, "straight": straight, "first": first, "second": second}
    constants |= {"one": np.array([1], np.int64), "least": np.array(LEAST_LENGTH, np.float32)}
    node = helper.make_node
    nodes = [
        node("Gather", ["table", "bucket"], ["rows_int8"]),  # [n, T, W]
        node("Cast", ["rows_int8"], ["rows"], to=TensorProto.FLOAT),
        node("Gather", ["scale", "bucket"], ["scales"]),  # [n, T]
        node("Mul", ["weight", "scales"], ["shares"]),
        node("Unsqueeze", ["shares", "one"], ["shares_row"]),  # [n, 1, T]
        node("MatMul", ["shares_row", "rows"], ["bag_row"]),  # [n, 1, W]
        node("Squeeze", ["bag_row", "one"], ["bag"]),
        node("MatMul", ["bag", "straight"], ["linear"]),
        node("MatMul", ["bag", "first"], ["before"]),
        node("Relu", ["before"], ["hidden"]),
        node("MatMul", ["hidden", "second"], ["bent"]),
        node("Add", ["linear", "bent"], ["sum"]),
        node("ReduceL2", ["sum"], ["length"], axes=[1], keepdims=1),
        node("Max", ["length", "least"], ["safe"]),
        node("Div", ["sum", "safe"], ["vector"]),
    ]
    inputs = [
        helper.make_tensor_value_info("bucket", TensorProto.INT64, ["n", "T"]),
        helper.make_tensor_value_info("weight", TensorProto.FLOAT, ["n", "T"]),
    ]
    outputs = [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["n", second.shape[1]])]
    given = [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "student", inputs, outputs, given)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="newsrec")
    made.ir_version = 8
    return made.SerializeToString()
