"""Low-resolution objects: CIFAR-100, SVHN, STL10, TinyImageNet and a generated set.

The losses and the training loop are the same as for faces.
"""
