"""Chat by python-socketio, a client that nobody of Socket.IO's own people wrote: over WebSockets, over long polling, and
from the one to the other in mid-conversation.

    python chat.py PROGRAM
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request

import socketio


def start(program, directory):
    """The daemon, and where it listens."""
    env = {
        "PATH": os.environ["PATH"],
        "SOCIALHUB_DATA_DIR": os.path.join(directory, "data"),
        "SOCIALHUB_LISTEN": "127.0.0.1:0",
        # By how many hubs the sockets are served, where the tests' environment says so.
        "SOCIALHUB_REALTIME__HUBS": os.environ.get("SOCIALHUB_REALTIME__HUBS", "1"),
    }
    daemon = subprocess.Popen(
        [program, "serve"], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    for line in daemon.stdout:
        found = re.search(r"listening\s+(http\S+)", line)
        if found:
            return daemon, found.group(1)
    raise RuntimeError("the daemon did not start")


def sign_up(base, name):
    body = {"name": name, "username": name.lower(), "email": f"{name}@example.org", "password": "Password123!"}
    request = urllib.request.Request(
        f"{base}/auth/signup", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)["token"]


class Client:
    """A connection that keeps what it was sent."""

    def __init__(self):
        self.socket = socketio.AsyncClient(reconnection=False)
        self.seen = asyncio.Queue()
        self.socket.on("*", self.see)

    async def see(self, event, *data):
        await self.seen.put((event, *data))

    async def next(self, name):
        while True:
            event, *data = await asyncio.wait_for(self.seen.get(), 5)
            if event == name:
                return data[0]

    async def ask(self, event, data):
        return await self.socket.call(event, data, timeout=5)


async def converse(base, ada, bob, way, transports, path):
    one, other = Client(), Client()
    await one.socket.connect(base, auth={"token": ada}, transports=transports, socketio_path=path)
    headers = {"Authorization": f"Bearer {bob}"}
    await other.socket.connect(base, headers=headers, transports=transports, socketio_path=path)
    room = f"room: {way}"
    for client in (one, other):
        answer = await client.ask("join_room", {"roomId": room})
        assert answer["ok"], answer
        assert await client.next("message_history") == []
    for number in range(1, 41):
        await one.socket.emit("send_message", {"roomId": room, "message": f"{number} €"})
    for client in (one, other):
        for number in range(1, 41):
            message = await client.next("new_message")
            assert (message["number"], message["message"]) == (number, f"{number} €"), message
    answer = await other.ask("send_message", {"roomId": room, "message": b"binary"})
    assert answer["code"] == "unexpected_file", answer
    await other.socket.emit("typing", {"roomId": room, "isTyping": True})
    assert (await one.next("user_typing"))["isTyping"] is True
    await other.socket.disconnect()
    assert (await one.next("user_left"))["roomId"] == room
    await one.socket.disconnect()
    print(f"python-socketio over {way}: as it should be")


async def refused(base):
    client, reasons = Client(), []

    async def note(reason):
        reasons.append(reason)

    client.socket.on("connect_error", note)
    try:
        await client.socket.connect(base, auth={"token": "x"}, transports=["websocket"])
    except socketio.exceptions.ConnectionError:
        assert reasons[0]["data"]["code"] == "unauthenticated", reasons
        return
    raise AssertionError("somebody without a token was let in")


async def main(base):
    ada, bob = sign_up(base, "Ada"), sign_up(base, "Bob")
    for way, transports, path in [
        ("websocket", ["websocket"], "socket.io"),
        ("polling", ["polling"], "chat/socket.io"),
        ("polling, then websocket", ["polling", "websocket"], "socket.io"),
    ]:
        await converse(base, ada, bob, way, transports, path)
    await refused(base)


with tempfile.TemporaryDirectory(prefix="socialhub-clients-") as directory:
    daemon, base = start(sys.argv[1], directory)
    try:
        asyncio.run(asyncio.wait_for(main(base), 60))
    finally:
        daemon.kill()
        daemon.wait()
