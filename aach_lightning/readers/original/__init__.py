"""The field's data sets, read from the folders in which their makers distribute them."""
