"""From pixels to a face: reading images, detection, alignment, degradation. Needs numpy, Pillow and OpenCV only."""
