"""The guard with a real server and approvers: what runs, what does not, and what is reported."""

from __future__ import annotations

import uuid
from typing import Any, Callable, Dict, List

import pytest
from live import AUDIENCE, SECRET, Deciding, Office, must_not_run

import signoff
from signoff._flow import Need
from signoff.runbook import generate_approval_signature


@pytest.fixture
def options(office: Office) -> Dict[str, Any]:
    """Options of a guard that verifies with pinned keys; each test has an action of its own."""
    return {
        "agent": "deployer",
        "action": f"deploy-{uuid.uuid4()}",
        "context": {"to": "prod", "replicas": 3.0},
        "keys": office.keys,
        "audience": AUDIENCE,
    }


def only(office: Office, action: str) -> signoff.Approval:
    """Returns the only approval for an action, as an admin sees it."""
    with signoff.Client(office.url, office.admin) as admin:
        (found,) = admin.list(action=action).items
        return admin.get(found.id)


def test_runs_once_on_the_approved_text_and_reports(
    office: Office, client: signoff.Client, options: Dict[str, Any]
) -> None:
    ran: List[signoff.Execution] = []

    def deploy(execution: signoff.Execution) -> str:
        ran.append(execution)
        return "done"

    plan = {"steps": ["a", "b"]}
    with Deciding(office, options["action"]):
        assert client.guard(deploy, **options, plan=plan, reason="why", lease_seconds=60) == "done"
    (execution,) = ran
    assert execution.context_text == '{"replicas": 3.0, "to": "prod"}'
    assert execution.context == {"replicas": 3.0, "to": "prod"}
    assert (execution.plan, execution.plan_text) == (plan, '{"steps": ["a", "b"]}')
    assert [one.approver for one in execution.approvers] == ["alice@company.com"]
    assert execution.reported
    shown = only(office, options["action"])
    assert (shown.id, shown.execution_id) == (execution.approval_id, execution.id)
    assert shown.outcome == "succeeded"


def test_two_approvers_of_a_group(
    office: Office, client: signoff.Client, options: Dict[str, Any]
) -> None:
    options |= {"groups": {"sre": 1}, "floor": {"threshold": 2}}
    with Deciding(office, options["action"], "alice", "bob"):
        with client.approved(**options) as execution:
            assert [one.key_id for one in execution.approvers] == ["alice", "bob"]


def test_rejection_is_raised_with_its_comment_and_nothing_runs(
    office: Office, client: signoff.Client, options: Dict[str, Any]
) -> None:
    with Deciding(office, options["action"], decision="reject"):
        with pytest.raises(signoff.Rejected) as refused:
            client.guard(must_not_run, **options)
    assert refused.value.comment == "a\nreason"
    assert str(refused.value).isprintable()
    assert refused.value.approval_id == only(office, options["action"]).id


def test_expiry_is_raised(client: signoff.Client, options: Dict[str, Any]) -> None:
    with pytest.raises(signoff.Expired):
        client.guard(must_not_run, **options, expires_in_seconds=1)


def test_timeout_withdraws_the_request(
    office: Office, client: signoff.Client, options: Dict[str, Any]
) -> None:
    with pytest.raises(signoff.TimedOut):
        client.guard(must_not_run, **options, timeout=2)
    assert only(office, options["action"]).status == "withdrawn"


@pytest.mark.parametrize("error", [ValueError("secret"), KeyboardInterrupt(), SystemExit(1)])
def test_function_that_fails_is_reported_by_its_type_alone(
    office: Office, client: signoff.Client, options: Dict[str, Any], error: BaseException
) -> None:
    with Deciding(office, options["action"]):
        with pytest.raises(type(error)):
            with client.approved(**options):
                raise error
    execution = only(office, options["action"]).members["execution"]
    assert (execution["outcome"], execution["detail"]) == ("failed", type(error).__name__)


@pytest.mark.parametrize("route, status", [("?wait=", "withdrawn"), ("/execute", "withdrawn")])
def test_interrupt_before_the_run_withdraws_the_request(
    office: Office,
    client: signoff.Client,
    options: Dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    route: str,
    status: str,
) -> None:
    interrupt(client, monkeypatch, route, after=False)
    names = () if route == "?wait=" else (office, options["action"])
    with pytest.raises(KeyboardInterrupt):
        run_decided(client, options, names)
    assert only(office, options["action"]).status == status


def test_interrupt_of_the_request_withdraws_it(
    office: Office,
    client: signoff.Client,
    options: Dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    interrupt(client, monkeypatch, "/approvals", after=True)
    with pytest.raises(KeyboardInterrupt):
        client.guard(must_not_run, **options)
    assert only(office, options["action"]).status == "withdrawn"


def test_interrupt_after_the_claim_arrived_reports_failed(
    office: Office,
    client: signoff.Client,
    options: Dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    interrupt(client, monkeypatch, "/execute", after=True)
    with pytest.raises(KeyboardInterrupt):
        run_decided(client, options, (office, options["action"]))
    execution = only(office, options["action"]).members["execution"]
    assert execution["outcome"] == "failed"
    assert execution["detail"] == "never started: KeyboardInterrupt"


def interrupt(
    client: signoff.Client, monkeypatch: pytest.MonkeyPatch, route: str, after: bool
) -> None:
    """Interrupts the first call whose path has `route`, before or after the server gets it."""
    perform = client._transport.perform
    done: List[bool] = []

    def interrupted(need: Need) -> Any:
        request = getattr(need, "request", None)
        if request is not None and not done and (route in request.path):
            done.append(True)
            if after:
                perform(need)
            raise KeyboardInterrupt
        return perform(need)

    monkeypatch.setattr(client._transport, "perform", interrupted)


def run_decided(client: signoff.Client, options: Dict[str, Any], decided: Any) -> None:
    if not decided:
        client.guard(must_not_run, **options)
        return
    with Deciding(*decided):
        client.guard(must_not_run, **options)


@pytest.mark.parametrize(
    "change, code",
    [
        ({"audience": "another"}, "audience-mismatch"),
        ({"policies": ["0" * 64]}, "policy-mismatch"),
        ({"accept": ["v1"]}, "signature-malformed"),
    ],
)
def test_what_the_executor_requires_is_checked_before_the_claim(
    office: Office,
    client: signoff.Client,
    options: Dict[str, Any],
    change: Dict[str, Any],
    code: str,
) -> None:
    with Deciding(office, options["action"]):
        with pytest.raises(signoff.SignoffError) as refused:
            client.guard(must_not_run, **{**options, **change})
    assert refused.value.code == code
    assert isinstance(refused.value, signoff.Rejection)
    assert only(office, options["action"]).status == "withdrawn"


def test_unknown_key_does_not_count(
    office: Office, client: signoff.Client, options: Dict[str, Any]
) -> None:
    keys = [key for key in signoff.read_keys(office.keys) if key["id"] == "bob"]
    with Deciding(office, options["action"]):
        with pytest.raises(signoff.Unverified) as refused:
            client.guard(must_not_run, **{**options, "keys": keys})
    assert refused.value.code == "key-unknown"


def test_hmac_counts_only_where_it_is_allowed(
    office: Office, client: signoff.Client, options: Dict[str, Any]
) -> None:
    with signoff.Client(office.url, office.admin) as admin:
        ids = [key["id"] for key in admin.keys() if key["algorithm"] == "hmac-sha256"]
    shared: Dict[str, Any] = {
        "algorithm": "hmac-sha256",
        "material": "YS1zZWNyZXQtb2YtdGhlLWxpdmUtdGVzdHMtd2l0aC1lbm91Z2gtYnl0ZXM",
        "status": "active",
        "use": "approve",
        "approver": None,
        "groups": [],
    }
    # The server names the key that `HMAC_SECRET` made; the other one is of `signoff init`.
    secrets = [{**shared, "id": id} for id in ids]
    options["keys"] = secrets
    with pytest.raises(signoff.Invalid):
        client.guard(must_not_run, **options, timeout=1)
    for allowed in ({"accept": ["v1"]}, {"accept": ["v1"], "allow_hmac": True}):
        options["action"] = f"deploy-{uuid.uuid4()}"
        if "allow_hmac" not in allowed:
            options["keys"] = [*secrets, *signoff.read_keys(office.keys)]
        with SigningV1(office, options["action"]):
            if "allow_hmac" in allowed:
                with client.approved(**options, **allowed) as execution:
                    assert execution.approvers[0].profile == "v1"
            else:
                with pytest.raises(signoff.Unverified):
                    client.guard(must_not_run, **options, **allowed)


class SigningV1(Deciding):
    """Approves with a signature of the runbook."""

    def __init__(self, office: Office, action: str) -> None:
        super().__init__(office, action)

        class Signing:
            url, admin = office.url, office.admin

            def decide(self, id: str, *_: Any) -> None:
                with signoff.Client(office.url, office.approver_tokens["alice"]) as alice:
                    person, expiry = "alice@company.com", alice.get(id).expires_at
                    signature = generate_approval_signature(id, "approved", person, expiry, SECRET)
                    alice.decide(id, "approved", signature, approver=person)

        self._office = Signing()  # type: ignore[assignment]


def test_keys_and_audience_come_from_the_environment(
    office: Office, options: Dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNOFF_KEYS", str(office.keys))
    with signoff.Client(office.url, office.agent) as client:
        given = {**options, "keys": None, "audience": None}
        with pytest.raises(signoff.Invalid) as refused:
            client.guard(must_not_run, **given)
        assert "audience" in refused.value.detail
    monkeypatch.setenv("SIGNOFF_AUDIENCE", AUDIENCE)
    with signoff.Client(office.url, office.agent) as client:
        with Deciding(office, options["action"]), client.approved(**given) as execution:
            assert execution.approvers


def test_without_keys_the_server_is_trusted(
    office: Office, client: signoff.Client, options: Dict[str, Any]
) -> None:
    with Deciding(office, options["action"]):
        with client.approved(**{**options, "keys": None, "audience": None}) as execution:
            assert execution.approvers == ()
            assert execution.context_text == '{"replicas": 3.0, "to": "prod"}'
    assert only(office, options["action"]).outcome == "succeeded"


def test_context_manager_is_for_one_execution(client: signoff.Client) -> None:
    approved = client.approved(agent="deployer", action="", context={})
    with pytest.raises(signoff.Invalid):
        approved.__enter__()
    with pytest.raises(RuntimeError):
        approved.__enter__()


def test_unknown_option_is_a_type_error(client: signoff.Client) -> None:
    with pytest.raises(TypeError):
        client.approved(agent="a", action="b", context={}, thresold=2)  # type: ignore[call-arg]


def test_decorated_function_runs_on_the_approved_arguments(
    office: Office, client: signoff.Client, options: Dict[str, Any]
) -> None:
    del options["context"]
    given = {"id": [1, 2]}

    @client.requires_approval(**options)
    def refund(customer: Any, cents: int = 5, *, execution: signoff.Execution) -> Any:
        """Refunds."""
        return customer, cents, execution.context_text

    with Deciding(office, options["action"]):
        customer, cents, text = refund(given)  # type: ignore[call-arg]
    assert (customer, cents) == ({"id": [1, 2]}, 5)
    assert customer is not given
    assert text == '{"cents": 5, "customer": {"id": [1, 2]}}'
    assert refund.__doc__ == "Refunds."


def test_decorated_function_with_its_own_context(
    office: Office, client: signoff.Client, options: Dict[str, Any]
) -> None:
    del options["context"]
    resource = object()

    @client.requires_approval(context=lambda _, name: {"name": name}, **options)
    def drop(connection: object, name: str) -> Any:
        return connection, name

    with Deciding(office, options["action"]):
        assert drop(resource, name="table") == (resource, "table")
    assert only(office, options["action"]).context == {"name": "table"}


def test_decorator_refuses_what_it_cannot_bind(client: signoff.Client) -> None:
    guard = client.requires_approval(agent="a", action="b")

    async def coroutine() -> None: ...

    def anything(*args: Any) -> None: ...

    def one(a: int) -> int:
        return a

    for function in (coroutine, anything):
        with pytest.raises(TypeError):
            guard(function)
    untyped: Any = guard(one)
    calls: List[Callable[[], Any]] = [untyped, lambda: untyped(1, 2)]
    for call in calls:
        with pytest.raises(TypeError):
            call()
    with pytest.raises(signoff.Invalid):
        guard(one)({1, 2})  # type: ignore[arg-type]
