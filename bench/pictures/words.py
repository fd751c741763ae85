"""How numbers may be written in an answer."""

_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def number_names(number: int) -> tuple[str, ...]:
    """Return a whole number in digits, and in words as far as twelve."""
    return (str(number), _NAMES[number]) if 0 <= number < len(_NAMES) else (str(number),)
