"""Views of the chronicle: what is ready to be asked."""

from __future__ import annotations

from sophia.store.chapters import SIGNIFICANT

__all__ = ["NAMED", "ROUTES", "SEEN", "VIEWS"]

SEEN = "coalesce(event, decided)"
"""The time that is asked for: that of the event where it is known, else that of the decision."""
NAMED = """(SELECT d.*, coalesce(p.root, d.pattern) AS root, r.template, p.first_n FROM decisions d
        LEFT JOIN patterns p ON p.id = d.pattern LEFT JOIN patterns r ON r.id = coalesce(p.root, d.pattern)
        WHERE d.pattern IS NOT NULL)"""
"""The decisions with what their pattern is called now: those that were merged are one."""
ROUTES = """count(*) FILTER (route = 'reflex') AS reflex, count(*) FILTER (route = 'cortical') AS cortical,
        count(*) FILTER (route = 'deep_thought') AS deep_thought, count(*) FILTER (rule IS NOT NULL) AS danger"""
"""How many decisions there were by route, and with danger."""


def _chapters_by(name: str, of: str) -> str:
    return f"""SELECT CAST({of} AS DATE) AS {name}, count(*) AS chapters,
        count(*) FILTER (significance >= {SIGNIFICANT}) AS significant, sum(inputs) AS inputs, sum(danger) AS danger,
        sum(alarms) AS alarms, sum(reflex) AS reflex, sum(new_patterns) AS new_patterns,
        arg_max(title, significance) AS foremost
        FROM chapters WHERE first IS NOT NULL GROUP BY {name} ORDER BY {name} DESC"""


VIEWS = {
    "days": _chapters_by("day", "ended"),
    "weeks": _chapters_by("week", "date_trunc('week', ended)"),
    "routes_per_hour": f"""SELECT date_trunc('hour', {SEEN}) AS hour, count(*) AS decisions, {ROUTES}
        FROM decisions GROUP BY hour ORDER BY hour DESC""",
    "whys": """SELECT why, route, count(*) AS decisions FROM decisions
        GROUP BY ALL ORDER BY decisions DESC, why, route""",
    "top_patterns": f"""SELECT root AS pattern, count(*) AS decisions, max({SEEN}) AS last_seen,
        any_value(template) AS template FROM {NAMED} GROUP BY root ORDER BY decisions DESC, pattern""",
    # Older lines of the journal may be gone: the first that is left was the first of all where its pattern began there.
    "first_seen": f"""SELECT root AS pattern, arg_min({SEEN}, (run, n)) AS seen, min(run) AS run,
        arg_min(n, (run, n)) AS n, arg_min(source, (run, n)) AS source, arg_min(line, (run, n)) AS line,
        count(*) AS decisions, any_value(template) AS template, arg_min(n = first_n, (run, n)) AS was_first
        FROM {NAMED} GROUP BY root ORDER BY run DESC, n DESC""",
    "silence": f"""WITH times AS (SELECT root, source, count(*) AS decisions, min(event) AS first, max(event) AS last,
        any_value(template) AS template FROM {NAMED} WHERE event IS NOT NULL GROUP BY root, source
        HAVING count(*) >= 8),
        ends AS (SELECT source, max(event) AS latest FROM decisions GROUP BY source)
        SELECT root AS pattern, source, decisions, last, round(epoch(latest - last), 3) AS silent_seconds,
        round(epoch(last - first) / (decisions - 1), 3) AS usual_seconds, template
        FROM times JOIN ends USING (source) WHERE epoch(latest - last) > 3 * epoch(last - first) / (decisions - 1)
        ORDER BY silent_seconds / greatest(usual_seconds, .001) DESC, pattern""",
    "drift": f"""SELECT date_trunc('hour', {SEEN}) AS hour, count(*) AS decisions,
        round(count(*) FILTER (why = 'novel') / count(*), 4) AS novel_share, round(avg(novelty), 4) AS novelty,
        round(avg(confidence), 4) AS confidence, count(DISTINCT pattern) AS patterns
        FROM decisions GROUP BY hour ORDER BY hour DESC""",
    "k_series": f"""SELECT {SEEN} AS seen, run, n, scope, session, k FROM decisions WHERE k IS NOT NULL
        ORDER BY run DESC, n DESC""",
    "calls_avoided": f"""SELECT date_trunc('day', {SEEN}) AS day, count(*) AS decisions, count(answer) AS answered,
        count(*) FILTER (route = 'reflex' AND answer IS NULL) AS reflex_without_answer,
        count(*) FILTER (route = 'deep_thought') AS deep_thought
        FROM decisions GROUP BY day ORDER BY day DESC""",
    "latency": """SELECT route, count(*) AS decisions, quantile_disc(us, .5) AS p50_us, quantile_disc(us, .9) AS p90_us,
        quantile_disc(us, .99) AS p99_us, max(us) AS max_us FROM decisions GROUP BY route ORDER BY route""",
}
"""By name what is ready to be asked, each a query over the tables; what has a time begins with the latest."""
