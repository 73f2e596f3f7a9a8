"""Words with a tone: what sounds like good news, like bad news, and like haste. English; a list, and no more than that.

A word counts wherever it stands: there is no negation and no irony here. Words of logs are among them, as most streams
are logs.
"""

from __future__ import annotations

__all__ = ["TONE"]

_GOOD = """
    accepted accomplished achieved amazing appreciate appreciated approved available awesome awards beautiful benefit
    best better blessed bonus brilliant celebrate charming cheers clean clear comfortable complete completed confirmed
    congrats congratulations connected correct cured cute delighted delivered done easy effective efficient elegant
    enabled enjoy enjoyed established excellent excited exciting fantastic fast favourite favorite fine finished fixed
    found free friendly fun gained generous gift glad good gorgeous granted grateful great happy healthy helpful honest
    honoured hope hopeful ideal improved improvement incredible joy kind lovely loved love loving lucky marvellous
    merry nice ok okay outstanding passed peaceful perfect pleasant pleased pleasure positive praise pretty prize
    progress proud ready recovered recommend reliable relieved resolved restored rewarded safe satisfied saved secure
    shared smart smile smooth solved stable succeeded success successful successfully super superb sweet terrific
    thank thankful thanks trusted up upgraded useful valid verified welcome well win winner won wonderful worked works
    wow yay
"""
_BAD = """
    abnormal abort aborted aborting abuse ache afraid aggressive angry annoyed annoying anxious ashamed attack attacked
    attempt awful bad banned blocked bored boring breach break broke broken bug bugs burned busy cancelled canceled
    cheat cheated complain complained complaint conflict confused corrupt corrupted corruption crap crash crashed
    crashes crashing critical cry crying damage damaged danger dangerous dead deadlock debt deceased defect degraded
    delay delayed denied depressed desperate destroyed died difficult dirty disappointed disappointing disaster
    disconnected disgusting dispute down drop dropped dump dumped embarrassed error errors evil exceeded
    exception exceptions exhausted exit expensive expired fail failed failing fails failure failures fake fatal fault
    faults fear fraud frustrated frustrating full garbage ghost guilty hang hate hated horrible hung hurt ignored ill
    illegal impossible inaccessible inactive incomplete incorrect insufficient interrupt interrupted invalid jam kill
    killed lame late lie lied lonely lose losing loss lost mad malformed malicious mess messed miserable miss missed
    missing mistake mistaken nasty negative nervous nightmare oops outage overflow overload overloaded pain painful
    panic pathetic poor problem problems refused regret reject rejected retry retrying revoked rude sad scam scared
    severe sick slow sorry spoiled stale starved stolen stop stopped struggle stuck stupid suffer suffering suspicious
    terrible terrified threat timeout timeouts tired trouble ugly unable unauthorised unauthorized unavailable
    uncorrectable undefined unexpected unfair unfortunately unhandled unhappy unhealthy unknown unreachable unresponsive
    unstable unsupported upset useless victim violation violated virus warn warning warnings weak weird worried worry
    worse worst wrong
"""
_PRESSING = "asap deadline desperately hurry immediate immediately mayday rush sos urgent urgently emergency"

TONE = {
    **dict.fromkeys(_GOOD.split(), "good"),
    **dict.fromkeys(_BAD.split(), "bad"),
    **dict.fromkeys(_PRESSING.split(), "pressing"),
}
"""By word: "good", "bad" or "pressing". The words for the levels of a log (critical, fatal) do not press by themselves:
where they mean something, a danger rule says so."""
