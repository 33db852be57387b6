"""The protocols of the field: by which rule, or from which file, the parts of a split are taken."""
