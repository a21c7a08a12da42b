"""Low-resolution objects: CIFAR-100, SVHN, STL10, TinyImageNet, and a generated set; the losses and the loop are those of faces."""
