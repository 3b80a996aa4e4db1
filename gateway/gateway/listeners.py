"""The sockets at which a worker accepts connections."""

import errno
import selectors
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
SEND_BUFFER = 131_072  # the kernel's, for each connection
ACCEPT = 8  # connections at a time


class Listeners:
    """Accepts connections until there is no room for them.

    Args:
        accept: called with each connection's socket, the client's address and the server's.
        make_room: closes another connection; returns whether there was one.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        selector: selectors.BaseSelector,
        accept: Callable[[socket.socket, Any, Any], None],
        make_room: Callable[[], bool],
    ) -> None:
        self._sockets = sockets
        self._selector = selector
        self._accept = accept
        self._make_room = make_room
        self._is_listening = self._is_stopped = False
        for each in sockets:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)  # inherited
        self.listen()

    def listen(self) -> None:
        """Accept connections, unless it was stopped."""
        if not (self._is_listening or self._is_stopped):
            self._is_listening = True
            for each in self._sockets:
                self._selector.register(each, selectors.EVENT_READ, partial(self._on_ready, each))

    def pause(self) -> None:
        """Accept none until `listen` is called."""
        if self._is_listening:
            self._is_listening = False
            for each in self._sockets:
                self._selector.unregister(each)

    def stop(self) -> None:
        """Accept none from now on."""
        self.pause()
        self._is_stopped = True

    def _on_ready(self, listener: socket.socket) -> None:
        for _ in range(ACCEPT):
            try:
                client_socket, client = listener.accept()
            except OSError as error:
                if error.errno in NO_ROOM and not self._make_room():
                    self.pause()
                return
            self._accept(client_socket, client, listener.getsockname())
