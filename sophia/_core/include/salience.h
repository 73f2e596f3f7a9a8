/* From evidence to a level of thought: the routing rule, as one pure function.
 *
 * Danger, suspicion, novelty, doubt and complexity may only raise the level; only positive evidence lowers it. A model's
 * word is such evidence where it is sure, and doubt where it is not.
 */
#ifndef SOPHIA_SALIENCE_H
#define SOPHIA_SALIENCE_H

#include <stddef.h>
#include <stdint.h>

enum sophia_route { SOPHIA_REFLEX = 0, SOPHIA_CORTICAL = 1, SOPHIA_DEEP_THOUGHT = 2 };

enum sophia_danger_verdict { SOPHIA_ALLOW = 0, SOPHIA_FLAG = 1, SOPHIA_VETO = 2 };

enum sophia_why {
    SOPHIA_WHY_REPEAT = 0,
    SOPHIA_WHY_KNOWN_PATTERN,
    SOPHIA_WHY_ROUTE,
    SOPHIA_WHY_NOVEL,
    SOPHIA_WHY_DANGER,
    SOPHIA_WHY_LOW_CONFIDENCE,
    SOPHIA_WHY_OUT_OF_SCOPE,
    SOPHIA_WHY_COMPLEX,
    SOPHIA_WHY_TOO_LONG,
    SOPHIA_WHY_EMPTY,
    SOPHIA_WHY_INVALID,
    SOPHIA_WHY_GESTATING,
    SOPHIA_WHY_ERROR /* never by evidence: what the decision rests on failed */
};

/* What a model says of an input. */
enum sophia_judged { SOPHIA_UNJUDGED = 0, SOPHIA_ROUTED, SOPHIA_UNSURE, SOPHIA_OUTSIDE };

struct sophia_policy {
    double reflex_confidence;   /* at least this much for REFLEX by a known pattern or an intent */
    double cortical_confidence; /* less than this is low confidence */
    double complex_limit;       /* at least this complexity raises the level by one */
    int reflex_safe;            /* a known pattern may be handled by reflex, without an answer */
    int danger_verdict;         /* SOPHIA_FLAG or SOPHIA_VETO */
    int alarm_verdict;          /* the same for a rule that reports and does not refuse */
    int gestating;              /* familiarity is no reason yet to handle anything by reflex */
    double suspicion_limit;     /* a danger score of at least this is thought about; over 1: none is */
};

struct sophia_evidence {
    int fault;         /* 0, or SOPHIA_WHY_TOO_LONG, _EMPTY, _INVALID */
    int danger;        /* a rule hit */
    int alarm;         /* and the rule is one that reports only */
    int repeat;        /* identical text, scope and context with a stored answer */
    int withheld;      /* the same, while answers are switched off: no repeat, and no reflex either */
    int familiar;      /* this pattern was allowed before in this scope */
    double count;      /* how often it was seen before, as far as that is believed */
    double closeness;  /* how near the text is to the pattern: 1 when nothing but slots differs */
    double complexity; /* 0 to 1 */
    int judged;        /* enum sophia_judged; SOPHIA_UNJUDGED where no model is in use */
    int intent_safe;   /* its route may be handled by reflex */
    double intent_confidence;
    double suspicion; /* danger score, 0 to 1; 0 where nobody asked for it */
};

struct sophia_outcome {
    int route, why, verdict;
    double confidence, novelty;
};

/* Control characters other than blanks: they show nothing and can split a trigger word. */
static int sophia_has_controls(const unsigned char *text, size_t size)
{
    int found = 0;
    for (size_t i = 0; i < size; i++) found |= (text[i] < ' ' && (text[i] < '\t' || text[i] > '\r' || text[i] == '\v')) | (text[i] == 0x7F);
    return found;
}

static int sophia_only_blanks(const unsigned char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] != ' ' && (text[i] < '\t' || text[i] > '\r')) return 0;
    return 1;
}

/* Words and lines make a text complex: 0 for one word, 1/2 at 64 words, towards 1. */
static double sophia_complexity(const unsigned char *text, size_t size)
{
    size_t words = 0, breaks = 0;
    int in_word = 0;
    for (size_t i = 0; i < size; i++) {
        const int blank = text[i] == ' ' || text[i] == '\n' || text[i] == '\t' || text[i] == '\r';
        words += !blank && !in_word;
        breaks += text[i] == '\n';
        in_word = !blank;
    }
    const double load = (words > 1 ? (double)(words - 1) : 0.0) + 8.0 * (double)breaks;
    return load / (load + 64.0);
}

static struct sophia_outcome sophia_decide(const struct sophia_evidence *seen, const struct sophia_policy *policy)
{
    struct sophia_outcome out = {SOPHIA_DEEP_THOUGHT, SOPHIA_WHY_INVALID, SOPHIA_ALLOW, 0.0, 1.0};
    /* Laplace-like: one sighting is worth 1/2, three are worth 3/4. */
    const double evidence = seen->closeness * (seen->count / (seen->count + 1.0));
    if (seen->repeat || !seen->fault) {
        out.confidence = seen->repeat ? 1.0 : seen->familiar ? evidence : 0.0;
        out.novelty = seen->repeat ? 0.0 : seen->familiar ? 1.0 - evidence : 1.0;
    }
    if (seen->danger) {
        out.why = SOPHIA_WHY_DANGER;
        out.verdict = seen->alarm ? policy->alarm_verdict : policy->danger_verdict;
        return out;
    }
    if (seen->fault) {
        out.why = seen->fault;
        return out;
    }
    if (seen->repeat) {
        out.route = SOPHIA_REFLEX;
        out.why = SOPHIA_WHY_REPEAT;
        return out;
    }
    const int known = seen->familiar && evidence >= policy->cortical_confidence;
    if (seen->judged) out.confidence = seen->intent_confidence;
    if (seen->judged == SOPHIA_UNSURE || seen->judged == SOPHIA_OUTSIDE) {
        out.why = seen->judged == SOPHIA_UNSURE ? SOPHIA_WHY_LOW_CONFIDENCE : SOPHIA_WHY_OUT_OF_SCOPE;
        return out;
    }
    if (!known && !seen->judged) {
        out.why = seen->familiar ? SOPHIA_WHY_LOW_CONFIDENCE : SOPHIA_WHY_NOVEL;
        return out;
    }
    if (known) {
        out.why = SOPHIA_WHY_KNOWN_PATTERN;
        out.route = policy->reflex_safe && !seen->withheld && evidence >= policy->reflex_confidence ? SOPHIA_REFLEX
                                                                                                    : SOPHIA_CORTICAL;
    }
    if (seen->judged) {
        const int reflex = known && seen->intent_safe && !seen->withheld
                           && seen->intent_confidence >= policy->reflex_confidence;
        const int route = reflex ? SOPHIA_REFLEX : SOPHIA_CORTICAL;
        if (route <= out.route) {
            out.route = route;
            out.why = SOPHIA_WHY_ROUTE;
        }
    }
    if (seen->complexity >= policy->complex_limit) {
        out.why = SOPHIA_WHY_COMPLEX;
        out.route++;
    }
    if (seen->suspicion >= policy->suspicion_limit && out.route != SOPHIA_DEEP_THOUGHT) {
        out.why = SOPHIA_WHY_DANGER; /* and the verdict stays: a score refuses nothing */
        out.route = SOPHIA_DEEP_THOUGHT;
    }
    if (policy->gestating && out.route == SOPHIA_REFLEX) {
        out.why = SOPHIA_WHY_GESTATING;
        out.route = SOPHIA_CORTICAL;
    }
    return out;
}

#endif
