/* HTTP/1.1 requests as bytes (RFC 9112): the head, and bodies in chunks. No I/O.
 *
 * What two readers could take for different requests is refused: a length beside chunks, two lengths,
 * white space before a colon, folded lines, bare CR and NUL.
 */
#pragma once

#include "../base/arena.h"
#include "../base/strbuf.h"

struct http_field {
        const char *name, *value; /* value without white space around it */
};

struct http_head {
        const char *method, *target; /* target without scheme and authority */
        const char *path, *query;    /* the target's two halves; query is never NULL */
        int minor;                   /* HTTP/1.minor */
        struct http_field *fields;
        size_t n_fields;
        bool keep_alive, expect_continue, chunked, has_length;
        uint64_t length;             /* of the body; 0 when neither length nor chunks are given */
};

/* The length of the head with the empty line that ends it; 0: incomplete. Empty lines in front count
 * as part of it. *scanned (0 at first) remembers what was searched before. */
size_t http_head_length(const char *data, size_t len, size_t *scanned);
/* 0; or the status to refuse it with: 400, 417, 431, 501, 505, and in *ret_why a constant text or NULL: Go's words for it. All
 * strings are in A. */
unsigned http_head_parse(struct arena *a, const char *data, size_t len, struct http_head *ret, const char **ret_why);
/* Looks a field up, in any case; NULL: absent. */
const char *http_head_field(const struct http_head *h, const char *name);
/* Whether a comma-separated field value holds TOKEN, in any case. */
bool http_has_token(const char *value, const char *token);

/* A body in chunks, fed in pieces. */
struct http_chunks {
        int state;
        uint64_t left;      /* of the chunk at hand */
        unsigned line;      /* bytes of the line at hand */
        unsigned trailers;  /* bytes of trailers so far */
};
enum { HTTP_CHUNKS_MORE = 0, HTTP_CHUNKS_DONE = 1 };
/* Appends what DATA holds of the body to OUT; *ret_used tells how much of DATA it took.
 * -EINVAL: malformed; -EFBIG: OUT's maximum is passed. */
int http_chunks_feed(struct http_chunks *c, const char *data, size_t len, struct strbuf *out, size_t *ret_used);
