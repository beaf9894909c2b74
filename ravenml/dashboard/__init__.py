"""``raven dashboard``: train, watch and compare in a browser.

NiceGUI is imported inside functions alone, so that the command line stays quick and the extra optional.
"""
