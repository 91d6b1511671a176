/* Container logs in the CRI format, as GET /containerLogs and `kubectl logs` ask for them. */
#pragma once

#include "../../lib/base/strbuf.h"
#include "../../lib/base/time.h"

struct log_options {
        int64_t tail;        /* lines from the end; < 0: all */
        int64_t since;       /* realtime; 0: from the beginning */
        int64_t limit;       /* bytes; < 0: all */
        bool timestamps;
        bool only_stdout, only_stderr;
};

/* Takes a piece of log text and appends what is asked for to OUT. Pure. PARTIAL keeps a line that is
 * not yet complete between calls. */
struct log_filter {
        struct log_options options;
        struct strbuf partial;
        int64_t written;
        bool continued; /* the line before was tagged P: no time before this one */
};
void log_filter_init(struct log_filter *f, const struct log_options *o);
void log_filter_deinit(struct log_filter *f);
void log_filter_feed(struct log_filter *f, const char *data, size_t len, struct strbuf *out);
bool log_filter_done(const struct log_filter *f); /* the limit is reached */
/* Offset of the first of the last N lines of TEXT; *ret_lines: how many there are from there on. */
size_t log_tail_offset(const char *text, size_t len, size_t n, size_t *ret_lines);
