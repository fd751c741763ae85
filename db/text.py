"""Text that every database can hold."""


def storable(text: str) -> str:
    """Return the text with what can't be stored replaced by a sign that can."""
    # PostgreSQL's text can't hold NUL, which a sampling model may well write; nor can UTF-8 hold half a pair.
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
