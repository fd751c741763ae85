"""Answers that are hard to judge, each with what a person reads in it: scorer, text, answer, what is read, score."""

from typing import NamedTuple


class Case(NamedTuple):
    """What a model wrote, and how it must be judged."""

    scorer: str
    text: str
    #: the expected answer, or several
    answer: str | tuple[str, ...]
    extracted: str | None
    score: float
    #: a strategy's output pattern
    pattern: str | None = None


#: a case as a row of a table
Row = tuple[str, str, str | tuple[str, ...], str | None, float]

NUMBERS = [
    # nothing, and no end
    ("", "42", None, 0.0),
    (" \n\t ", "42", None, 0.0),
    ("...", "42", None, 0.0),
    ("I do not know.", "42", None, 0.0),
    ("ha " * 20_000, "42", None, 0.0),
    ("The answer is 42. " * 2000, "42", "42", 1.0),
    ("1, " * 2000, "42", "1", 0.0),
    ("Answer: 42\n" + "Answer: \n" * 500, "42", "42", 1.0),
    # words
    ("forty-two", "42", "42", 1.0),
    ("Forty two apples.", "42", "42", 1.0),
    ("Answer: **Forty-Two**", "42", "42", 1.0),
    (r"\boxed{\text{forty-two}}", "42", "42", 1.0),
    ("It takes one hundred and seven days.", "107", "107", 1.0),
    ("minus three", "-3", "-3", 1.0),
    ("Negative forty degrees", "-40", "-40", 1.0),
    ("zero", "0", "0", 1.0),
    ("a hundred", "100", "100", 1.0),
    ("a dozen eggs", "12", "12", 1.0),
    ("half a dozen", "6", "6", 1.0),
    ("two and a half cups", "2.5", "2.5", 1.0),
    ("three quarters", "3/4", "0.75", 1.0),
    ("a third of the cake", "1/3", "0.333333333333", 1.0),
    ("three point one four", "3.14", "3.14", 1.0),
    ("twenty-five hundred", "2500", "2500", 1.0),
    ("one million, two hundred thousand and five", "1200005", "1200005", 1.0),
    ("She was born in nineteen eighty-four.", "1984", "1984", 1.0),
    ("There are two hundred and three hundred, so five hundred.", "500", "500", 1.0),
    ("two plus two equals four", "4", "4", 1.0),
    ("Answer: two plus two equals four", "4", "4", 1.0),
    ("Answer: seven\n\nCheck: 3 + 4 gives it.", "7", "7", 1.0),
    ("Only one apple remains.", "1", "1", 1.0),
    ("No one knows.", "1", None, 0.0),
    ("I am not sure which one of them is right.", "1", None, 0.0),
    ("someone wrote often about tents", "10", None, 0.0),
    ("3 boxes of seven make 21", "21", "21", 1.0),
    ("3 million", "3000000", "3000000", 1.0),
    ("$1.5 billion", "1500000000", "1500000000", 1.0),
    ("two dozen", "24", "24", 1.0),
    # thousands separators
    ("1,234,567", "1234567", "1234567", 1.0),
    ("1 234 567 people", "1234567", "1234567", 1.0),
    ("1'234'567", "1234567", "1234567", 1.0),
    ("1’234.50 CHF", "1234.5", "1234.5", 1.0),
    ("1.234,56 €", "1234.56", "1234.56", 1.0),
    ("1.234.567", "1234567", "1234567", 1.0),
    ("1 234,5", "1234.5", "1234.5", 1.0),
    ("12,34,567 rupees", "1234567", "1234567", 1.0),
    ("1_000_000", "1000000", "1000000", 1.0),
    ("3,5 Liter", "3.5", "3.5", 1.0),
    ("0,125", "0.125", "0.125", 1.0),
    ("1.234", "1.234", "1.234", 1.0),
    ("12,345", "12345", "12345", 1.0),
    ("-1.234,5", "-1234.5", "-1234.5", 1.0),
    ("the point (3,5)", "5", "5", 1.0),
    ("2, 3, 5", "5", "5", 1.0),
    ("1,2,3", "3", "3", 1.0),
    ("2 4 8 16 32 64 128", "128", "128", 1.0),
    ("call 555 123 4567", "4567", "4567", 1.0),
    ("In 2024 150 people came", "150", "150", 1.0),
    # several numbers
    ("The answer is 42, because 6 times 7.", "42", "42", 1.0),
    ("6 * 7 is **42**, not 41 or 43.", "42", "42", 1.0),
    ("**Step 1**\n6 times 7\n**Step 2**\nso 42", "42", "42", 1.0),
    ("It is 42 (6 boxes of 7).", "42", "42", 1.0),
    ("It is 42 [1]", "42", "42", 1.0),
    ("the remainder (5)", "5", "5", 1.0),
    ("f(3) = 9", "9", "9", 1.0),
    ("First I thought 41. No: 42.", "42", "42", 1.0),
    ("Answer: 42, or perhaps 43", "42", "42", 1.0),
    ("Answer: ~~41~~ 42", "42", "42", 1.0),
    ("Answer: 6 * 7 = 42", "42", "42", 1.0),
    ("1. 3 + 4 = 7\n2. 7 * 6 = 42", "42", "42", 1.0),
    ("42[^1]", "42", "42", 1.0),
    ("42, see https://example.org/7", "42", "42", 1.0),
    # Markdown and LaTeX
    ("## 42", "42", "42", 1.0),
    ("| total | 42 |", "42", "42", 1.0),
    ("> **_42_**", "42", "42", 1.0),
    ("```\n42\n```", "42", "42", 1.0),
    (r"$$\boxed{-\frac{3}{4}}$$", "-0.75", "-0.75", 1.0),
    (r"$\frac34$", "0.75", "0.75", 1.0),
    (r"\(1{,}234\)", "1234", "1234", 1.0),
    (r"\boxed{12\%}", "12", "12", 1.0),
    (r"$3 \times 10^{5}$ m", "300000", "300000", 1.0),
    ("6.02 × 10²³", "6.02e23", "6.02e+23", 1.0),
    ("2 * 10^-3", "0.002", "0.002", 1.0),
    (r"\boxed{x = 42}", "42", "42", 1.0),
    (r"$90^\circ$", "90", "90", 1.0),
    # other scripts and typography
    ("४२", "42", "42", 1.0),
    ("答案是４２。", "42", "42", 1.0),
    ("١٬٢٣٤٫٥", "1234.5", "1234.5", 1.0),
    ("答案是-4.2度", "-4.2", "-4.2", 1.0),
    ("Ответ: 42", "42", "42", 1.0),
    ("4️⃣2️⃣", "42", "42", 1.0),
    ("\u200e−\u200e42", "-42", "-42", 1.0),
    ("not a digit: 一", "1", None, 0.0),
    ("minus 5 degrees", "-5", "-5", 1.0),
    ("It is minus 5 degrees", "-5", "-5", 1.0),
    ("8 minus 5", "5", "5", 1.0),
    # thoughts
    ("<think>40? 41?</think>42", "42", "42", 1.0),
    ("<think>It is 42.", "42", None, 0.0),
    ("41 or 42.</think>\nAnswer: 42", "42", "42", 1.0),
    ("<think>41</think><think>42", "42", None, 0.0),
    ("<think></think>42", "42", "42", 1.0),
    ("<think>Answer: 42</think>", "42", None, 0.0),
]

WORDS: list[Row] = [
    ("contains", "", "Paris", None, 0.0),
    ("contains", "It isn't London but **Paris**!", "paris", "paris", 1.0),
    ("contains", "Paris " * 5000, "Paris", "Paris", 1.0),
    ("contains", "P a r i s", "Paris", None, 0.0),
    ("contains", "Λονδίνο", "λονδινο", "λονδινο", 1.0),
    ("contains", "Ответ: Москва.", "москва", "москва", 1.0),
    ("contains", "東京です", "東京", "東京", 1.0),
    ("contains", "القاهِرة", "القاهرة", "القاهرة", 1.0),
    ("contains", "8\u202f848 m", "8848", "8848", 1.0),
    ("contains", "8,848 m", ("8849", "8848"), "8848", 1.0),
    ("contains", "<think>Paris</think>Lyon", "Paris", None, 0.0),
    ("contains", r"\boxed{\text{Paris}}", "Paris", "Paris", 1.0),
    ("contains", "Answer: Lyon\nAnswer: Paris", "Lyon", None, 0.0),
    ("exact", "`Paris`", "paris", "`Paris`", 1.0),
    ("exact", "The answer is Paris", "Paris", "The answer is Paris", 0.0),
    ("exact", "**Answer:** _Paris_.", "Paris", "_Paris_.", 1.0),
    ("exact", "!?", "Paris", "!?", 0.0),
    ("choice", "**(c)**", "C", "C", 1.0),
    ("choice", "The answer is A or B, so B is the answer: **B**", "B", "B", 1.0),
    ("choice", r"$\boxed{\textbf{D}}$", "D", "D", 1.0),
    ("choice", "A dog is a mammal.", "A", None, 0.0),
    ("choice", "B " * 5000, "B", "B", 1.0),
    ("choice", "<think>A</think>\n\nB", "B", "B", 1.0),
    ("choice", "Б", "B", None, 0.0),
]

EXPRESSIONS: list[Row] = [
    ("regex", "", r"\d+", None, 0.0),
    ("regex", "  2024-01-31\n", r"^\d{4}-\d{2}-\d{2}$", "2024-01-31", 1.0),
    ("regex", "**2024-01-31**", r"^\d{4}-\d{2}-\d{2}$", "2024-01-31", 1.0),
    ("regex", "`__init__`", r"^__\w+__$", "__init__", 1.0),
    ("regex", "**Answer:** AB-12", r"^[A-Z]{2}-\d{2}$", "AB-12", 1.0),
    ("regex", "It was on 2024-01-31.", r"^\d{4}-\d{2}-\d{2}$", None, 0.0),
    ("regex", "colour", (r"^color$", r"^colour$"), "colour", 1.0),
    ("regex", "Colour", r"^colour$", None, 0.0),
    ("regex", "Colour", r"(?i)^colour$", "Colour", 1.0),
    ("regex", "<think>red</think>blue", "red", None, 0.0),
    ("regex", "Привет, мир", r"\p{Cyrillic}+", "Привет", 1.0),
    ("regex", "ab " * 20_000, r"abc", None, 0.0),
    ("regex", "a" * 60 + "b", r"^(a|aa)+$", None, 0.0),
]

PERSON = (
    '{"type": "object", "required": ["name", "age"], "additionalProperties": false,'
    ' "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}}}'
)
TREE = '{"type": "object", "properties": {"child": {"$ref": "#"}}, "additionalProperties": false}'
LIST = '{"type": "array", "items": {"type": "integer"}, "minItems": 2}'
ANN = '{"age":7,"name":"Ann"}'

JSON: list[Row] = [
    ("json_schema", "", PERSON, None, 0.0),
    ("json_schema", '{"name": "Ann", "age": 7}', PERSON, ANN, 1.0),
    ("json_schema", '{"age": 7.0, "name": "Ann"}', PERSON, ANN, 1.0),
    ("json_schema", '```json\n{"name": "Ann", "age": 7}\n```', PERSON, ANN, 1.0),
    ("json_schema", 'Sure! Here:\n\n```\n{"name": "Ann", "age": 7}\n```\nAnything else?', PERSON, ANN, 1.0),
    ("json_schema", '```json\n{"name": "Ann", "age": 7}', PERSON, ANN, 1.0),
    ("json_schema", 'The object {"name": "Ann", "age": 7} is it.', PERSON, ANN, 1.0),
    ("json_schema", 'As said [above], it is {"name": "Ann", "age": 7}', PERSON, ANN, 1.0),
    ("json_schema", '**{"name": "Ann", "age": 7}**', PERSON, ANN, 1.0),
    ("json_schema", 'Answer: {"name": "Ann", "age": 7}', PERSON, ANN, 1.0),
    ("json_schema", 'Draft: {"name": "Ann"}\nAnswer: {"name": "Ann", "age": 7}', PERSON, ANN, 1.0),
    ("json_schema", '{"name": "Answer: {}", "age": 7}', PERSON, '{"age":7,"name":"Answer: {}"}', 1.0),
    ("json_schema", '<think>{"name": "Bob"}</think>{"name": "Ann", "age": 7}', PERSON, ANN, 1.0),
    ("json_schema", '<think>{"name": "Ann", "age": 7}', PERSON, None, 0.0),
    ("json_schema", '{"name": "Ann", "age": 7,}', PERSON, None, 0.0),
    ("json_schema", '{"person": {"name": "Ann", "age": 7},}', PERSON, None, 0.0),
    ("json_schema", '{person: {"name": "Ann", "age": 7}}', PERSON, None, 0.0),
    ("json_schema", "{'name': 'Ann', 'age': 7}", PERSON, None, 0.0),
    ("json_schema", '{"name": "Ann", "age": NaN}', PERSON, None, 0.0),
    ("json_schema", '{"name": "Ann", "age": 6, "age": 7}', PERSON, None, 0.0),
    ("json_schema", '{"name": "Ann", "age": -7}', PERSON, '{"age":-7,"name":"Ann"}', 0.0),
    ("json_schema", '{"name": "Ann", "age": "7"}', PERSON, '{"age":"7","name":"Ann"}', 0.0),
    ("json_schema", '{"name": "Ann"}', PERSON, '{"name":"Ann"}', 0.0),
    ("json_schema", '{"name": "Ann", "age": 7, "pet": null}', PERSON, '{"age":7,"name":"Ann","pet":null}', 0.0),
    ("json_schema", '{"name": "Ann", "age": 1e999}', PERSON, None, 0.0),
    ("json_schema", '{"name": "Ann", "age"', PERSON, None, 0.0),
    ("json_schema", '{"name": "Zoë 东京", "age": 7}', PERSON, '{"age":7,"name":"Zoë 东京"}', 1.0),
    ("json_schema", r'{"name": "\ud800", "age": 7}', PERSON, r'{"age":7,"name":"\ud800"}', 1.0),
    ("json_schema", "Ann is 7.", PERSON, None, 0.0),
    ("json_schema", "[1, 2, 3]", LIST, "[1,2,3]", 1.0),
    ("json_schema", "The list is [1, 2, 3].", LIST, "[1,2,3]", 1.0),
    ("json_schema", "[1]", LIST, "[1]", 0.0),
    ("json_schema", "[" * 5000, LIST, None, 0.0),
    ("json_schema", '{"child": {"child": {}}}', TREE, '{"child":{"child":{}}}', 1.0),
    ("json_schema", '{"child": {"kid": {}}}', TREE, '{"child":{"kid":{}}}', 0.0),
    ("json_schema", "42", '{"type": "integer"}', "42", 1.0),
    ("json_schema", "null", '{"type": "null"}', "null", 1.0),
    ("json_schema", '"2024-02-30"', '{"type": "string", "format": "date"}', '"2024-02-30"', 0.0),
    ("json_schema", '"' + "a" * 60 + 'b"', '{"pattern": "^(a|aa)+$"}', '"' + "a" * 60 + 'b"', 0.0),
]

POINTS = ("sunlight|light", "carbon dioxide|CO2", "oxygen")

KEYWORDS: list[Row] = [
    ("keywords", "", POINTS, None, 0.0),
    ("keywords", "Plants use light and CO₂ and give off oxygen.", POINTS, "sunlight; carbon dioxide; oxygen", 1.0),
    ("keywords", "**Sunlight** and CARBON\nDIOXIDE", POINTS, "sunlight; carbon dioxide", 2 / 3),
    ("keywords", "Nothing of the kind.", POINTS, None, 0.0),
    ("keywords", "lightning", "light", None, 0.0),
    ("keywords", "Plants grow", "plant", "plant", 1.0),
    ("keywords", "two boxes", "box", "box", 1.0),
    ("keywords", "old stories", "story", "story", 1.0),
    ("keywords", "a planet", "plant", None, 0.0),
    ("keywords", "It evaporates; evaporation", "evaporat*", "evaporat*", 1.0),
    ("keywords", "re-evaporate", "evaporat*", "evaporat*", 1.0),
    ("keywords", "die Pflanzen", "Pflanze|Pflanzen", "Pflanze", 1.0),
    ("keywords", "植物利用阳光", ("阳光", "氧气"), "阳光", 0.5),
    ("keywords", "oxygen " * 5000, POINTS, "oxygen", 1 / 3),
    ("keywords", "There is only one answer: light, CO2 and oxygen.", POINTS, "sunlight; carbon dioxide; oxygen", 1.0),
    ("keywords", "<think>light CO2 oxygen</think>Done.", POINTS, None, 0.0),
]

PATTERNS = [
    ("number", "Result: <<41>> then <<42>> of 50", "42", "42", 1.0, r"<<(\d+)>>"),
    ("number", "x=41; y=42", "42", "42", 1.0, r"y=(?P<answer>\d+)"),
    ("number", "a1 b2", "2", "2", 1.0, r"(a)\d b(?P<answer>\d)"),
    ("number", "41 42 43", "43", "43", 1.0, r"\d+"),
    ("number", "<<forty-two>>", "42", "42", 1.0, r"<<(.*?)>>"),
    ("number", "the answer is 42", "42", None, 0.0, r"<<(\d+)>>"),
    ("number", "<<42>> <<  >>", "42", "42", 1.0, r"<<(.*?)>>"),
    ("number", "<think><<42>></think>none", "42", None, 0.0, r"<<(\d+)>>"),
    ("choice", "[[b]] as a matter of fact", "B", "B", 1.0, r"\[\[(\w)\]\]"),
    ("contains", "Final: Lyon. Paris is another.", "Paris", None, 0.0, r"Final: (\w+)"),
    ("exact", "<answer>Paris</answer>", "paris", "Paris", 1.0, r"(?s)<answer>(.*?)</answer>"),
    ("regex", "id=AB-12;", r"^[A-Z]{2}-\d{2}$", "AB-12", 1.0, r"id=([^;]+)"),
    ("json_schema", "out: [1,2] end [3]", LIST, "[1,2]", 1.0, r"out: (\[.*?\])"),
    ("constraints", "Draft of five words here. OUT: two words", "words 2", "all held", 1.0, r"OUT: (.*)"),
    ("number", "a" * 60 + "b", "42", "(the output pattern ran out of time)", 0.0, r"(a|aa)+$"),
]

#: contractions, letters, what an answer is not, and options that are only said over
SAID = [
    ("contains", "I don't know.", "T", None, 0.0),
    ("contains", "I’m not sure.", "M", None, 0.0),
    ("contains", "It's hard to say.", "S", None, 0.0),
    ("contains", "I'd say X.", "D", None, 0.0),
    ("contains", "A is not a letter.", "A", None, 0.0),
    ("contains", "The next letter is T because it repeats.", "T", "T", 1.0),
    ("contains", "It is 't'.", "T", "T", 1.0),
    ("contains", "t", "T", "T", 1.0),
    ("contains", "It is Shakespeare's play.", "Shakespeare", "Shakespeare", 1.0),
    ("contains", "C'est l'eau.", "eau", "eau", 1.0),
    ("number", "The answer is not 7", "7", None, 0.0),
    ("number", "The answer is not 7, it is 12.", "12", "12", 1.0),
    ("choice", "It is B", "B", "B", 1.0),
    ("choice", "I think B is right", "B", "B", 1.0),
    ("choice", "Option D is correct", "D", "D", 1.0),
    ("choice", "I would choose D", "D", "D", 1.0),
    ("choice", "I am sure: b)", "B", "B", 1.0),
    ("choice", "Ａ", "A", "A", 1.0),
    ("choice", "A: A: A: A:", "A", None, 0.0),
    ("choice", "A, B, C, D", "A", None, 0.0),
    ("choice", "A or B", "A", None, 0.0),
    ("choice", "A) Lea B) Max C) Tom D) Ann", "A", None, 0.0),
    ("choice", "A) Lea", "A", "A", 1.0),
]

ALL_CASES = [
    *(Case(*row) for row in SAID),
    *(Case("number", *row) for row in NUMBERS),
    *(Case(*row) for row in [*WORDS, *EXPRESSIONS, *JSON, *KEYWORDS]),
    *(Case(*row) for row in PATTERNS),
]
