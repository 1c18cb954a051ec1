/*
 * GGUF, the file format of quantised models: a reader for outside bytes.
 *
 * Source of the format: the public GGUF description (versions 2 and 3, little-endian): magic, version, counts, typed
 * key/value pairs, tensor descriptions, then the weights, each at an aligned offset.
 *
 * Nothing is copied but the two indexes: names, values and weights are slices of the file's bytes, which the caller
 * keeps until after gguf_release(). After gguf_parse() has said OK:
 *   G1  every slice and every weight lies inside the file;
 *   G2  every array is as long as its count says, so walking one cannot fail;
 *   G3  names are unique among keys and among tensors;
 *   G4  a tensor's size fits its shape and type, rows are whole blocks.
 * Weight types other than those of infer/weights.h are refused by name.
 */
#ifndef CRANNOG_INFER_GGUF_H
#define CRANNOG_INFER_GGUF_H

#include "base/arena.h"

enum {
    GGUF_KEYS_MAX = 4096,
    GGUF_TENSORS_MAX = 8192,
    GGUF_NAME_MAX = 256,
    GGUF_ITEMS_MAX = 1 << 20, /* of one array */
    GGUF_DIMS_MAX = 4,
};

enum gguf_kind {
    GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL, GGUF_STRING, GGUF_ARRAY, GGUF_U64,
    GGUF_I64, GGUF_F64,
};

struct gguf_key {
    struct slice name;
    uint32_t kind;      /* enum gguf_kind */
    uint32_t item_kind; /* of an array */
    uint64_t count;     /* of an array */
    struct slice bytes; /* the value; for strings and arrays without their length */
};

struct gguf_tensor {
    struct slice name;
    uint32_t type;             /* enum weight_type */
    uint64_t ne[GGUF_DIMS_MAX]; /* ne[0]: length of a row; missing dimensions are 1 */
    struct slice data;
};

struct gguf {
    struct slice file; /* borrowed */
    struct gguf_key *keys;
    size_t nkeys;
    struct gguf_tensor *tensors;
    size_t ntensors;
    struct arena memory;
};

/* Maps a regular file read-only. ERR_CORRUPT for an empty one. The caller unmaps with gguf_unmap(). */
enum err MUST_USE gguf_map(int fd, struct slice *ret, struct error *e);
void gguf_unmap(struct slice file); /* SLICE_NONE is fine */

/* Reads the description of a whole file. On failure *ret holds nothing. */
enum err MUST_USE gguf_parse(struct slice file, struct gguf *ret, struct error *e);
void gguf_release(struct gguf *g);

const struct gguf_key *gguf_key(const struct gguf *g, const char *name);       /* NULL where absent */
const struct gguf_tensor *gguf_tensor(const struct gguf *g, const char *name); /* NULL where absent */

/* A value of the wanted kind (any width of integer is a number). `missing` where it is absent or of another kind. */
uint64_t gguf_number(const struct gguf *g, const char *name, uint64_t missing);
double gguf_real(const struct gguf *g, const char *name, double missing);
bool gguf_bool(const struct gguf *g, const char *name, bool missing);
struct slice gguf_string(const struct gguf *g, const char *name); /* empty where absent */

/* Walks an array of strings (item_kind GGUF_STRING): start with key->bytes, call key->count times. */
struct slice gguf_next_string(struct slice *rest);
/* Item i of an array of u32 or i32. */
int32_t gguf_item_i32(const struct gguf_key *key, uint64_t i);

/* A text out of a file, made fit for one line of a message: its beginning, with ? for what is not plain ASCII. */
struct gguf_printable {
    char text[80];
};
struct gguf_printable gguf_printable(struct slice s);

/* Bytes of `n` weights of a type, 0 where the type is unknown or n is no whole number of blocks. */
uint64_t gguf_type_bytes(uint32_t type, uint64_t n);

#endif
