"""An execution: what a guarded function runs on."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Optional, Tuple

from .proof import Approver


@dataclasses.dataclass(eq=False)
class Execution:
    """A claimed approval. Run exactly on `context` (and `plan`), which were approved.

    `context_text` and `plan_text` are the canonical texts; `context` and `plan` are parsed from
    them. `approvers` are those whose signatures were verified: none without pinned keys.
    `reported` becomes True once the server has the outcome; otherwise it will show `unknown`.
    """

    id: str
    approval_id: str
    context: Dict[str, Any]
    context_text: str
    plan: Optional[Dict[str, Any]]
    plan_text: Optional[str]
    approvers: Tuple[Approver, ...]
    reported: bool = False
