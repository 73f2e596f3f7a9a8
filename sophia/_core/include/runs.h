/* How often each run of levels was seen: a table of counts for each length, addressed by the run itself.
 *
 * A run of k levels is a number of k digits to the base of the levels. What NAB's better detectors show is that first
 * and second order transitions are most of what there is to know of a sensor; here all orders up to a few are asked.
 */
#ifndef SOPHIA_RUNS_H
#define SOPHIA_RUNS_H

#include <stdint.h>

#define SOPHIA_RUNS_LONGEST 8
#define SOPHIA_RUNS_MOST ((uint64_t)1 << 24) /* counts of one table */

/* counts[k] has levels^(k + 1) entries. One thread at a time. */
struct sophia_runs {
    uint32_t levels, longest;
    uint32_t known;  /* levels of the present run, at most `longest` */
    uint64_t recent; /* the last `longest` levels, as a number */
    uint64_t sizes[SOPHIA_RUNS_LONGEST];
    uint32_t *counts[SOPHIA_RUNS_LONGEST];
};

/* Goes on by a level; the mean over the lengths of 1 / (1 + how often the run that it ends was seen before). The run
 * counts `weight` more from now on: 1, or 0 where nothing is to be learned. */
static double sophia_runs_add(struct sophia_runs *runs, uint32_t level, uint32_t weight)
{
    runs->recent = (runs->recent * runs->levels + level) % runs->sizes[runs->longest - 1];
    if (runs->known < runs->longest) runs->known++;
    double score = 0.0;
    for (uint32_t k = 0; k < runs->known; k++) {
        uint32_t *const count = runs->counts[k] + runs->recent % runs->sizes[k];
        score += 1.0 / (1.0 + *count);
        if (*count != UINT32_MAX) *count += weight;
    }
    return score / runs->known;
}

#endif
