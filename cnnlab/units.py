"""Counts and sizes to three digits or so, as tables and figures show them."""


def short_count(number: float) -> str:
    """Returns `61.7 k`, `11.7 M`, `1.82 G`; below a thousand three digits."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number:.3g}"


def short_size(num_bytes: int) -> str:
    """Returns a size in KiB or MiB."""
    return f"{num_bytes / 2**10:,.0f} KiB" if num_bytes < 2**20 else f"{num_bytes / 2**20:,.1f} MiB"
