"""Every table, as SQLAlchemy sees it. The migrations in db/migrations are what the database gets."""

from __future__ import annotations

from db.tables.ballots import Ballot, Vote, VoteVoid
from db.tables.base import Base, Json
from db.tables.campaigns import (
    Campaign,
    CampaignItem,
    CampaignTranche,
    CampaignUpdate,
    Pledge,
    PledgeEvent,
    PledgeStat,
    ProviderLimit,
    SavedCard,
)
from db.tables.cases import Case, CaseEvent
from db.tables.chargebacks import Chargeback
from db.tables.claims import ClaimRound, ClaimShare
from db.tables.commands import Command, CommandItem
from db.tables.contests import (
    Contest,
    Entry,
    EntryRevision,
    HandOver,
    LicenceSignature,
    Objection,
)
from db.tables.disputes import Dispute, DisputeEvidence
from db.tables.evidence import EvidenceNote, EvidencePackRow
from db.tables.files import File, FileGrant
from db.tables.in_kind import InKindAsk, InKindOffer, InKindRecord
from db.tables.inbox import IdempotencyRow, InboxRow
from db.tables.ledger import LedgerAccount, LedgerEntry, LedgerPosting
from db.tables.match_calls import (
    MatchApproval,
    MatchCall,
    MatchProject,
    MatchReservation,
    MatchSpending,
)
from db.tables.messages import PathMessage
from db.tables.money import Payee, Payment, Payout, PayoutDestination, PayoutWish, Refund
from db.tables.orders import Order, PaymentPart
from db.tables.paths import Path, PathEvent
from db.tables.people import AccountEventRow, SelfDealingRefusal, User, UserRole
from db.tables.production import (
    BrokerConsent,
    Inspection,
    InspectionFinding,
    InspectionSeries,
    Jury,
    Lot,
    MaterialMove,
    Notice,
    NoticeWish,
    ProductionOrder,
)
from db.tables.reconciliation import BookDifference, StatementDay, StatementRow
from db.tables.records import PathProof, TaxProfileRow, TaxQuarter
from db.tables.returns import SaleReturn
from db.tables.sales import Listing, Reservation, Sale
from db.tables.tenders import (
    AwardRow,
    Bid,
    BidRevision,
    MilestoneRow,
    Offer,
    Submission,
    Tender,
)

__all__ = [
    "AccountEventRow",
    "AwardRow",
    "Ballot",
    "Base",
    "Bid",
    "BidRevision",
    "BookDifference",
    "BrokerConsent",
    "Campaign",
    "CampaignItem",
    "CampaignTranche",
    "CampaignUpdate",
    "Case",
    "CaseEvent",
    "Chargeback",
    "ClaimRound",
    "ClaimShare",
    "Command",
    "CommandItem",
    "Contest",
    "Dispute",
    "DisputeEvidence",
    "Entry",
    "EntryRevision",
    "EvidenceNote",
    "EvidencePackRow",
    "File",
    "FileGrant",
    "HandOver",
    "IdempotencyRow",
    "InKindAsk",
    "InKindOffer",
    "InKindRecord",
    "InboxRow",
    "Inspection",
    "InspectionFinding",
    "InspectionSeries",
    "Json",
    "Jury",
    "LedgerAccount",
    "LedgerEntry",
    "LedgerPosting",
    "LicenceSignature",
    "Listing",
    "Lot",
    "MatchApproval",
    "MatchCall",
    "MatchProject",
    "MatchReservation",
    "MatchSpending",
    "MaterialMove",
    "MilestoneRow",
    "Notice",
    "NoticeWish",
    "Objection",
    "Offer",
    "Order",
    "Path",
    "PathEvent",
    "PathMessage",
    "PathProof",
    "Payee",
    "Payment",
    "PaymentPart",
    "Payout",
    "PayoutDestination",
    "PayoutWish",
    "Pledge",
    "PledgeEvent",
    "PledgeStat",
    "ProductionOrder",
    "ProviderLimit",
    "Refund",
    "Reservation",
    "Sale",
    "SaleReturn",
    "SavedCard",
    "SelfDealingRefusal",
    "StatementDay",
    "StatementRow",
    "Submission",
    "TaxProfileRow",
    "TaxQuarter",
    "Tender",
    "User",
    "UserRole",
    "Vote",
    "VoteVoid",
]
