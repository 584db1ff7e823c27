"""A way to a store that can be cut: then nothing goes through, and nobody is told."""

import socket
import threading
from urllib.parse import urlsplit


class Proxy:
    def __init__(self, url):
        parts = urlsplit(url)
        self.store = (parts.hostname, parts.port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        before, _ = parts.netloc.rsplit(parts.hostname, 1)
        port = self.listener.getsockname()[1]
        self.url = parts._replace(netloc=f"{before}127.0.0.1:{port}").geturl()
        self.whole = threading.Event()
        self.whole.set()
        threading.Thread(target=self.accept, daemon=True).start()

    def cut(self):
        self.whole.clear()

    def mend(self):
        self.whole.set()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        self.whole.wait()
        try:
            server = socket.create_connection(self.store)
        except OSError:
            return client.close()
        for pair in [(client, server), (server, client)]:
            threading.Thread(target=self.copy, args=pair, daemon=True).start()

    def copy(self, source, to):
        try:
            while data := source.recv(65536):
                self.whole.wait()
                to.sendall(data)
        except OSError:
            pass
        for end in (source, to):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
