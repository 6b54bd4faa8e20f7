"""What a worker runs: every workflow and activity, in one place, for the process, the tests and the replays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import SandboxImportNotificationPolicy

from activities.accounts import Accounts
from activities.ballots import Ballots
from activities.campaigns import Campaigns
from activities.chargebacks import Chargebacks
from activities.claims import Claims
from activities.collecting import Collecting
from activities.command_steps import Commands
from activities.contests import Contests
from activities.disputes import Disputes
from activities.evidence import Answers
from activities.holds import Holds
from activities.housekeeping import Housekeeping
from activities.in_kind import HelpInKind
from activities.inspections import Inspections
from activities.lots import Lots
from activities.match_calls import MatchCalls
from activities.notices import Notices
from activities.orders import Orders
from activities.payee_checks import PayeeChecks
from activities.payments import Payments
from activities.payouts import Payouts
from activities.pledge_cases import PledgeCases
from activities.pledge_intake import PledgeIntakes
from activities.pledge_runs import PledgeRuns
from activities.productions import Productions
from activities.proofs import Proofs
from activities.reconciliation import Reconciliation
from activities.redelivery import Redelivery
from activities.refunds import Refunds
from activities.returns import Returns
from activities.ruling_preview import RulingPreviews
from activities.sales import Sales
from activities.stuck import StuckFinder
from activities.tax import Tax
from activities.tenders import Tenders
from activities.unwinding import Unwinding
from db.engine import Database
from providers.registry import ProviderRegistry
from runtime.notices import notice_port
from runtime.settings import Settings
from runtime.storage import FileStore
from workflows.account import ChangeAccount
from workflows.ballot import Ballot
from workflows.ballot_retally import BallotRetally
from workflows.campaign import Campaign
from workflows.chargeback import Chargeback
from workflows.command import BulkCommand, Command
from workflows.contest import Contest
from workflows.dispute import Dispute
from workflows.holds import KeepHolds
from workflows.in_kind import InKind
from workflows.inspection import Inspection
from workflows.lot import Lot
from workflows.match_call import MatchCall
from workflows.order import Order
from workflows.payee import Payee
from workflows.payment import Payment
from workflows.payout import Payout
from workflows.pledge import Pledge
from workflows.pledge_run import PledgeRun
from workflows.preview import Preview, PreviewRuling
from workflows.production import Production
from workflows.reconciliation import Reconcile
from workflows.records import PublishProofs, WriteDownQuarters
from workflows.refund import Refund
from workflows.returns import Return
from workflows.sale import Sale
from workflows.tender import Tender
from workflows.upkeep import (
    EndClosings,
    FindStuck,
    GatherPayouts,
    KeepHouse,
    PassOnClaims,
    PledgeIntake,
    RedeliverInbox,
    SendNotices,
)

WORKFLOWS: Sequence[type] = (
    Sale,
    Return,
    Dispute,
    Order,
    Contest,
    Tender,
    Campaign,
    MatchCall,
    InKind,
    Production,
    Lot,
    Inspection,
    Payment,
    Refund,
    PledgeRun,
    Pledge,
    Payout,
    Payee,
    Chargeback,
    ChangeAccount,
    Command,
    BulkCommand,
    Ballot,
    BallotRetally,
    GatherPayouts,
    EndClosings,
    RedeliverInbox,
    PledgeIntake,
    PassOnClaims,
    KeepHouse,
    SendNotices,
    Preview,
    PreviewRuling,
    FindStuck,
    Reconcile,
    PublishProofs,
    WriteDownQuarters,
    KeepHolds,
)

PASSED_THROUGH = ("domain", "activities", "runtime", "pydantic", "typeid", "structlog")
"""Modules that workflow code shares with the process; anything else it imports by accident stops the worker."""


def sandbox() -> SandboxedWorkflowRunner:
    """The one workflow sandbox; workers, replays and tests use the same."""
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH)
    return SandboxedWorkflowRunner(
        restrictions=replace(
            restrictions,
            import_notification_policy=(
                SandboxImportNotificationPolicy.WARN_ON_DYNAMIC_IMPORT
                | SandboxImportNotificationPolicy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH
            ),
        )
    )


_Activities = list[Callable[..., Any]]


def activities(
    settings: Settings,
    database: Database,
    temporal: Client,
    providers: ProviderRegistry,
) -> _Activities:
    """All activities, bound to what they need."""
    collecting = Collecting(database, providers, temporal)
    return [
        *_of_paths(settings, database, temporal, collecting),
        *_of_money(settings, database, providers, temporal),
        collecting.present,
        *_of_holds(settings, database, temporal, providers),
        *_of_pledges(settings, database, temporal, providers),
        *_of_operators(database, temporal),
        *_of_upkeep(settings, database, temporal, providers),
    ]


def _of_paths(
    settings: Settings, database: Database, temporal: Client, collecting: Collecting
) -> _Activities:
    at_once = settings.payout_policy.availability_seconds == 0
    sales = Sales(database, temporal, collecting, payout_at_once=at_once)
    campaigns = Campaigns(
        database,
        temporal,
        payout_at_once=at_once,
        rate_per_second=settings.provider_rate_per_second,
    )
    ballots = Ballots(database)
    inspections = Inspections(database)
    return [
        sales.open,
        sales.move,
        sales.look_up,
        Orders(database).move,
        Returns(database, temporal, payout_at_once=at_once).move,
        Disputes(database, temporal, settings.operator_policy, payout_at_once=at_once).move,
        Contests(database, temporal, payout_at_once=at_once).move,
        Tenders(database, temporal, payout_at_once=at_once).move,
        campaigns.move,
        MatchCalls(database, temporal, payout_at_once=at_once).move,
        HelpInKind(database, temporal, payout_at_once=at_once).move,
        Productions(database).move,
        Lots(database, temporal, payout_at_once=at_once).move,
        inspections.decide,
        inspections.remind,
        ballots.move,
        ballots.count,
        ballots.retally,
    ]


def _of_money(
    settings: Settings, database: Database, providers: ProviderRegistry, temporal: Client
) -> _Activities:
    payments = Payments(database, providers, temporal)
    payouts = Payouts(database, providers, settings.payout_policy)
    answers = Answers(database, providers, FileStore.of(settings))
    return [
        payments.follow,
        Refunds(database, providers).follow,
        payouts.reserve,
        payouts.decide,
        payouts.follow,
        payouts.due,
        PayeeChecks(database, providers).look,
        Chargebacks(database, providers, settings.operator_policy).follow,
        answers.hand_in,
        answers.accept,
    ]


def _of_holds(
    settings: Settings, database: Database, temporal: Client, providers: ProviderRegistry
) -> _Activities:
    holds = Holds(database, temporal, providers, settings.hold_policy, settings.operator_policy)
    return [holds.due, holds.keep, holds.let_go]


def _of_pledges(
    settings: Settings, database: Database, temporal: Client, providers: ProviderRegistry
) -> _Activities:
    cases = PledgeCases(database, providers, settings)
    return [
        PledgeRuns(database, providers, temporal, settings).run,
        cases.remind,
        cases.look,
        cases.retry,
        cases.drop,
        PledgeIntakes(database, providers, temporal, settings).take_in,
        Claims(database, temporal).pass_on,
    ]


def _of_operators(database: Database, temporal: Client) -> _Activities:
    people = Accounts(database)
    commands = Commands(database, temporal)
    return [
        people.freeze,
        people.limit,
        people.allow,
        people.end_closings,
        people.unfreeze,
        commands.propose,
        commands.decide,
        commands.execute,
        commands.next_of_bulk,
        Unwinding(database, temporal).preview,
        RulingPreviews(database, temporal).preview,
    ]


def _of_upkeep(
    settings: Settings, database: Database, temporal: Client, providers: ProviderRegistry
) -> _Activities:
    reconciliation = Reconciliation(
        database, providers, settings.reconcile_policy, settings.operator_policy
    )
    finder = StuckFinder(database, temporal, settings.temporal_task_queue, settings.operator_policy)
    return [
        Redelivery(database, temporal, settings).redeliver,
        Housekeeping(database).forget,
        finder.look,
        Notices(database, settings, notice_port(settings)).send,
        Proofs(database).publish,
        Tax(database, settings.tax_policy).write_down,
        reconciliation.whom,
        reconciliation.read,
        reconciliation.compare,
    ]


def build_worker(
    settings: Settings,
    database: Database,
    temporal: Client,
    providers: ProviderRegistry,
) -> Worker:
    """A worker that serves the configured task queue."""
    return Worker(
        temporal,
        task_queue=settings.temporal_task_queue,
        workflows=WORKFLOWS,
        activities=activities(settings, database, temporal, providers),
        workflow_runner=sandbox(),
        max_cached_workflows=2_000,
        max_concurrent_activities=settings.database_pool_size * 2,
        max_concurrent_workflow_tasks=40,
        graceful_shutdown_timeout=settings.graceful_shutdown,
    )
