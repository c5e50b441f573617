"""Sets of images to evaluate: generated ones, and those of files or of a data set."""
