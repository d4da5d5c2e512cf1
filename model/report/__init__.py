"""Render answers, scores and comparisons for the terminal, HTML and Markdown.

Import the module that you need: `page` and `plots` need matplotlib, `render` and `tables` do not.
"""

__all__ = ["page", "plots", "render", "tables"]
