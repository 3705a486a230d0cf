"""Notebooks and scenarios that come with Emberhub, installed so that `emberhub demo` finds them."""
