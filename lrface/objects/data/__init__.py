"""Object sets in memory, one format a file."""

from lrface.objects.data.pictures import Pictures
from lrface.objects.data.sets import SETS, open_set

__all__ = ["SETS", "Pictures", "open_set"]
