"""Whether what is deployed is sound: `reading` knows what to ask for, the rest judges.

A check is a function from what was read to findings, and pure; `checks` lists them all. What could
not be read is neither well nor wrong, and says why.
"""
