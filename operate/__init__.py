"""The program `describer`: for whoever runs this for years. Never deployed.

A command is a function in a module of its name (`show`, `export`, `stats`) that puts together what
stands below: the bucket (`objects`), the records (`records`), what it costs (`cost`) and what is
printed (`output`).
"""
