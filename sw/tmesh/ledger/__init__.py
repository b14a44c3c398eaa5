"""Keys, signatures and the encoding of all messages; and a library of signed events."""

from tmesh.errors import CorruptJournal, InvalidEvent, InvalidMessage, InvalidSignature
from tmesh.ledger.event import Event, Kind, Reference
from tmesh.ledger.journal import Journal
from tmesh.ledger.keys import KeySet, Signer
from tmesh.ledger.ledger import Admission, Equivocation, Ledger
from tmesh.ledger.reconcile import Exchange, Reconciler, reconcile

__all__ = [
    "Admission",
    "CorruptJournal",
    "Equivocation",
    "Event",
    "Exchange",
    "InvalidEvent",
    "InvalidMessage",
    "InvalidSignature",
    "Journal",
    "KeySet",
    "Kind",
    "Ledger",
    "Reconciler",
    "Reference",
    "Signer",
    "reconcile",
]
