/* meta.k8s.io: objects as Table (what kubectl prints) and as PartialObjectMetadata.
 *
 * Written straight into a string builder, one row at a time, so that a list of ten thousand objects
 * needs the memory of one tree.
 */
#pragma once

#include "schema.h"

enum table_include { TABLE_METADATA, TABLE_NONE, TABLE_OBJECT };
/* "" and "Metadata", "None", "Object"; -EINVAL: anything else. */
int table_include_parse(const char *s, enum table_include *ret);

/* `{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":...,"columnDefinitions":[...],"rows":[`
 * VERSION: "v1" or "v1beta1". LIST_META: the metadata object of the list (resourceVersion, continue,
 * ...), or for a single object {resourceVersion}. COLUMNS: false in watch events after the first
 * (columnDefinitions: [] as upstream). */
void table_begin(struct strbuf *out, const struct resource *res, const char *version, const struct json *list_meta,
                 bool columns);
/* One row; writes the comma before all but the first (FIRST). OBJ in the version of RES. NOW: real time in ns. */
void table_row(struct strbuf *out, const struct resource *res, const struct json *obj, enum table_include include,
               const char *version, int64_t now, bool first);
/* The same with the metadata as text, which saves to parse and to write most of it: OBJ then needs no managed
 * fields. Of kinds for which table_row_by_text() is true. */
void table_row_text(struct strbuf *out, const struct resource *res, const struct json *obj, const char *metadata, size_t len,
                    const char *version, int64_t now, bool first);
bool table_row_by_text(const struct resource *res);
/* `]}` (or `"rows":null` had to be: pass n_rows). */
void table_end(struct strbuf *out, const struct resource *res, size_t n_rows);
/* The columns of /scale bodies: pass it as RES. */
extern const struct resource table_scale, table_custom_scale;

/* A Status is never converted; kinds without columns of their own have Name and Created At. */

/* {"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/<version>","metadata":{...}} */
void partial_object_metadata(struct strbuf *out, const struct json *obj, const char *version);
void partial_object_text(struct strbuf *out, const char *metadata, size_t len, const char *version); /* metadata as text */

/* How kubectl prints a duration: "5m30s", "3d4h" (duration.HumanDuration). BUF: 32 bytes at least. Returns BUF. */
char *human_duration(int64_t ns, char *buf);
