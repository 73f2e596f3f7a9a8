/* How a frozen vector leaves without a copy: the C structures of the Arrow data interface and of DLPack 1.0.
 *
 * Ownership: each export holds one reference of the block and gives it back in its release function, which
 * may run in any thread, without the GIL, after the Python object is gone.
 * The layouts are those of the published interfaces (arrow.apache.org, dmlc.github.io/dlpack).
 */
#ifndef SOPHIA_EXCHANGE_H
#define SOPHIA_EXCHANGE_H

#include <stdint.h>
#include <stdlib.h>

#include "layout.h"
#include "shared.h"

struct ArrowSchema {
    const char *format, *name, *metadata;
    int64_t flags, n_children;
    struct ArrowSchema **children, *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct ArrowArray **children, *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

typedef struct {
    const void *buffers[2]; /* validity (none), values */
    sophia_shared *block;   /* one reference */
} sophia_arrow_hold;

static void sophia_arrow_release_schema(struct ArrowSchema *schema)
{
    schema->release = NULL; /* its strings are constants */
}

static void sophia_arrow_release_array(struct ArrowArray *array)
{
    sophia_arrow_hold *hold = (sophia_arrow_hold *)array->private_data;
    array->release = NULL;
    sophia_shared_release(hold->block);
    free(hold);
}

/* uint8 over the packed bytes (BSC) or int8 over the components (MAP). 0, or -1 without memory. */
static int sophia_arrow_export(sophia_shared *block, struct ArrowSchema *schema, struct ArrowArray *array)
{
    sophia_arrow_hold *hold = (sophia_arrow_hold *)malloc(sizeof(sophia_arrow_hold));
    if (!hold) return -1;
    sophia_shared_retain(block);
    hold->block = block;
    hold->buffers[0] = NULL;
    hold->buffers[1] = sophia_shared_bytes(block);
    *schema = (struct ArrowSchema){0};
    schema->format = block->model == SOPHIA_BSC ? "C" : "c";
    schema->name = "";
    schema->release = sophia_arrow_release_schema;
    *array = (struct ArrowArray){0};
    array->length = (int64_t)(block->model == SOPHIA_BSC ? block->bytes : block->dim);
    array->n_buffers = 2;
    array->buffers = hold->buffers;
    array->release = sophia_arrow_release_array;
    array->private_data = hold;
    return 0;
}

typedef struct {
    int32_t device_type, device_id;
} sophia_dl_device;

typedef struct {
    uint8_t code, bits;
    uint16_t lanes;
} sophia_dl_type;

typedef struct {
    void *data;
    sophia_dl_device device;
    int32_t ndim;
    sophia_dl_type dtype;
    int64_t *shape, *strides;
    uint64_t byte_offset;
} sophia_dl_tensor;

typedef struct sophia_dl_managed {
    uint32_t major, minor;
    void *manager_ctx;
    void (*deleter)(struct sophia_dl_managed *);
    uint64_t flags;
    sophia_dl_tensor tensor;
    int64_t shape[1], strides[1]; /* ours, behind the published part */
} sophia_dl_managed;

#define SOPHIA_DL_CPU 1
#define SOPHIA_DL_READ_ONLY 1u

static void sophia_dl_delete(sophia_dl_managed *managed)
{
    sophia_shared_release((sophia_shared *)managed->manager_ctx);
    free(managed);
}

/* Read-only int8 or uint8 tensor of one dimension; NULL without memory. */
static sophia_dl_managed *sophia_dl_export(sophia_shared *block)
{
    sophia_dl_managed *managed = (sophia_dl_managed *)calloc(1, sizeof(sophia_dl_managed));
    if (!managed) return NULL;
    sophia_shared_retain(block);
    managed->major = 1;
    managed->manager_ctx = block;
    managed->deleter = sophia_dl_delete;
    managed->flags = SOPHIA_DL_READ_ONLY;
    managed->tensor.data = sophia_shared_bytes(block);
    managed->tensor.device.device_type = SOPHIA_DL_CPU;
    managed->tensor.ndim = 1;
    managed->tensor.dtype.code = block->model == SOPHIA_BSC ? 1 : 0; /* unsigned or signed integer */
    managed->tensor.dtype.bits = 8;
    managed->tensor.dtype.lanes = 1;
    managed->shape[0] = (int64_t)(block->model == SOPHIA_BSC ? block->bytes : block->dim);
    managed->strides[0] = 1;
    managed->tensor.shape = managed->shape;
    managed->tensor.strides = managed->strides;
    return managed;
}

#endif
