/* Blocks of PEM, found as Go's encoding/pem finds them. */
#pragma once

#include "../../lib/base/arena.h"
#include "../../lib/base/strbuf.h"

struct pem_block {
        const char *type, *text; /* TEXT: the block with its lines, as it was found */
        bool headers;
        struct strbuf der;
};
#define _cleanup_pem_ _cleanup_(pem_block_deinit)
void pem_block_deinit(struct pem_block *b);

/* The next block from *POS on, which is moved behind it; what is no block is passed over. False: there is none. RET may
 * hold the block before, and strings live in A. */
bool pem_next(struct arena *a, const char **pos, struct pem_block *ret);
/* What is wrong with a bundle of certificates; NULL: nothing. Blocks of other types do not count. */
const char *pem_bundle_error(struct arena *a, const char *pem);
