# SPDX-License-Identifier: GPL-2.0
"""Serve netlink requests by the kernel's own library, which takes seconds to start under TCG.

Reads from each line of standard input the name of a family, "do" or "dump", and operations with
their attributes: ["netdev", "do", "napi-set", {"id": 1}].  Answers each with a line of JSON, or
with "!" and the error.
"""

import json
import sys

LINUX = "/usr/src/linux"
sys.path.append(f"{LINUX}/tools/net/ynl")

from pyynl.lib import NlError, YnlFamily  # noqa: E402  (the path has to be set first)

families = {}


def serve(name: str, kind: str, *requests) -> object:
    """Perform a request."""
    if name not in families:
        families[name] = YnlFamily(f"{LINUX}/Documentation/netlink/specs/{name}.yaml", schema="")
    if kind == "dump":
        return families[name].dump(*requests)
    pairs = zip(requests[::2], requests[1::2])
    return families[name].do_multi([(operation, attributes, []) for operation, attributes in pairs])


for line in sys.stdin:
    try:
        answer = json.dumps(serve(*json.loads(line)), default=lambda value: value.hex()
                            if isinstance(value, bytes) else sorted(value))
    except (NlError, OSError, KeyError, ValueError) as error:
        answer = "!" + " ".join(f"{error}".split())
    print(answer, flush=True)
