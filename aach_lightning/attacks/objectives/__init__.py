"""What a perturbation minimises. A method of the field is an objective, a step rule and a source of gradients."""
