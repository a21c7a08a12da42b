"""Object sets in memory. Each format has its own file."""

from lrface.objects.data.pictures import Pictures
from lrface.objects.data.sets import SETS, open_set

__all__ = ["SETS", "Pictures", "open_set"]
