"""What runs a network, one runtime a file: each turns a normalised float32 batch into float32 ``[n, embedding_dim]``.

All give the same numbers to within float32's rounding, take any batch size, and may be called from several threads.
"""

#: The names by which a runtime is chosen; ``auto`` is :func:`lrface.models.embedder.open_embedder`'s choice.
RUNTIMES = ("auto", "onnxruntime", "torch", "openvino")

#: Where a model file keeps its card: a key of the metadata of safetensors and ONNX alike.
CARD_KEY = "lrface"
