"""Names of the Inception networks and of Xception."""
