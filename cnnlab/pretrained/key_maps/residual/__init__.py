"""Networks of residual blocks that are joined otherwise than in ResNet."""
