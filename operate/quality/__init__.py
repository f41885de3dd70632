"""How good the words are: measured on a set of pictures of which somebody has said what is true.

`pictures` reads a set; `calls` asks models as the function does, keeps what they answered and minds
the money; `checks` scores an answer without a judge; `judge` has another model verify claims and
compare; `scores` puts many scores together; `report` writes them down. docs/quality.md says what
each score means and what none of them can tell.
"""
