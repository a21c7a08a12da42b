"""Export of a trained model to ONNX: the graph, its quantised form, its form with preprocessing, and their checks.

The export needs ``pip install 'lrface[export]'``. Running an exported model does not.
"""
