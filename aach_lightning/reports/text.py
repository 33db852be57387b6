"""Foreign text in one piece: paths, error messages and configured words, wherever they come from."""

import unicodedata


def printable(text: str) -> str:
    r"""Text in which control characters, lone surrogates and other invisible code points are escaped.

    Example:
        >>> print(printable("red \x1b[31m"), printable("two\nlines"))
        red \x1b[31m two\nlines
    """
    return "".join(
        character if unicodedata.category(character)[0] != "C" else character.encode("unicode_escape").decode()
        for character in text
    )


def encodable(text: str) -> str:
    """Text that UTF-8 can hold: lone surrogates, as in undecodable file names, are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
