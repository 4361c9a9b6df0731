# SPDX-License-Identifier: Apache-2.0
"""A real Chromium, spoken to in its DevTools protocol over a pair of pipes (its file descriptors 3
and 4, one JSON object a NUL): opens pages from files and says what they did."""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--mute-audio",
         "--no-first-run", "--disable-extensions", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
         "--force-device-scale-factor=1", "--lang=en-US", "--remote-debugging-pipe"]
DEADLINE_S = 60


class Browser:
    def __init__(self):
        program = shutil.which("chromium")
        if program is None:
            raise RuntimeError("there is no chromium; run deploy/setup.sh")
        self.home = tempfile.mkdtemp(prefix="tmill-browser-")
        there, self.to = os.pipe()
        self.come, back = os.pipe()

        def prepare():
            # Both out of the way first: one may be 3 or 4 already.
            high = [os.dup(fd) for fd in (there, back)]
            high = [os.dup2(fd, 30 + i) for i, fd in enumerate(high)]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={self.home}/profile", "about:blank"],
            env={"HOME": self.home, "PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=prepare, close_fds=False, start_new_session=True)
        os.close(there)
        os.close(back)
        self.next, self.rest, self.events = 0, b"", []

    def close(self):
        try:
            self.call("Browser.close")
            self.process.wait(10)
        except (OSError, RuntimeError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.to)
        os.close(self.come)
        shutil.rmtree(self.home, ignore_errors=True)

    def message(self, deadline):
        """The next message of the browser."""
        while b"\0" not in self.rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.come], [], [], left)[0]:
                raise RuntimeError(f"chromium said nothing within {DEADLINE_S} s")
            more = os.read(self.come, 1 << 20)
            if not more:
                raise RuntimeError("chromium ended")
            self.rest += more
        text, self.rest = self.rest.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, session=None, **params):
        """Answer of a command; what happens meanwhile is kept in self.events."""
        self.next += 1
        text = {"id": self.next, "method": method, "params": params}
        if session:
            text["sessionId"] = session
        data = json.dumps(text).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data):]
        deadline = time.monotonic() + DEADLINE_S
        while True:
            message = self.message(deadline)
            if message.get("id") == self.next:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def wait_event(self, method):
        deadline = time.monotonic() + DEADLINE_S
        while all(event.get("method") != method for event in self.events):
            self.events.append(self.message(deadline))


class Page:
    """One page, shown in a scheme ("light", "dark") and a width, with or without script."""

    def __init__(self, browser, path, scheme="light", width=1280, script=True):
        self.browser, browser.events = browser, []
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target,
                                    flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=800,
                  deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        browser.events = []
        self.url = "file://" + path
        self.call("Page.navigate", url=self.url)
        browser.wait_event("Page.loadEventFired")

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)

    def evaluate(self, text):
        answer = self.call("Runtime.evaluate", expression=text, awaitPromise=True,
                           returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"])[:500])
        return answer["result"].get("value")

    def screenshot(self):
        return base64.b64decode(self.call("Page.captureScreenshot", format="png",
                                          captureBeyondViewport=True)["data"])

    def requests(self):
        """Everything that the page asked for, its own file left out."""
        asked = [event["params"]["request"]["url"] for event in self.browser.events
                 if event.get("method") == "Network.requestWillBeSent"]
        return [url for url in asked if url != self.url]

    def complaints(self):
        """What the browser's console said: refused styles, errors, dialogs."""
        return [event["params"] for event in self.browser.events if event.get("method") in
                ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled",
                 "Page.javascriptDialogOpening")]
