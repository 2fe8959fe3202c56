"""Text without control characters or bytes that are not UTF-8."""

import unicodedata

_PLAIN = "\n\t"
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, format, surrogates, ends of lines
_JOINERS = "\u200c\u200d"  # that words of some scripts are written with


def visible(text: str) -> str:
    r"""The text with control characters, and bytes that are no UTF-8, as `\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _is_plain(char) else _escape(char) for char in text)


def _is_plain(char: str) -> bool:
    return char in _PLAIN or char in _JOINERS or unicodedata.category(char) not in _HIDDEN


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file's name, as Python keeps it
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
