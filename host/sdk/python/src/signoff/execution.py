"""An execution: what a guarded function runs on."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Optional, Tuple

from .proof import Approver
from .verdict import Verdict


@dataclasses.dataclass(eq=False)
class Execution:
    """A claimed approval, or an action that a local policy allowed.

    Run exactly on `context` (and `plan`), which were approved.
    `context_text` and `plan_text` are the canonical texts; `context` and `plan` are parsed from
    them. `approvers` are those whose signatures were verified: none without pinned keys.
    `reported` becomes True once the server has the outcome; otherwise it will show `unknown`.

    `verdict` is that of the guard's `policy`. If the policy allowed the action, there is no
    approval: `id` and `approval_id` are empty, and no outcome is reported.
    """

    id: str
    approval_id: str
    context: Dict[str, Any]
    context_text: str
    plan: Optional[Dict[str, Any]]
    plan_text: Optional[str]
    approvers: Tuple[Approver, ...]
    reported: bool = False
    verdict: Optional[Verdict] = None
