"""From a trained model to ONNX: the graph, its quantised and its self-sufficient form, and the checks each must pass.

Needs ``pip install 'lrface[export]'``; running what was exported does not.
"""
