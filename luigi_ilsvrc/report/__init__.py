"""The report on a build: one page that shows what was built from what, and what is in it.

Tables are read with pandas, drawn with matplotlib and put into a template. `fingerprint` tells whether a page is that
of a build, and imports none of these.
"""
