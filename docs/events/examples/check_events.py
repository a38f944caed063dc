"""Checks audit events. As a program it reads what kcat prints with -f '%p %o %K %S\\n%k%s\\n'; see consuming.md."""

import hashlib
import json
import re
import sys

ID = re.compile(r"[0-9a-f]{24}")
SEQUENCE = re.compile(r"[0-9]{16}")
HASH = re.compile(r"[0-9a-f]{64}")


class Checker:
    """Keeps the hashes of every event, some 300 bytes each: for a topic without end, take `kms-audit follow`."""

    def __init__(self):
        self.writers = {}  # writer -> sequence -> (hash before, hash after)
        self.events = self.doubles = self.findings = 0

    def say(self, what):
        self.findings += 1
        print(what)

    def take(self, place, key, value):
        """Takes a message: where it lies, and the bytes of its key and its value."""
        try:
            event = json.loads(value.decode("utf-8", "strict"))
            writer, number, before = event["writer"], event["sequence"], event["previoushash"]
            is_event = event["specversion"] == "1.0" and event["type"].startswith("kms.") and event["datacontenttype"] == "application/json"
            is_event = is_event and ID.fullmatch(event["id"]) and ID.fullmatch(writer) and SEQUENCE.fullmatch(number) and HASH.fullmatch(before)
            organization = event["data"]["organizationId"]
            is_event = is_event and ID.fullmatch(organization)
        except (ValueError, KeyError, TypeError, AttributeError):
            is_event = False
        if not is_event:
            return self.say(f"schema: {place} is no audit event")
        if key != organization.encode():
            return self.say(f"key: {place} is not under its organization's key")
        # The bytes as they came: what is parsed and written again has another hash.
        after = hashlib.sha256(bytes.fromhex(before) + value).hexdigest()
        known = self.writers.setdefault(writer, {})
        sequence = int(number)
        if sequence not in known:
            known[sequence] = (before, after)
            self.events += 1
        elif known[sequence][1] == after:
            self.doubles += 1
        else:
            self.say(f"conflict: {place} has other bytes than {writer}/{sequence} had before")

    def finish(self):
        """Says what is missing and what does not fit, and answers the exit code. Begin with the first message of every partition."""
        for writer, known in self.writers.items():
            expected, hash_before = 1, "0" * 64
            for sequence in sorted(known):
                before, after = known[sequence]
                if sequence != expected:
                    self.say(f"gap: {writer}/{expected} to {sequence - 1} did not come")
                elif before != hash_before:
                    self.say(f"chain: {writer}/{sequence} does not continue the chain")
                expected, hash_before = sequence + 1, after
        print(f"{self.events} events, {self.doubles} doubles, {self.findings} findings")
        return 0 if self.findings == 0 else 1


def main(stream):
    checker = Checker()
    for line in iter(stream.readline, b""):
        partition, offset, key_length, length = map(int, line.split())
        key = stream.read(max(key_length, 0))
        value = stream.read(max(length, 0))
        stream.read(1)  # the line feed behind the value
        checker.take(f"{partition}/{offset}", key, value)
    return checker.finish()


if __name__ == "__main__":
    sys.exit(main(sys.stdin.buffer))
