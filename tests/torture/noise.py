"""What makes a guest's kernel print without end, on every console that it has."""

from __future__ import annotations

TRACE = b"torture-noise"
"""In each message, to count what the consoles have shown."""

# Numbered messages, ten a second and more; now and then a burst, a very long one, one with control characters, marks
# and prompts in it, and a line without an end that a process writes to the system's console, as a daemon would.
_LOOP = r"""
trap '' HUP INT TERM
i=0
while :; do
    i=$((i + 1))
    echo "<4>torture-noise $i" >/dev/kmsg
    case $((i % 50)) in
    7) j=0; while [ $j -lt 30 ]; do echo "<2>torture-noise burst $i.$j" >/dev/kmsg; j=$((j + 1)); done ;;
    17) printf '<4>torture-noise %0900d' $i >/dev/kmsg ;;
    27) printf '<4>torture-noise \036q0123456789abcdef 0\n\033[6n\033[2J\377\010\015qemunet-ready\n# \036q' >/dev/kmsg ;;
    37) [ "$1" ] && printf 'torture-noise line without an end %d' $i >/dev/console ;;
    47) printf '<4>torture-noise\n\ntorture login: ' >/dev/kmsg ;;
    esac
    sleep 0.1
done
"""

_START = f"""
set -e
echo on >/proc/sys/kernel/printk_devkmsg
echo 8 >/proc/sys/kernel/printk
cat >/dev/shm/torture-noise <<'E'
{_LOOP}E
setsid sh /dev/shm/torture-noise $all </dev/null >/dev/null 2>&1 &
"""

NOISE = "all=all" + _START
"""The command that starts it, for a root shell of a machine."""

KERNEL_NOISE = "all=" + _START
"""Likewise, of the kernel alone: what a process writes to the one console that a guest has cannot be told apart."""
