/* Base64, hexadecimal, random bytes, UUIDs and generated-name suffixes. */
#pragma once

#include "arena.h"
#include "base.h"
#include "strbuf.h"

void base64_encode(struct strbuf *out, const void *data, size_t len);     /* RFC 4648, padded */
void base64url_encode(struct strbuf *out, const void *data, size_t len);  /* no padding */
/* Both alphabets, padding optional. -EINVAL on anything else; the place of it in *ret_bad (may be NULL). */
int base64_decode(struct strbuf *out, const char *s, size_t len, size_t *ret_bad);
void hex_encode(struct strbuf *out, const void *data, size_t len); /* lower case */

void random_bytes(void *buf, size_t len);
/* 64 hexadecimal digits, as containers and sandboxes are named; from the arena. */
char *random_id(struct arena *a);
uint32_t random_below(uint32_t n);
#define UUID_BUF 37
char *uuid_new(char buf[UUID_BUF]); /* version 4; returns buf */
/* N characters of Kubernetes' safe alphabet bcdfghjklmnpqrstvwxz2456789, and a NUL. */
char *random_suffix(char *buf, size_t n);
