"""Augmentations of images with boxes, by OpenCV: they run in the threads that load images."""
