"""The HTTP API of our server, as the console in the browser uses it."""
import http.cookiejar
import json
import re
import urllib.error
import urllib.request

from world import check, until

PASSWORD = "a password for the tests"


class Console:
    """Signed in as the administrator, from the host `desk`."""

    def __init__(self, served):
        printed = served.process.wait_text(r"console\s+(http\S+)\n\s+sign in as (\S+) with the password (\S+)")
        self.url, name, first = printed.groups()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        self.post("session", {"name": name, "password": first})
        self.put("session/password", {"old": first, "new": PASSWORD})

    def ask(self, method, path, body=None):
        """The answer's document; None when it has none."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url.rstrip('/')}/api/{path}", data, method=method)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with self.opener.open(request, timeout=10) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            return check(False, f"{method} {path} was answered with {error.code}: {error.read().decode(errors='replace')[:500]}")
        return json.loads(text) if text and re.match(r"\s*[\[{\"]", text) else None

    def get(self, path):
        return self.ask("GET", path)

    def post(self, path, body=None):
        return self.ask("POST", path, body)

    def put(self, path, body):
        return self.ask("PUT", path, body)

    def trunk(self, name, host, **more):
        """A new trunk; its identifier."""
        return self.post("trunks", {"name": name, "host": host, **more})["id"]

    def rule(self, name, number, action, **rewrite):
        """A new rule at the end of the dial plan."""
        return self.post("rules", {"name": name, "enabled": True, "match": {"number": number}, "rewrite": rewrite, "action": action})

    def wait_trunk(self, identifier, state, seconds=10):
        """Waits until the trunk is as it should be."""
        def is_there():
            now = self.get(f"trunks/{identifier}")["status"]
            return now["state"] == state and now
        return until(is_there, seconds, f"the trunk {identifier} never was {state}")
