"""What turns gradients into perturbations within bounds."""
