"""`<out>/index.html`: one page about all runs below a folder, to open in a browser.

It needs no server and nothing from outside: data, pictures, style and charts (uPlot 1.6.32, MIT license, in `vendor/`) are inside it.
"""

from .write import IndexPage

__all__ = ["IndexPage"]
