"""Image-text pairs: readers, splits, text vectors and the decoded-image cache."""
