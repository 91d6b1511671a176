/* Blocks of PEM (pem.h). */
#include "pem.h"

#include "../../lib/base/encode.h"
#include "../../lib/tls/pki.h"

void pem_block_deinit(struct pem_block *b)
{
        strbuf_deinit(&b->der);
}

/* What stands between BEGIN's line and END: lines with a colon first, then base64. */
static bool pem_body(struct arena *a, const char *body, size_t len, struct pem_block *ret)
{
        char *text = arena_alloc(a, len + 1);
        const char *end = body + len;
        size_t n = 0;

        ret->headers = false;
        for (const char *line = body; line < end;) {
                const char *stop = memchr(line, '\n', end - line), *next = stop ? stop + 1 : end;

                if (!memchr(line, ':', next - line))
                        break;
                ret->headers = true;
                body = line = next;
        }
        for (; body < end; body++)
                if (!strchr(" \t\r\n", *body))
                        text[n++] = *body;
        strbuf_reset(&ret->der);
        return base64_decode(&ret->der, text, n, NULL) == 0;
}

bool pem_next(struct arena *a, const char **pos, struct pem_block *ret)
{
        static const char begin[] = "-----BEGIN ", dashes[] = "-----";
        const char *p = *pos;

        while ((p = strstr(p, begin))) {
                const char *type = p + strlen(begin), *stop = strstr(type, dashes), *eol = strchr(type, '\n'), *end;
                char *closing;

                if ((p != *pos && p[-1] != '\n') || !stop || !eol || stop > eol) {
                        p = type;
                        continue;
                }
                ret->type = arena_strndup(a, type, stop - type);
                closing = arena_printf(a, "-----END %s-----", ret->type);
                end = strstr(eol, closing);
                if (!end || !pem_body(a, eol + 1, end > eol ? (size_t)(end - eol - 1) : 0, ret)) {
                        p = type;
                        continue;
                }
                *pos = end + strlen(closing);
                ret->text = arena_printf(a, "%.*s\n", (int)(*pos - p), p);
                return true;
        }
        return false;
}

const char *pem_bundle_error(struct arena *a, const char *pem)
{
        _cleanup_pem_ struct pem_block block = { 0 };
        size_t found = 0;

        while (pem_next(a, &pem, &block)) {
                _cleanup_pki_pair_ struct pki_pair *pair = NULL;

                if (!streq(block.type, "CERTIFICATE") || block.headers)
                        continue;
                if (pki_load_pem(block.text, strlen(block.text), NULL, 0, &pair, NULL) < 0)
                        return "x509: malformed certificate";
                found++;
        }
        return found ? NULL : "data does not contain any valid RSA or ECDSA certificates";
}
