"""What a message to a user must be: a sentence that says what to do next."""

from __future__ import annotations

import re

STEPS = (
    "add|allow|ask|call|check|choose|close|correct|delete|get|give|go|install|leave it out|leave out|list|load|log in|"
    "look|make|open|pip install|press|remove|run|say|see|send|set|start|stop|tell|try|use|wait|write"
)
NEXT = re.compile(rf"(?:^|[;:,.] (?:so |or |and |or, [^:]*, )?)(?:{STEPS})\b", re.IGNORECASE)
KNOWN = re.compile(r"[;:.] (?:the profiles are|yours are|its fields are|x)\b|there is nothing to do|have numbers")
"""Where what may be chosen is told instead, or the cause by somebody else."""


def check_message(text: str) -> None:
    """Fail unless this is a sentence, with the next step."""
    assert re.match(r"[A-Z'(]|executors |pip ", text), f"a sentence begins with a capital letter: {text}"
    assert "  " not in text and ".." not in text and not text.endswith((",", ";", ":")), text
    own = re.sub(r"\([^()]*\)", "", text)  # what others say is in brackets
    assert NEXT.search(own) or KNOWN.search(text.lower()), f"what is to be done about this? {text}"
