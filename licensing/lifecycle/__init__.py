"""Transition tables of everything that has a life here; total, illegal pairs refused, pictures generated."""

from licensing.lifecycle.agreement import AGREEMENT, AgreementEvent, AgreementState
from licensing.lifecycle.application import APPLICATION, MAIN_LINE, ApplicationEvent, ApplicationState
from licensing.lifecycle.grant import GRANT, GrantEvent
from licensing.lifecycle.party import PARTY, PartyEvent, PartyState
from licensing.lifecycle.table import SYSTEM_WORK, IllegalTransition, Label, Transition, TransitionTable

TABLES: list[TransitionTable] = [PARTY, APPLICATION, AGREEMENT, GRANT]
"""Tables drawn in the README, in its order."""

__all__ = [
    "AGREEMENT", "APPLICATION", "GRANT", "MAIN_LINE", "PARTY", "SYSTEM_WORK", "TABLES", "AgreementEvent",
    "AgreementState", "ApplicationEvent", "ApplicationState", "GrantEvent", "IllegalTransition", "Label",
    "PartyEvent", "PartyState", "Transition", "TransitionTable",
]
