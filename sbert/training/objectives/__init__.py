"""What is trained: objectives and their targets, and how their gradients are computed."""
