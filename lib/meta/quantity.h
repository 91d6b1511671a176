/* Resource quantities (k8s.io/apimachinery/pkg/api/resource): "100m", "1.5Gi", "12e6".
 *
 * Exact: a decimal of up to 30 digits and a scale, as upstream; not a float.
 */
#pragma once

#include "../base/base.h"

enum quantity_format { QUANTITY_DECIMAL_SI, QUANTITY_BINARY_SI, QUANTITY_DECIMAL_EXPONENT };

struct quantity {
        __int128 nano; /* the value in units of 10^-9, upstream's finest; binary ones clamped to
                        * +-(2^63 - 1) * 10^9, others to +-10^37 */
        enum quantity_format format;
};

/* 0; -EINVAL: QUANTITY_ERR_FORMAT says why; -EDOM: QUANTITY_ERR_SUFFIX does. Both are upstream's texts. */
int quantity_parse(const char *s, struct quantity *ret);
#define QUANTITY_ERR_FORMAT                                                                        \
        "quantities must match the regular expression "                                            \
        "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
#define QUANTITY_ERR_SUFFIX "unable to parse quantity's suffix"
/* The canonical text, as the API server would store and print it. BUF holds QUANTITY_BUF bytes; returns it. */
#define QUANTITY_BUF 64
char *quantity_format(const struct quantity *q, char *buf);
/* The text under which the API server keeps what a client writes as S: S itself where it only has another spelling of
 * the canonical number ("+5", "5.Mi", "1e0"), else the canonical text, exact however big. -EINVAL, -EDOM as above. */
int quantity_keep_text(const char *s, char buf[QUANTITY_BUF]);
/* Whether upstream takes S for one that has thousandths; what does not fit into 64 bits of them may seem so. */
bool quantity_seems_fractional(const char *s);
int quantity_cmp(const struct quantity *a, const struct quantity *b);
void quantity_add(struct quantity *a, const struct quantity *b); /* keeps a's format unless a is zero */
void quantity_sub(struct quantity *a, const struct quantity *b);
/* Up to a multiple of 1m, away from zero: what the API server does to every ResourceList it reads. */
void quantity_round_up_milli(struct quantity *q);
int64_t quantity_value(const struct quantity *q);       /* rounded up, as Quantity.Value() */
int64_t quantity_milli(const struct quantity *q);       /* rounded up, as MilliValue() */
struct quantity quantity_from_int(int64_t v, enum quantity_format f);
struct quantity quantity_from_milli(int64_t v, enum quantity_format f);
