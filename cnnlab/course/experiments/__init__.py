"""Ideas of the course as experiments: each trains small networks and gives numbers and a figure."""
