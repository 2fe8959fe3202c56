"""Networks that label every pixel, each in a file of its own."""
