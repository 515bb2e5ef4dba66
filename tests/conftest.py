"""What holds for all tests."""

from __future__ import annotations

import signal

import hypothesis

# Whatever started the tests may ignore these (nohup does, and a script that starts them in the background), and what is
# ignored where a shell starts stays so in it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for _number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)

# A machine that does other things as well may take a while over anything.
hypothesis.settings.register_profile("qemunet", deadline=None)
hypothesis.settings.load_profile("qemunet")
