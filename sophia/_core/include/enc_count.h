/* The counting kernel, written once for every register width.
 *
 * No include guard: enc_<isa>.h defines the operations below, includes this file, which undefines them again.
 *   ENC_NAME(f)     f with the suffix of the instruction set
 *   ENC_TARGET      the function attribute of the instruction set
 *   ENC_VEC         a register; ENC_LANES: its length in uint64
 *   ENC_SIDE        registers that go side by side; ENC_SIDE * ENC_LANES divides SOPHIA_VOTE_WORDS
 *   ENC_LOAD(p), ENC_STORE(p, v)      unaligned, p points to uint64_t
 *   ENC_XOR(a, b), ENC_AND(a, b), ENC_XOR3(a, b, c), ENC_MAJ(a, b, c)
 *   ENC_ROW(name, w)                  words w .. w+ENC_LANES-1 of the row that `name` names
 *
 * A full adder turns three bits of one plane into a sum (XOR3) and a carry (MAJ) of the next. Rows are added
 * eight at a time with seven adders and one stored carry, three planes up (Harley and Seal; Mula, Kurz and
 * Lemire, "Faster population counts using AVX2 instructions", 2018, describe the tree). The branches depend
 * on the schedule only, so registers side by side share them.
 */

#define ENC_STRIDE (ENC_SIDE * ENC_LANES)
#define ENC_EACH for (int s = 0; s < ENC_SIDE; s++)
/* Entry `in` of a column, whose number comes times SOPHIA_BALLOT_STRIDE: no shift in the inner loop. */
#define ENC_AT(in) (bits + (size_t)(in) * (ENC_STRIDE * 8 / SOPHIA_BALLOT_STRIDE) / 8)
#define ENC_FETCH(to, in)                                                                                    \
    ENC_VEC to[ENC_SIDE];                                                                                    \
    ENC_EACH to[s] = ENC_LOAD(ENC_AT(in) + s * ENC_LANES)

ENC_TARGET static void ENC_NAME(sophia_tally_b1)(const struct sophia_ballot *ballot, uint64_t *planes,
                                                 size_t words)
{
    uint64_t bits[(SOPHIA_BALLOT_ROWS + SOPHIA_BALLOT_CARRIES) * ENC_STRIDE] __attribute__((aligned(64)));
    for (size_t w = 0; w < words; w += ENC_STRIDE) {
        if (ballot->order == 0) {
            for (uint32_t r = 0; r < ballot->rows; r++) {
                const uint64_t name = ballot->names[r];
                ENC_EACH ENC_STORE(bits + r * ENC_STRIDE + s * ENC_LANES, ENC_ROW(name, w + s * ENC_LANES));
            }
        } else {
            const uint64_t *const *operand = ballot->operands;
            for (uint32_t r = 0; r < ballot->rows; r++) {
                ENC_VEC row[ENC_SIDE];
                ENC_EACH row[s] = ENC_LOAD(*operand + w + s * ENC_LANES);
                operand++;
                for (uint32_t n = 1; n < ballot->order; n++, operand++) {
                    ENC_EACH row[s] = ENC_XOR(row[s], ENC_LOAD(*operand + w + s * ENC_LANES));
                }
                ENC_EACH ENC_STORE(bits + r * ENC_STRIDE + s * ENC_LANES, row[s]);
            }
        }
        uint64_t *carry = bits + SOPHIA_BALLOT_ROWS * ENC_STRIDE;
        for (uint32_t j = 0; j < ballot->depth; j++) {
            const uint16_t *in = ballot->columns[j];
            uint32_t left = ballot->sizes[j];
            if (left == 0) continue;
            uint64_t *plane = planes + j * words + w;
            ENC_VEC ones[ENC_SIDE];
            ENC_EACH ones[s] = ENC_LOAD(plane + s * ENC_LANES);
            if (left >= 8) {
                ENC_VEC twos[ENC_SIDE], fours[ENC_SIDE];
                ENC_EACH twos[s] = ENC_LOAD(plane + words + s * ENC_LANES);
                ENC_EACH fours[s] = ENC_LOAD(plane + 2 * words + s * ENC_LANES);
                for (; left >= 8; left -= 8, in += 8, carry += ENC_STRIDE) {
                    ENC_EACH
                    {
                        const uint64_t *const lane = bits + s * ENC_LANES;
#define ENC_IN(k) ENC_LOAD(lane + (ENC_AT(in[k]) - bits))
                        const ENC_VEC a = ENC_IN(0), b = ENC_IN(1), c = ENC_IN(2), d = ENC_IN(3);
                        const ENC_VEC two_a = ENC_MAJ(ones[s], a, b), sum_a = ENC_XOR3(ones[s], a, b);
                        const ENC_VEC two_b = ENC_MAJ(sum_a, c, d), sum_b = ENC_XOR3(sum_a, c, d);
                        const ENC_VEC four_a = ENC_MAJ(twos[s], two_a, two_b);
                        const ENC_VEC two_c = ENC_XOR3(twos[s], two_a, two_b);
                        const ENC_VEC e = ENC_IN(4), f = ENC_IN(5), g = ENC_IN(6), h = ENC_IN(7);
                        const ENC_VEC two_d = ENC_MAJ(sum_b, e, f), sum_c = ENC_XOR3(sum_b, e, f);
                        const ENC_VEC two_e = ENC_MAJ(sum_c, g, h);
                        ones[s] = ENC_XOR3(sum_c, g, h);
                        const ENC_VEC four_b = ENC_MAJ(two_c, two_d, two_e);
                        twos[s] = ENC_XOR3(two_c, two_d, two_e);
                        ENC_STORE(carry + s * ENC_LANES, ENC_MAJ(fours[s], four_a, four_b));
                        fours[s] = ENC_XOR3(fours[s], four_a, four_b);
#undef ENC_IN
                    }
                }
                ENC_EACH ENC_STORE(plane + words + s * ENC_LANES, twos[s]);
                ENC_EACH ENC_STORE(plane + 2 * words + s * ENC_LANES, fours[s]);
            }
            for (; left >= 2; left -= 2, in += 2, carry += ENC_STRIDE) {
                ENC_FETCH(a, in[0]);
                ENC_FETCH(b, in[1]);
                ENC_EACH ENC_STORE(carry + s * ENC_LANES, ENC_MAJ(ones[s], a[s], b[s]));
                ENC_EACH ones[s] = ENC_XOR3(ones[s], a[s], b[s]);
            }
            if (left) {
                ENC_FETCH(a, in[0]);
                ENC_EACH ENC_STORE(carry + s * ENC_LANES, ENC_AND(ones[s], a[s]));
                ENC_EACH ones[s] = ENC_XOR(ones[s], a[s]);
                carry += ENC_STRIDE;
            }
            ENC_EACH ENC_STORE(plane + s * ENC_LANES, ones[s]);
        }
    }
}

#undef ENC_AT
#undef ENC_FETCH
#undef ENC_EACH
#undef ENC_STRIDE
#undef ENC_NAME
#undef ENC_TARGET
#undef ENC_VEC
#undef ENC_LANES
#undef ENC_SIDE
#undef ENC_LOAD
#undef ENC_STORE
#undef ENC_XOR
#undef ENC_AND
#undef ENC_XOR3
#undef ENC_MAJ
#undef ENC_ROW
