"""insightface's RecordIO (``train.rec``, ``train.idx``, ``property``), read and written without mxnet.

The bytes follow dmlc-core ``recordio.h``. The image header follows mxnet ``recordio.py``. The numbering of image and identity
records follows insightface's ``rec_builder.py`` and ``arcface_torch/dataset.py``. Reading needs 16 bytes of memory per record,
also for 42 million images; nothing else grows with the data set.
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
