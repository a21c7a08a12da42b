"""``python -m lrface``, which is what ``torchrun -m lrface`` starts."""

from lrface.cli.main import main

main()
