"""The executor of the demo: it deploys what Ann approved, whatever a server says."""

import sys

import signoff

try:
    with signoff.Client().approved(
        agent="deployer", action="deploy", context={"service": "billing", "version": "1.2.3"}
    ) as execution:
        print(f"deployed {execution.context['service']} {execution.context['version']}")
        print(f"approved by {execution.approvers[0].approver}")
except signoff.SignoffError as error:
    sys.exit(f"nothing ran: {error.code}: {error.detail}")
