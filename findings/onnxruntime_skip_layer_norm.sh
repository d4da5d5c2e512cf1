#!/bin/sh
# Package:  onnxruntime 1.31.1, onnx 1.23.2, numpy 2.4.6
# Expected: the default graph optimisation makes a model faster, or leaves its speed unchanged.
# Seen:     on a CPU the optimiser SkipLayerNormFusion replaces Add and LayerNormalization by one
#           SkipLayerNormalization node, which takes several times as long as the two operators.
# Remedy:   pass disabled_optimizers=["SkipLayerNormFusion"] to InferenceSession.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
cat > "$folder/check.py" <<'PYTHON'
import statistics
import sys
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

WIDTH = 384
nodes, weights, before = [], [], "x"
for layer in range(8):
    scale, bias = f"scale{layer}", f"bias{layer}"
    weights.append(numpy_helper.from_array(np.ones(WIDTH, np.float32), scale))
    weights.append(numpy_helper.from_array(np.zeros(WIDTH, np.float32), bias))
    nodes.append(helper.make_node("Add", [before, "y"], [f"sum{layer}"]))
    normalised = f"normalised{layer}"
    nodes.append(
        helper.make_node("LayerNormalization", [f"sum{layer}", scale, bias], [normalised], axis=-1)
    )
    before = normalised
shape = ["batch", "tokens", WIDTH]
graph = helper.make_graph(
    nodes,
    "layers",
    [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"],
    [helper.make_tensor_value_info(before, TensorProto.FLOAT, shape)],
    weights,
)
opset = helper.make_opsetid("", 20)
model = helper.make_model(graph, opset_imports=[opset], ir_version=10).SerializeToString()


def open_session(disabled, file):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.optimized_model_filepath = file
    return ort.InferenceSession(
        model, options, providers=["CPUExecutionProvider"], disabled_optimizers=disabled
    )


default_file, separate_file = sys.argv[1] + "/default.onnx", sys.argv[1] + "/separate.onnx"
default = open_session([], default_file)
separate = open_session(["SkipLayerNormFusion"], separate_file)


def operators(file):
    return {node.op_type for node in onnx.load(file).graph.node}


random = np.random.default_rng(0)
inputs = {name: random.standard_normal((16, 32, WIDTH), np.float32) for name in "xy"}
[one], [other] = default.run(None, inputs), separate.run(None, inputs)
print("largest difference of the outputs:", float(np.abs(one - other).max()))
ratios = []
for _ in range(15):
    times = []
    for session in (default, separate):
        start = time.perf_counter()
        for _ in range(10):
            session.run(None, inputs)
        times.append(time.perf_counter() - start)
    ratios.append(times[0] / times[1])
ratio = statistics.median(ratios)
print("operators by default:", sorted(operators(default_file)))
print("operators without SkipLayerNormFusion:", sorted(operators(separate_file)))
print(f"the default takes {ratio:.1f} times as long, median of {len(ratios)} rounds")
assert "SkipLayerNormalization" in operators(default_file), "this has changed"
assert "SkipLayerNormalization" not in operators(separate_file), "this has changed"
assert ratio > 1.5, "this has changed"
PYTHON
"$folder/venv/bin/python" "$folder/check.py" "$folder"
