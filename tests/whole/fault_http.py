# SPDX-License-Identifier: Apache-2.0
"""A static HTTP server that misbehaves on purpose. Faults by name:

  none            serves files, with Range
  no-range        ignores Range: always 200 and the whole file
  cut             ends the first answer for each file after two thirds of what it announced
  cut-no-range    the same, and then ignores Range
  cut-changed     the same, and then serves other bytes under another ETag
  cut-tail-as-200 the same, and then sends the rest but calls it 200
  cut-always      every answer ends after two thirds
  short-length    announces and sends one byte less than asked
  redirect-loop   302 to itself, for ever
  redirect-once   302 to the same path under /real/
  page            200 and a web page, for everything
  page-for-big    a web page for packages, the truth for the index
  teapot-N        status N for everything
  missing         404 for packages
  flip            one bit of each package answer differs
  slow            sends a byte a second (the client's patience)
  hang-up         closes without an answer"""
import hashlib
import os
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

PAGE = b"<!DOCTYPE html>\n<html><body>Please sign in to use this network.</body></html>\n"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, status, body, announce=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if announce is None else announce))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def range_of(self, size):
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not match:
            return None
        return int(match[1]), min(int(match[2]) if match[2] else size - 1, size - 1)

    def serve(self, data, first):
        fault, size, asked = self.server.fault, len(data), self.range_of(len(data))
        etag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        cut = fault == "cut-always" or (fault.startswith("cut") and first)
        if fault in ("no-range", "cut-no-range") and not (cut and asked):
            asked = None
        if fault == "cut-changed" and not first:
            data, etag = bytes(b ^ 0x55 for b in data), '"other"'
        low, high = asked or (0, size - 1)
        if low >= size > 0:
            return self.send(416, b"", Content_Range=f"bytes */{size}")
        body = data[low:high + 1]
        headers = {"ETag": etag, "Accept_Ranges": "bytes"}
        if asked:
            headers["Content_Range"] = f"bytes {low}-{high}/{size}"
        status = 206 if asked and not (fault == "cut-tail-as-200" and not first) else 200
        if fault == "flip":
            body = body[:-1] + bytes([body[-1] ^ 1])
        if fault == "short-length":
            body = body[:-1]
        if not cut:
            return self.send(status, body, **headers)
        self.close_connection = True
        return self.send(status, body[:len(body) * 2 // 3], announce=len(body), **headers)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        server = self.server
        path = unquote(urlsplit(self.path).path)
        with server.lock:
            server.requests += 1
            key = (path, self.headers.get("Range"))
            first = path not in server.seen
            server.seen.add(path)
            server.log.append(key)
        fault = server.fault
        package = path.endswith(".tmpk")
        if fault == "hang-up":
            self.close_connection = True
            return None
        if fault == "redirect-loop":
            return self.send(302, b"", Location=f"{path}?again={server.requests}")
        if fault == "redirect-once" and not path.startswith("/real/"):
            return self.send(302, b"", Location=f"/real{path}")
        if fault == "page" or (fault == "page-for-big" and package):
            return self.send(200, PAGE, Content_Type="text/html")
        if fault.startswith("teapot-"):
            return self.send(int(fault[7:]), b"no\n")
        file = os.path.normpath(os.path.join(server.root, path.removeprefix("/real").lstrip("/")))
        if not file.startswith(server.root) or not os.path.isfile(file) or \
                (fault == "missing" and package):
            return self.send(404, b"not found\n")
        with open(file, "rb") as stream:
            data = stream.read()
        if fault == "slow" and package:
            self.send(200, b"", announce=len(data))
            for byte in data[:30]:
                self.wfile.write(bytes([byte]))
                time.sleep(1)
            self.close_connection = True
            return None
        if not package and fault in ("flip", "short-length"):
            return self.send(200, data)
        return self.serve(data, first)


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # clients that hang up are part of the tests


class FaultServer:
    def __init__(self, root, fault="none"):
        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.server.root, self.server.fault = os.path.abspath(root), fault
        self.server.seen, self.server.log = set(), []
        self.server.requests, self.server.lock = 0, threading.Lock()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def requests(self):
        return self.server.requests

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
