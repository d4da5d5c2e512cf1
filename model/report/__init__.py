"""Render answers, scores and comparisons for the terminal, HTML and Markdown.

Import the module that you need: `evaluation_report` and `plots` need matplotlib, `render` and
`tables` do not.
"""

__all__ = ["evaluation_report", "plots", "render", "tables"]
