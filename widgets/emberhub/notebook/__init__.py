"""What a notebook shows: the progress of queries, the panel, the launcher and the magics.

Each has a part that only turns what is known into what is shown, and a part that shows it.
"""
