"""The program `describer`: for whoever runs this for years. Never deployed.

A command is a function in a module of its name (`show`, `backfill`, ...) that puts together what
stands below: the bucket (`objects`) and the records (`records`), side by side (`pairs`); which of
them are due (`choice`); plan, question and progress (`work`); the way to the function (`deliver`);
what it costs (`cost`); what is printed (`output`). `eval` takes none of these but a set of
pictures; what it does stands in the room `quality`.
"""
