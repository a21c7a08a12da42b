"""A service and a page over :mod:`lrface.recognition`: ``lrface serve``. Needs the extra ``serve``."""
