"""Closes a window as a window manager's close button does; needs xdotool and libX11."""

import ctypes
import os
import subprocess


class _ClientMessage(ctypes.Structure):
    """XClientMessageEvent, padded to the size of an XEvent."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 5),
        ("padding", ctypes.c_long * 24),
    )


_CLIENT_MESSAGE = 33


def close_window(display: str, pid: int, name: str) -> None:
    """Ask the window of a program to close, in a display without a window manager.

    Args:
        display: like ":99".
        pid: of the program.
        name: what the window's title matches, a regular expression.

    Raises:
        AssertionError: there is no such window.
    """
    found = subprocess.run(
        ["xdotool", "search", "--all", "--pid", str(pid), "--name", name],
        env={**os.environ, "DISPLAY": display}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    windows = [int(word) for word in found.stdout.split()]
    assert windows, f"no window is named {name}: {found.stderr}"
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.restype = ctypes.c_ulong
    connection = ctypes.c_void_p(x11.XOpenDisplay(display.encode()))
    assert connection.value, f"no display {display}"
    atoms = [
        x11.XInternAtom(connection, word, 0) for word in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW")
    ]
    window = ctypes.c_ulong(windows[-1])
    event = _ClientMessage(_CLIENT_MESSAGE, 0, 1, connection, window, atoms[0], 32)
    event.data[0] = atoms[1]
    x11.XSendEvent(connection, window, 0, ctypes.c_long(0), ctypes.byref(event))
    x11.XSync(connection, 0)
    x11.XCloseDisplay(connection)
