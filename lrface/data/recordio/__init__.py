"""insightface's RecordIO (``train.rec``, ``train.idx``, ``property``), read and written without mxnet.

The bytes follow dmlc-core ``recordio.h``; the image header follows mxnet ``recordio.py``; which keys are images follows
insightface's ``rec_builder.py`` and ``arcface_torch/dataset.py``. A data set of 42 million images costs 16 bytes per
record in memory, and nothing else grows with it.
"""

from lrface.data.recordio.format import (
    MAGIC,
    MAX_EXACT_LABEL,
    MAX_RECORD_BYTES,
    Header,
    RecordWriter,
    encode,
    identity_records,
    pack,
    read_property,
    unpack,
    unpack_header,
    write_property,
)
from lrface.data.recordio.reader import RecordReader, scan

__all__ = [
    "MAGIC",
    "MAX_EXACT_LABEL",
    "MAX_RECORD_BYTES",
    "Header",
    "RecordReader",
    "RecordWriter",
    "encode",
    "identity_records",
    "pack",
    "read_property",
    "scan",
    "unpack",
    "unpack_header",
    "write_property",
]
