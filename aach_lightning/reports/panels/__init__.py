"""The pictures of a page, one panel each, so that a phone shows them below each other."""
