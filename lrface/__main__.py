"""Entry point of ``python -m lrface``; ``torchrun -m lrface`` starts it too."""

from lrface.cli.main import main

main()
