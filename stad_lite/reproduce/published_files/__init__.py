"""What chapters measure on published files, one module a chapter; each leaves out what is not here.

``measure`` of a module adds figures to the chapter's results and returns a sentence for each set that is
missing; the chapters show the committed figures in any case.
"""
