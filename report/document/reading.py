"""How to read a report: intervals, rules and thresholds."""

from report.document.parts import Bullets, Section
from report.document.recommendations import GIVEN_AWAY, GIVEN_AWAY_ERRORS

_RULES = (
    "Every figure names its SQL, in the page or at the end; `benchbeat sql` runs it unchanged.",
    "What was not measured says so, and is never filled in.",
    "Intervals are of 95 %. That of a speed or latency is of the median of the timed calls, by order statistics, and "
    "needs six. That of an accuracy is Wilson's, or 1.96 standard errors where items were asked more than once.",
    "A difference is shown where its interval, paired item by item, leaves nought out, and McNemar's exact test agrees"
    " at 5 %. Of twenty comparisons of equals, about one shows a difference by chance.",
    "The best of many settings is partly lucky: its own accuracy is a little too high. Its lead over the next one says "
    "how sure the choice is.",
    "A point is one hundredth of a share: from 50 % to 75 % are 25 points.",
    "Memory is the peak of the device's memory where that is known, else of the process.",
    "Speed is of undisturbed runs only. Answers of a disturbed run count, since a disturbance leaves them as they are.",
    f"For speed, {GIVEN_AWAY * 100:.0f} points of accuracy or {GIVEN_AWAY_ERRORS * 100:.0f} of word errors are given"
    " away in a recommendation.",
)


def reading_section() -> Section:
    """Return the chapter on how to read the report."""
    return Section("reading", "How to Read This", 2, (Bullets(tuple((rule,) for rule in _RULES)),))
