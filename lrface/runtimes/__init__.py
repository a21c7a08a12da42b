"""The runtimes that run a network, each in its own file.

Each turns a normalised float32 batch into float32 embeddings ``[n, embedding_dim]``. All give the same numbers within
float32 rounding, take any batch size, and may be called from several threads.
"""

#: Names of the runtimes. For ``auto``, :func:`lrface.models.embedder.open_embedder` chooses one.
RUNTIMES = ("auto", "onnxruntime", "torch", "openvino")

#: Key of the model's card in the metadata of safetensors and ONNX files.
CARD_KEY = "lrface"
