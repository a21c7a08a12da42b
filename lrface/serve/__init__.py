"""An HTTP service and a web page over :mod:`lrface.recognition`: ``lrface serve``. Needs the extra ``serve``."""
