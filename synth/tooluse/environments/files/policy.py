"""The policy: rules that a call can break, and sentences that bind no call."""

import re

from synth.tooluse.environment import Rule
from synth.tooluse.rules import confirmed, looked_at


def is_protected(path: str) -> bool:
    return re.match(r"(?:LICEN[CS]E|COPYING|NOTICE)", path.rpartition("/")[2], re.I) is not None


WRITES = ("move_file", "copy_file", "write_file", "replace_text", "set_constant", "append_line", "delete_file")
RULES = (
    Rule("protected", "Licence, copying and notice files stay as they are and where they are, and nothing is written over them.",
         lambda act: act.call.name in WRITES and act.call.name != "copy_file" and is_protected(act.call.arguments["path"])),
    looked_at("read_file", "path", ("delete_file", "append_line"), "Read a file before you add to it or delete it."),
    confirmed(("delete_file",), "you delete a file"),
)  # fmt: skip
NOTES = ("Everything else is done without asking back, and told in one sentence.",)
