"""Two runs, or the results of two versions, side by side: what changed beyond its errors.

`compare.compare` does it, `words` says it, `show` prints it, `page` draws it.
"""
