"""Text for a terminal: names of files and what files say must not steer it."""

import unicodedata

# Other symbols, such as ⟨ and 𝒲, print; these do not: control characters, and marks that turn the direction of writing.
HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def printable(text: str) -> str:
    """A text whose characters all show: a control character becomes its code, as Python writes it.

    Args:
        text: any; its own line breaks are kept.

    Returns:
        The same, for a terminal.
    """
    if text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def one_line(text: str) -> str:
    """A text as one printable line.

    Args:
        text: any.

    Returns:
        The text, each run of spaces and line breaks one space.
    """
    return printable(" ".join(text.split()))


def say(text: object, **options: object) -> None:
    """Print text for a reader, as `printable` has it.

    Args:
        text: what to print.
        **options: of `print`.
    """
    print(printable(str(text)), **options)  # type: ignore[call-overload]


def _shown(character: str) -> str:
    if character == "\n" or unicodedata.category(character) not in HIDDEN:
        return character
    return character.encode("unicode_escape").decode()
