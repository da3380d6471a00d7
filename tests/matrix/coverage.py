#!/usr/bin/env python3
"""Check the two tables of the state x event matrix, without running tern.

Every cell of the full product must be covered by exactly one row, every word must be one that README.md
defines, every row must name its rule, and a rule P<n> must be a house decision listed in README.md.
Prints what is wrong; exit status 1."""

import re
import sys
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path

HERE = Path(__file__).resolve().parent

STATES = (
    "CLOSED LISTEN SYN_SENT SYN_RCVD_P SYN_RCVD_A ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 CLOSE_WAIT CLOSING "
    "LAST_ACK "
    "TIME_WAIT_H TIME_WAIT_R"
).split()
FLAGS = "SYN SYN+ACK ACK FIN+ACK RST RST+ACK data none".split()
SEQS = "acceptable old beyond inside".split()
ACKS = "acceptable old ancient unsent absent".split()
CALLS = "OPEN_ACTIVE OPEN_PASSIVE SEND RECEIVE CLOSE SHUTDOWN ABORT STATUS".split()

SEGMENT_STATES = STATES + ["TIME_WAIT_H+listener", "TIME_WAIT_R+listener"]
CALL_EXTRAS = {  # situations beside the product: a row for them is optional, two are an error
    "CLOSED+unread",
    "LISTEN+halfopen",
    "LISTEN+unaccepted",
    "SYN_SENT+queued",
    "SYN_RCVD_A+queued",
    "ESTABLISHED+unread",
    "FIN_WAIT_1+unread",
    "FIN_WAIT_2+unread",
    "CLOSE_WAIT+unread",
    "CLOSING+unread",
    "LAST_ACK+unread",
    "TIME_WAIT_H+unread",
}

# reply or sent kind: what its sequence and acknowledgment columns must hold
REPLIES = {
    "none": ("-", "-"),
    "ACK": ("SND.NXT", "RCV.NXT"),
    "ACK?": ("SND.NXT", "RCV.NXT"),
    "SYNACK": ("ISS", "RCV.NXT"),
    "RST": ("SEG.ACK", "-"),
    "RSTACK": ("0", "SEG.SEQ+SEG.LEN"),
}
SENT = {
    "none": ("-", "-"),
    "SYN": ("ISS", "-"),
    "data": ("SND.NXT", "RCV.NXT"),
    "FINACK": ("SND.NXT", "RCV.NXT"),
    "RST": ("SND.NXT", "-"),
}

EVENTS = "- accepted connected acked kept eof refused reset closed ended 2msl".split()
EFFECTS = "- released".split()
RESULT = re.compile(r"0|100|-E[A-Z]+|new\((SYN_SENT|LISTEN)\)|is\([A-Z_12]+\)")
RULE = re.compile(r"\d+\.\d+|RFC \d+|\bP\d+\b|MUST-\d+|SHLD-\d+")

SEGMENT_COLUMNS = "state flags seq ack next reply rseq rack bytes event rule".split()
CALL_COLUMNS = "state call result next sent sseq sack effect rule".split()


class Faults:
    def __init__(self):
        self.lines = []

    def add(self, where, what):
        self.lines.append(f"{where}: {what}")


def read(path, columns, faults):
    """Yield (where, row) for every data line; the first one must be the header."""
    header = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        where = f"{path.name}:{number}"
        if not line.strip() or line.startswith("#"):
            continue
        fields = [field.strip() for field in line.split("\t")]
        if header is None:
            header = fields
            if header != columns:
                faults.add(where, f"header is {header}, not {columns}")
        elif len(fields) != len(columns):
            faults.add(where, f"{len(fields)} fields, not {len(columns)}")
        else:
            yield where, dict(zip(columns, fields))


def expand(pattern, words, where, faults):
    """The words that a pattern covers: a|b, *, !a, and the wildcards of fnmatch."""
    negated = pattern.startswith("!")
    hit = []
    for part in pattern.lstrip("!").split("|"):
        found = [word for word in words if fnmatchcase(word, part)]
        if not found:
            faults.add(where, f"'{part}' names nothing in {' '.join(words)}")
        if set(found) & set(hit):
            faults.add(where, f"'{pattern}' names something twice")
        hit += found
    return [word for word in words if word not in hit] if negated else hit


def cover(cells, covered, where, faults):
    for cell in cells:
        if cell in covered:
            faults.add(where, f"{' '.join(cell)} is covered by {covered[cell]} already")
        covered.setdefault(cell, where)


def check_common(row, where, decisions, next_states, faults):
    if row["next"] != "=" and row["next"] not in next_states:
        faults.add(where, f"next state '{row['next']}' is unknown")
    if not RULE.search(row["rule"]):
        faults.add(where, "no rule")
    for name in re.findall(r"\bP\d+\b", row["rule"]):
        if name not in decisions:
            faults.add(where, f"{name} is not listed in README.md")
        decisions[name] = True


def check_kind(kind, seq, ack, kinds, where, faults):
    if kind not in kinds:
        faults.add(where, f"segment kind '{kind}' is unknown")
    elif (seq, ack) != kinds[kind]:
        faults.add(where, f"{kind} has {seq} {ack}, not {' '.join(kinds[kind])}")


def check_segments(decisions, faults):
    covered = {}
    for where, row in read(HERE / "segments.tsv", SEGMENT_COLUMNS, faults):
        cover(
            product(
                expand(row["state"], SEGMENT_STATES, where, faults),
                expand(row["flags"], FLAGS, where, faults),
                expand(row["seq"], SEQS, where, faults),
                expand(row["ack"], ACKS, where, faults),
            ),
            covered,
            where,
            faults,
        )
        check_common(row, where, decisions, STATES, faults)
        check_kind(row["reply"], row["rseq"], row["rack"], REPLIES, where, faults)
        if row["bytes"] not in ("0", "100") or (row["bytes"] == "100") != (row["reply"] == "ACK?"):
            faults.add(where, f"{row['bytes']} bytes and reply {row['reply']} do not fit")
        for event in row["event"].split(","):
            if event not in EVENTS:
                faults.add(where, f"event '{event}' is unknown")
    return missing(product(SEGMENT_STATES, FLAGS, SEQS, ACKS), covered, "segments.tsv", faults)


def check_calls(decisions, faults):
    covered = {}
    for where, row in read(HERE / "calls.tsv", CALL_COLUMNS, faults):
        states = (
            [row["state"]] if row["state"] in CALL_EXTRAS else expand(row["state"], STATES, where, faults)
        )
        cover(product(states, expand(row["call"], CALLS, where, faults)), covered, where, faults)
        check_common(row, where, decisions, STATES, faults)
        check_kind(row["sent"], row["sseq"], row["sack"], SENT, where, faults)
        if not RESULT.fullmatch(row["result"]):
            faults.add(where, f"result '{row['result']}' is unknown")
        if row["effect"] not in EFFECTS:
            faults.add(where, f"effect '{row['effect']}' is unknown")
    return missing(product(STATES, CALLS), covered, "calls.tsv", faults)


def missing(cells, covered, name, faults):
    wanted = list(cells)
    for cell in wanted:
        if cell not in covered:
            faults.add(name, f"{' '.join(cell)} is missing")
    beside, rows = len(set(covered) - set(wanted)), len(set(covered.values()))
    return f"{name}: {len(wanted)} cells, {beside} beside them, {rows} rows"


def main():
    faults = Faults()
    readme = (HERE / "README.md").read_text()
    decisions = dict.fromkeys(re.findall(r"^\| (P\d+) \|", readme, re.M), False)
    summary = [check_segments(decisions, faults), check_calls(decisions, faults)]
    for name, used in decisions.items():
        if not used:
            faults.add("README.md", f"{name} is used by no row")
    print("\n".join(faults.lines + summary))
    return 1 if faults.lines else 0


if __name__ == "__main__":
    sys.exit(main())
