"""The dialogue that stands before a foreign guest's shell: who are you, and what is your password."""

from __future__ import annotations

import re

import trio

from qemunet.errors import ConsoleError
from qemunet.guest.console import Console

_ESCAPES = re.compile(rb"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][A-Z0-9]|[=>78])")
# Anywhere in what was said since the last answer: other words may have been printed behind it.
_USER = re.compile(rb"(?i)(?<!last )\b(?:login(?: as)?|user(?:name)?): ")
_PASSWORD = re.compile(rb"(?i)\bpass(?:word|phrase|wort)\b[^\n:]{0,30}: ")
_REFUSED = re.compile(rb"(?i)login incorrect|authentication failure|access denied|permission denied")
#: How a prompt ends, in whatever shell.
_PROMPT = re.compile(rb"[#$%>\]~] *\Z")
_MOST_REFUSALS = 3
#: A terminal that stays silent after so many key strokes may have a shell without a prompt.
_MOST_WAKES = 3
#: A raw terminal hands it on as any other character, so it fires nothing there.
_RETURN = b"\r"


class Login:
    """Logs in at a terminal.

    Args:
        user: Name of the user.
        password: The password, None if none is asked for.
    """

    def __init__(self, user: str, password: str | None) -> None:
        self._user = user
        self._password = password

    async def log_in(self, console: Console, *, quiet_s: float) -> None:
        """Return when a shell seems to read the terminal; whether it is one, its answer to a greeting shows.

        Args:
            console: The terminal.
            quiet_s: Silence for that long means that the terminal waits for us.

        Raises:
            ConsoleError: user or password were refused.
            GuestExitedError: the guest is gone.
        """
        refusals = wakes = 0
        given = False
        while True:
            with trio.move_on_after(quiet_s):
                await console.said()
                continue
            text = _ESCAPES.sub(b"", console.tail)
            if _REFUSED.search(text):
                refusals += given
                if refusals >= _MOST_REFUSALS:
                    raise ConsoleError(
                        f"{console.node} refused the login of {self._user!r}",
                        node=console.node,
                        hint="the node's keys user= and password= say who logs in",
                    )
            given = False
            question = _last_question(text)
            if question is _PASSWORD:
                self._type(console, self._password or "")
                given = True
            elif question is _USER:
                self._type(console, self._user)
            elif wakes and (_PROMPT.search(text) or (wakes >= _MOST_WAKES and not text.strip())):
                console.forget()
                return
            else:
                self._type(console, "")
                wakes += 1

    def asked(self, console: Console) -> bool:
        """Whether the terminal waits for an answer."""
        return _last_question(_ESCAPES.sub(b"", console.tail)) is not None

    def _type(self, console: Console, word: str) -> None:
        console.forget()
        console.write(word.encode("utf-8", "surrogateescape") + _RETURN)


def _last_question(text: bytes) -> re.Pattern[bytes] | None:
    """What was asked last, if nothing was answered since."""
    places = {
        max((match.end() for match in question.finditer(text)), default=-1): question for question in (_USER, _PASSWORD)
    }
    last = max(places)
    return places[last] if last >= 0 else None
