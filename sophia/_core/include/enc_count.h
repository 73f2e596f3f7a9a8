/* The counting kernel, written once for every register width.
 *
 * No include guard: enc_<isa>.h defines the operations below, includes this file and undefines them again.
 *   ENC_NAME(f)     f with the suffix of the instruction set
 *   ENC_TARGET      the function attribute of the instruction set
 *   ENC_VEC         a register; ENC_LANES: its length in uint64 (divides 8)
 *   ENC_LOAD(p), ENC_STORE(p, v)      unaligned, p is uint64_t *
 *   ENC_XOR(a, b), ENC_AND(a, b), ENC_XOR3(a, b, c), ENC_MAJ(a, b, c)
 *   ENC_ROW(name, w)                  words w .. w+ENC_LANES-1 of the row that `name` names
 *
 * A full adder turns three bits of one plane into a sum (XOR3) and a carry (MAJ) of the next. Rows are added
 * eight at a time with seven adders and one stored carry, three planes up (Harley and Seal; Mula, Kurz and
 * Lemire, "Faster population counts using AVX2 instructions", 2018, describe the tree).
 */

ENC_TARGET static void ENC_NAME(sophia_tally_b1)(const struct sophia_ballot *ballot, uint64_t *planes, size_t words)
{
    ENC_VEC bits[SOPHIA_BALLOT_ROWS + SOPHIA_BALLOT_CARRIES];
    for (size_t w = 0; w < words; w += ENC_LANES) {
        if (ballot->order == 0) {
            for (uint32_t r = 0; r < ballot->rows; r++) bits[r] = ENC_ROW(ballot->names[r], w);
        } else {
            const uint64_t *const *operand = ballot->operands;
            for (uint32_t r = 0; r < ballot->rows; r++) {
                ENC_VEC row = ENC_LOAD(*operand++ + w);
                for (uint32_t n = 1; n < ballot->order; n++) row = ENC_XOR(row, ENC_LOAD(*operand++ + w));
                bits[r] = row;
            }
        }
        ENC_VEC *carry = bits + SOPHIA_BALLOT_ROWS;
        for (uint32_t j = 0; j < ballot->depth; j++) {
            const uint16_t *in = ballot->columns[j];
            uint32_t left = ballot->sizes[j];
            if (left == 0) continue;
            uint64_t *plane = planes + j * words + w;
            ENC_VEC ones = ENC_LOAD(plane);
            if (left >= 8) {
                ENC_VEC twos = ENC_LOAD(plane + words), fours = ENC_LOAD(plane + 2 * words);
                do {
                    const ENC_VEC a = bits[in[0]], b = bits[in[1]], c = bits[in[2]], d = bits[in[3]];
                    const ENC_VEC e = bits[in[4]], f = bits[in[5]], g = bits[in[6]], h = bits[in[7]];
                    const ENC_VEC two_a = ENC_MAJ(ones, a, b), sum_a = ENC_XOR3(ones, a, b);
                    const ENC_VEC two_b = ENC_MAJ(sum_a, c, d), sum_b = ENC_XOR3(sum_a, c, d);
                    const ENC_VEC four_a = ENC_MAJ(twos, two_a, two_b), two_c = ENC_XOR3(twos, two_a, two_b);
                    const ENC_VEC two_d = ENC_MAJ(sum_b, e, f), sum_c = ENC_XOR3(sum_b, e, f);
                    const ENC_VEC two_e = ENC_MAJ(sum_c, g, h);
                    ones = ENC_XOR3(sum_c, g, h);
                    const ENC_VEC four_b = ENC_MAJ(two_c, two_d, two_e);
                    twos = ENC_XOR3(two_c, two_d, two_e);
                    *carry++ = ENC_MAJ(fours, four_a, four_b);
                    fours = ENC_XOR3(fours, four_a, four_b);
                    in += 8;
                    left -= 8;
                } while (left >= 8);
                ENC_STORE(plane + words, twos);
                ENC_STORE(plane + 2 * words, fours);
            }
            for (; left >= 2; left -= 2, in += 2) {
                const ENC_VEC a = bits[in[0]], b = bits[in[1]];
                *carry++ = ENC_MAJ(ones, a, b);
                ones = ENC_XOR3(ones, a, b);
            }
            if (left) {
                const ENC_VEC a = bits[in[0]];
                *carry++ = ENC_AND(ones, a);
                ones = ENC_XOR(ones, a);
            }
            ENC_STORE(plane, ones);
        }
    }
}

#undef ENC_NAME
#undef ENC_TARGET
#undef ENC_VEC
#undef ENC_LANES
#undef ENC_LOAD
#undef ENC_STORE
#undef ENC_XOR
#undef ENC_AND
#undef ENC_XOR3
#undef ENC_MAJ
#undef ENC_ROW
