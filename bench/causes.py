"""What an exception of a library says, for a sentence of ours."""


def first_line(error: BaseException) -> str:
    """Return the first line of what an exception says that is not blank, or its type where it says nothing."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)
