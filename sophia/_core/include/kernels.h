/* The one run-time table of kernels. The active one is chosen by sophia._core.cpu and read by everyone. */
#ifndef SOPHIA_KERNELS_H
#define SOPHIA_KERNELS_H

#include "enc_kernels.h"
#include "hv_kernels.h"
#include "kv_kernels.h"
#include "ln_kernels.h"
#include "ro_kernels.h"

struct sophia_kernels {
    int level;
    struct sophia_hv_kernels hv;
    struct sophia_kv_kernels kv;
    struct sophia_enc_kernels enc;
    struct sophia_ro_kernels ro;
    struct sophia_ln_kernels ln;
};

#endif
