"""The check of one statement against its citations: everything that a fraud proof can show."""

from collections.abc import Sequence

from tmesh.agent.coin import tossed
from tmesh.agent.draw import Draw
from tmesh.agent.opinion import Tree, Work, evaluate, updated, updates
from tmesh.agent.statement import Statement
from tmesh.genesis import SwarmRules


def opening_fault(statement: Statement, tree: Tree, rules: SwarmRules) -> str | None:
    """The fault of a statement of round 0, None for a good one."""
    z = statement.opinions.z
    if statement.lock:
        outcomes = range(tree.outcomes)
        if not any(z == tree.certain(outcome, rules) for outcome in outcomes):
            return "it cites a lock, and states no outcome"
    elif any(abs(one) > rules.most for one in z):
        return f"it states more than the cap, {rules.most}"
    return None


def step_fault(
    statement: Statement, cited: Sequence[Statement], draw: Draw, tree: Tree, rules: SwarmRules
) -> str | None:
    """The fault of a statement of a later round, None for a good one; its numbers are left to
    `number_fault`. cited: its author's last statement, then those of its list, ascending."""
    before, heard = cited[0], cited[1:]
    if tree.outcome(before.opinions, rules) is not None:
        return "its author's opinions were settled"
    if not set(statement.heard(draw)) <= set(before.heard(draw)):
        return "its list grew"
    for one in heard:
        if statement.author not in one.heard(draw):
            return f"agent {one.author} does not list its author"
    if before.opinions.amplified & ~statement.opinions.amplified:
        return "it no longer amplifies"
    if statement.toss.branchings & (before.opinions.amplified | ~statement.opinions.amplified):
        return "it tosses a coin where it amplified before, or does not amplify"
    _, results = claims(statement, cited, rules)
    amplified = statement.opinions.amplified
    if updated(before.opinions, results, amplified, rules) != statement.opinions:
        return "it changes a settled opinion, or counts wrongly"
    return None


def claims(
    statement: Statement, cited: Sequence[Statement], rules: SwarmRules
) -> tuple[list[Work], list[int]]:
    """The updates behind a statement, and the results that it claims for them."""
    before, *heard = (tossed(one.opinions, statement.toss) for one in cited)
    works = updates(before, heard, statement.opinions.amplified, rules)
    open_ = [place for place, streak in enumerate(before.streak) if streak < rules.beta]
    return works, [statement.opinions.z[place] for place in open_]


def number_fault(statement: Statement, cited: Sequence[Statement], rules: SwarmRules) -> str | None:
    """The fault in the numbers of a statement, recomputed on the integer model."""
    works, claimed = claims(statement, cited, rules)
    for result, claim in zip(evaluate(works, rules.f), claimed, strict=True):
        if result != claim:
            return f"it claims {claim}, and its update gives {result}"
    return None
