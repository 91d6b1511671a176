/* Scores: of the nodes that fit, which is best? Each plugin gives 0 to 100, times its weight. */
#pragma once

#include "filter.h"

/* NODES: indices of those that fit; RET: a score for each. */
void score_nodes(const struct filter_state *f, const size_t *nodes, size_t n, int64_t *ret);
