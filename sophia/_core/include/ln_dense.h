/* The dense linear kernels, written once for every register width.
 *
 * No include guard: ln_<isa>.h defines the following, includes this file, which undefines them again.
 *   LN_NAME(f)          f with the suffix of the instruction set
 *   LN_TARGET           the function attribute of the instruction set
 *   LN_WIDTH            floats in a register
 *   LN_F, LN_I          vectors of so many floats, int32
 *   LN_LOAD_I8(p)       so many int8 as floats; gcc's own conversion would go byte by byte
 *   LN_STORE_I8(p, v)   floats that are whole numbers from -128 to 127 as int8
 * Element by element the registers do the same, whatever their width.
 */

LN_TARGET static void LN_NAME(sophia_project_f32)(const float *x, size_t features, const float *weights, size_t rows,
                                                  float *sums)
{
    for (size_t r = 0; r < rows; r += SOPHIA_LN_ROWS) {
        const float *const a = x + r * features, *const b = a + features, *const c = b + features,
                           *const d = c + features;
        for (size_t l = 0; l < SOPHIA_LN_LANES; l += 2 * LN_WIDTH) {
            LN_F a0 = {0}, a1 = {0}, b0 = {0}, b1 = {0}, c0 = {0}, c1 = {0}, d0 = {0}, d1 = {0};
            const float *weight = weights + l;
            for (size_t f = 0; f < features; f++, weight += SOPHIA_LN_LANES) {
                const LN_F low = *(const LN_F *)weight, high = *(const LN_F *)(weight + LN_WIDTH);
                a0 += low * a[f];
                a1 += high * a[f];
                b0 += low * b[f];
                b1 += high * b[f];
                c0 += low * c[f];
                c1 += high * c[f];
                d0 += low * d[f];
                d1 += high * d[f];
            }
            LN_F *const out = (LN_F *)(sums + r * SOPHIA_LN_LANES + l);
            const size_t step = SOPHIA_LN_LANES / LN_WIDTH;
            out[0] = a0, out[1] = a1, out[step] = b0, out[step + 1] = b1;
            out[2 * step] = c0, out[2 * step + 1] = c1, out[3 * step] = d0, out[3 * step + 1] = d1;
        }
    }
}

/* The sine of 2 pi s for s in -1/4 to 1/4 is its Taylor polynomial of degree 9, true to 4e-6. */
LN_TARGET static void LN_NAME(sophia_wave_f32_i8)(const float *sums, const float *phases, int8_t *out)
{
    for (size_t l = 0; l < SOPHIA_LN_LANES; l += LN_WIDTH) {
        const LN_F turns = *(const LN_F *)(sums + l) + *(const LN_F *)(phases + l);
        /* Adding 1.5 * 2^23 rounds to whole turns, and taking it away leaves them. */
        const LN_F whole = (turns + 12582912.0f) - 12582912.0f;
        const LN_F part = turns - whole;
        const LN_F absolute = (LN_F)((LN_I)part & 0x7FFFFFFF);
        const LN_I inside = absolute <= 0.5f; /* it is, but for sums without a fraction, and NaN */
        const LN_F size = (LN_F)(((LN_I)absolute & inside) | (0x3F000000 & ~inside));
        const LN_F s = 0.25f - size, q = s * s;
        const LN_F sine =
            s * (6.2831853f + q * (-41.341702f + q * (81.605249f + q * (-76.705860f + q * 42.058694f))));
        const LN_F level = (sine * 127.0f + 12582912.0f) - 12582912.0f;
        LN_STORE_I8(out + l, level);
    }
}

LN_TARGET static float LN_NAME(sophia_dot_f32_i8)(const float *a, const int8_t *b, size_t n)
{
    float sums[64];
    const size_t whole = n / 64 * 64;
    for (size_t from = 0; from < 64; from += 4 * LN_WIDTH) { /* four sums at a time stay in registers */
        LN_F parts[4] = {{0}, {0}, {0}, {0}};
        for (size_t i = from; i < whole; i += 64) {
#pragma GCC unroll 4
            for (int k = 0; k < 4; k++) {
                LN_F floats;
                memcpy(&floats, a + i + LN_WIDTH * k, sizeof floats);
                parts[k] += floats * LN_LOAD_I8(b + i + LN_WIDTH * k);
            }
        }
        memcpy(sums + from, parts, sizeof parts);
    }
    for (size_t i = whole; i < n; i++) sums[i - whole] += a[i] * (float)b[i];
    for (int k = 0; k < 16; k++) sums[k] = (sums[k] + sums[k + 16]) + (sums[k + 32] + sums[k + 48]);
    for (int width = 8; width; width /= 2) {
        for (int k = 0; k < width; k++) sums[k] += sums[k + width];
    }
    return sums[0];
}

LN_TARGET static void LN_NAME(sophia_add_f32_i8)(const int8_t *b, float weight, float *a, size_t n)
{
    size_t i = 0;
    for (; i + LN_WIDTH <= n; i += LN_WIDTH) {
        LN_F floats;
        memcpy(&floats, a + i, sizeof floats);
        floats += LN_LOAD_I8(b + i) * weight;
        memcpy(a + i, &floats, sizeof floats);
    }
    for (; i < n; i++) a[i] += (float)b[i] * weight;
}

#undef LN_NAME
#undef LN_TARGET
#undef LN_WIDTH
#undef LN_F
#undef LN_I
#undef LN_LOAD_I8
#undef LN_STORE_I8
