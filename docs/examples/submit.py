"""Hand a message in, wait until customs has decided, acknowledge. Standard library only.

Usage: GATEWAY_URL=http://127.0.0.1:8080 GATEWAY_TOKEN_FILE=demo.token python submit.py payment.xml
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

URL = os.environ["GATEWAY_URL"]
TOKEN = Path(os.environ["GATEWAY_TOKEN_FILE"]).read_text("utf-8").strip()
ATTEMPTS = 8
DECIDED = {"accepted", "refused", "final"}


def ask(path: str, body: bytes | None = None, content_type: str = "application/xml") -> Any:
    """One request. Sent again after 429 and 503 as the gateway asks, and after no answer: that is always safe."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": content_type}
    for attempt in range(ATTEMPTS):
        try:
            with urllib.request.urlopen(
                urllib.request.Request(URL + path, body, headers), timeout=90
            ) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code not in (429, 503) or attempt + 1 == ATTEMPTS:
                refuse(json.load(error))
            time.sleep(min(float(error.headers.get("Retry-After", "1")), 60))
        except OSError:
            if attempt + 1 == ATTEMPTS:
                raise
            time.sleep(2**attempt / 10)
    raise AssertionError("unreachable")


def refuse(problem: Any) -> None:
    """A problem document: one code, and every place that is wrong."""
    print(f"refused: {problem['code']} {problem['title']} / {problem['title_zh']}", file=sys.stderr)
    for fault in problem["faults"]:
        print(
            f"  {fault['path']} {fault['message']} / {fault['message_zh']} {fault['fix']} / {fault['fix_zh']}",
            file=sys.stderr,
        )
    sys.exit(1)


def main(file: str) -> None:
    body = Path(file).read_bytes()  # the bytes as they are: never read and written anew
    ask("/v1/messages?dry_run=true", body)
    message = ask("/v1/messages", body)
    print(f"accepted: {message['id']}")
    waiting = [declaration["key"] for declaration in message["declarations"]]
    while waiting:
        page = ask("/v1/receipts?wait=30")
        for receipt in page["receipts"]:  # store it durably on your side, then acknowledge
            for answer in receipt["bodies"]:
                meaning = answer["meaning"]
                print(answer["message_type"], answer["status"], meaning["kind"], meaning["zh"])
                if meaning["kind"] in DECIDED:
                    told = [declaration["key"] for declaration in answer["declarations"]]
                    waiting = [key for key in waiting if key not in told]
        ask("/v1/receipts/ack", json.dumps({"cursor": page["cursor"]}).encode(), "application/json")
    print(f"decided: {message['id']}")


if __name__ == "__main__":
    main(sys.argv[1])
